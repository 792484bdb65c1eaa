"""Declared commands with errors are refused before a request is sent."""

import contextlib

import pytest

from discordproxy_api.calls.field_errors import InvalidRequestError
from discordproxy_api.commands import documents
from discordproxy_api.commands.validation import characters, is_name, validate_commands

SHOP = {"name": "shop", "description": "Opens the shop"}
OPTION = {"type": 3, "name": "item", "description": "What"}
GROUP = {"type": 2, "name": "group", "description": "A group"}
SUBCOMMAND = {"type": 1, "name": "buy", "description": "Buys"}


def problems_of(*commands, in_guild=False):
    try:
        validate_commands(list(commands), "commands", in_guild=in_guild)
    except InvalidRequestError as invalid:
        return [problem.path for problem in invalid.fields]
    return []


@pytest.mark.parametrize(
    "command",
    [
        SHOP,
        {**SHOP, "name": "लोग-1_a'"},
        {**SHOP, "name": "ゲーム"},
        {"type": 2, "name": "Show Orders"},
        {"type": 3, "name": "Repört!"},
        {"type": 4, "name": "launch", "description": "Starts", "handler": 2},
        {**SHOP, "options": [{**GROUP, "options": [{**SUBCOMMAND, "options": [OPTION]}]}]},
        {**SHOP, "options": [{**OPTION, "choices": [{"name": "a", "value": "b"}] * 25}]},
        {**SHOP, "options": [{**OPTION, "type": 10, "choices": [{"name": "a", "value": 0.5}]}]},
        {**SHOP, "default_member_permissions": "0", "name_localizations": {"de": "laden", "fr": None}},
        {**SHOP, "options": None, "a_later_key": 1},
    ],
    ids=range(11),
)
def test_a_valid_command(command):
    assert problems_of(command) == []


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("text", "commands[0]"),
        ({"description": "x"}, "commands[0].name"),
        ({"name": "shop"}, "commands[0].description"),
        ({**SHOP, "type": 9}, "commands[0].type"),
        ({**SHOP, "type": True}, "commands[0].type"),
        ({**SHOP, "name": "Shop"}, "commands[0].name"),
        ({**SHOP, "name": "the shop"}, "commands[0].name"),
        ({**SHOP, "name": "x" * 33}, "commands[0].name"),
        ({**SHOP, "name": 5}, "commands[0].name"),
        ({**SHOP, "description": "x" * 101}, "commands[0].description"),
        ({"type": 2, "name": "a", "description": "x"}, "commands[0].description"),
        ({"type": 3, "name": "a", "options": [OPTION]}, "commands[0].options"),
        ({**SHOP, "name_localizations": {"de": "Der Laden"}}, "commands[0].name_localizations.de"),
        ({**SHOP, "name_localizations": []}, "commands[0].name_localizations"),
        ({**SHOP, "default_member_permissions": "all"}, "commands[0].default_member_permissions"),
        ({**SHOP, "options": {}}, "commands[0].options"),
        ({**SHOP, "options": [{**OPTION, "name": f"o{n}"} for n in range(26)]}, "commands[0].options"),
        ({**SHOP, "options": [OPTION, OPTION]}, "commands[0].options[1].name"),
        ({**SHOP, "options": [OPTION, {**OPTION, "name": "b", "required": True}]}, "commands[0].options[1]"),
        ({**SHOP, "options": [OPTION, SUBCOMMAND]}, "commands[0].options"),
        ({**SHOP, "options": [{**OPTION, "type": 12}]}, "commands[0].options[0].type"),
        ({**SHOP, "options": [{**OPTION, "options": [OPTION]}]}, "commands[0].options[0].options"),
        ({**SHOP, "options": [{**SUBCOMMAND, "options": [GROUP]}]}, "commands[0].options[0].options[0].type"),
        (
            {**SHOP, "options": [{**GROUP, "options": [{**SUBCOMMAND, "options": [SUBCOMMAND]}]}]},
            "commands[0].options[0].options[0].options[0].type",
        ),
        (
            {**SHOP, "options": [{**OPTION, "choices": [{"name": "a", "value": 1}]}]},
            "commands[0].options[0].choices[0].value",
        ),
        ({**SHOP, "options": [{**OPTION, "choices": [{"value": "1"}]}]}, "commands[0].options[0].choices[0].name"),
        (
            {**SHOP, "options": [{**OPTION, "type": 5, "choices": [{"name": "a", "value": 1}]}]},
            "commands[0].options[0].choices",
        ),
        (
            {**SHOP, "options": [{**OPTION, "autocomplete": True, "choices": [{"name": "a", "value": "1"}]}]},
            "commands[0].options[0].choices",
        ),
    ],
    ids=range(28),
)
def test_an_invalid_command(command, path):
    assert problems_of(command) == [path]


def test_names_are_unique_within_a_type():
    assert problems_of(SHOP, SHOP) == ["commands[1].name"]
    assert problems_of({"type": 2, "name": "shop"}, SHOP, {"type": 3, "name": "shop"}) == []


def test_an_entry_point_belongs_to_no_guild():
    assert problems_of({"type": 4, "name": "launch", "description": "x"}, in_guild=True) == ["commands[0].type"]


@pytest.mark.parametrize(("kind", "limit"), [(1, 100), (2, 15), (3, 15), (4, 1)])
def test_the_number_of_commands_of_a_type_is_limited(kind, limit):
    commands = [
        {"type": kind, "name": f"c{n}", **({"description": "x"} if kind == 1 else {})} for n in range(limit + 1)
    ]
    assert problems_of(*commands[:limit]) == []
    assert problems_of(*commands) == ["commands"]


def test_the_size_of_a_command_is_limited():
    choices = [{"name": "x" * 100, "value": "y" * 200}] * 25
    command = {**SHOP, "options": [{**OPTION, "choices": choices}]}
    assert characters(command) == 4 + 14 + 4 + 4 + 25 * 300
    assert problems_of(command) == []
    translated = {**command, "options": [{**OPTION, "choices": [{**choices[0], "value": "y" * 220}] * 25}]}
    assert problems_of(translated) == ["commands[0]"]
    assert characters({"name": "a", "name_localizations": {"de": "abc", "fr": "ab"}}) == 3


def test_only_25_errors_are_reported():
    assert len(problems_of(*[{"type": 9}] * 60)) == 25


@pytest.mark.parametrize("name", ["a b", "A", "ß²!", "a.b", "😀"])
def test_characters_that_no_name_has(name):
    assert not is_name(name)


ODD = (None, True, 0, 3, -1, 1.5, 10**30, "", "A b", "\ud800", [], [1], [[]], [None], {}, {"de": []}, {"a": {"b": 1}})
KEYS = (
    *("type", "name", "description", "options", "choices", "name_localizations", "description_localizations"),
    *("default_member_permissions", "contexts", "integration_types", "required", "autocomplete", "min_value"),
    *("channel_types", "value", "dm_permission", "other"),
)


def odd_commands():
    for key in KEYS:
        for value in ODD:
            choice = {"name": "c", "value": "v", key: value}
            for part in ({key: value}, {"options": [{"type": 3, "name": "o", "description": "d", key: value}]}):
                yield {"name": "ok", "description": "d", **part}
            yield {
                "name": "ok",
                "description": "d",
                "options": [{"type": 3, "name": "o", "description": "d", "choices": [choice]}],
            }


def test_values_of_any_type_are_either_named_or_understood():
    accepted = 0
    for command in odd_commands():
        with contextlib.suppress(InvalidRequestError):
            validate_commands([command], "commands", in_guild=False)
            accepted += 1
            assert documents.equal(command, command, in_guild=False)
            assert documents.fingerprint(command, in_guild=True)
            assert documents.edit_of(command, in_guild=False)
    assert accepted > 100
