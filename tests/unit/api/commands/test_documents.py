"""Comparison of commands: what Discord adds or leaves out is no difference."""

import pytest

from discordproxy.commands_pb2 import Command, CommandOption
from discordproxy_api.commands.documents import creation_of, edit_of, equal, fingerprint, key_of, title, unchanged_of
from discordproxy_api.commands.messages import command_document, message_of

SHOP = {"name": "shop", "description": "Opens the shop"}
OPTION = {"type": 3, "name": "item", "description": "What"}
LISTED = {
    **SHOP,
    "id": "7",
    "application_id": "1",
    "version": "9",
    "type": 1,
    "name_localizations": None,
    "description_localizations": None,
    "default_member_permissions": None,
    "dm_permission": True,
    "contexts": None,
    "integration_types": [0],
    "nsfw": False,
}


@pytest.mark.parametrize(
    ("declared", "listed"),
    [
        ({}, {}),
        ({"type": 1, "options": [], "nsfw": False, "name_localizations": {}}, {}),
        ({"contexts": [2, 0, 1]}, {}),
        ({}, {"contexts": [0, 1, 2]}),
        ({}, {"integration_types": [0, 1]}),
        ({"integration_types": [1, 0]}, {"integration_types": [0, 1]}),
        ({"dm_permission": False}, {"contexts": [0]}),
        ({"dm_permission": False}, {"dm_permission": False}),
        ({"description": " Opens the shop "}, {}),
        ({"default_member_permissions": 8}, {"default_member_permissions": "8"}),
        ({"default_permission": True}, {}),
        ({}, {"name_localized": "laden", "some_later_key": [1]}),
        (
            {"options": [{**OPTION, "required": False, "autocomplete": None, "choices": []}]},
            {"options": [{**OPTION, "name_localized": "ware"}]},
        ),
        (
            {"options": [{**OPTION, "type": 7, "channel_types": [5, 0]}]},
            {"options": [{**OPTION, "type": 7, "channel_types": [0, 5]}]},
        ),
        (
            {"options": [{**OPTION, "type": 10, "min_value": 1.0}]},
            {"options": [{**OPTION, "type": 10, "min_value": 1}]},
        ),
    ],
)
def test_commands_with_the_same_meaning_are_equal(declared, listed):
    assert equal({**SHOP, **declared}, {**LISTED, **listed}, in_guild=False)


@pytest.mark.parametrize(
    ("declared", "listed"),
    [
        ({"description": "Another"}, {}),
        ({"nsfw": True}, {}),
        ({"contexts": [0]}, {}),
        ({}, {"contexts": [0]}),
        ({"integration_types": [1]}, {}),
        ({"default_member_permissions": 0}, {}),
        ({}, {"default_member_permissions": "0"}),
        ({"name_localizations": {"de": "laden"}}, {}),
        ({}, {"description_localizations": {"de": "Laden"}}),
        ({"some_later_key": 1}, {}),
        ({"options": [OPTION, {**OPTION, "name": "b"}]}, {"options": [{**OPTION, "name": "b"}, OPTION]}),
        (
            {"options": [{**OPTION, "choices": [{"name": "one", "value": "1"}]}]},
            {"options": [{**OPTION, "choices": [{"name": "one", "value": 1}]}]},
        ),
        ({"options": [{**OPTION, "min_length": 0}]}, {"options": [OPTION]}),
    ],
)
def test_commands_with_different_meanings_differ(declared, listed):
    assert not equal({**SHOP, **declared}, {**LISTED, **listed}, in_guild=False)
    assert fingerprint({**SHOP, **declared}, in_guild=False) != fingerprint({**LISTED, **listed}, in_guild=False)


def test_contexts_do_not_count_in_a_guild():
    assert equal({**SHOP, "contexts": [0], "dm_permission": False}, {**LISTED, "guild_id": "3"}, in_guild=True)


def test_an_edit_resets_what_is_not_declared():
    assert edit_of({**SHOP, "type": 1}, in_guild=False) == {
        **SHOP,
        "name_localizations": None,
        "description_localizations": None,
        "options": [],
        "default_member_permissions": None,
        "nsfw": False,
        "contexts": None,
    }
    assert "contexts" not in edit_of(SHOP, in_guild=True)
    assert edit_of({**SHOP, "nsfw": True, "contexts": [0]}, in_guild=False)["contexts"] == [0]


def test_a_command_of_others_is_written_back_completely():
    listed = {**LISTED, "name_localizations": {"de": "laden"}, "default_permission": True, "some_later_key": 5}
    kept = unchanged_of(listed)
    assert kept == {key: value for key, value in listed.items() if key not in {"application_id", "version"}}
    assert "dm_permission" not in unchanged_of({**listed, "contexts": [0]})
    assert "id" not in creation_of(listed)


def test_keys_and_titles():
    assert key_of({"type": 2, "name": " Show orders "}) == "2:Show orders"
    assert [key_of(SHOP), key_of({"type": 2, "name": "Show orders"})] == ["1:shop", "2:Show orders"]
    assert [title("1:shop"), title("2:Show"), title("3:a:b")] == ["/shop", "user command Show", "message command a:b"]


def test_a_message_becomes_discords_json_and_back():
    choices = [
        CommandOption.Choice(name="text", string_value="5"),
        CommandOption.Choice(name="zero", integer_value=0),
        CommandOption.Choice(name="half", number_value=0.5, name_localizations={"de": "halb"}),
    ]
    inner = CommandOption(type="INTEGER", name="a", description="b", min_value=5, max_value=7.5, required=True)
    command = Command(
        name="shop",
        type="CHAT_INPUT",
        description="x",
        name_localizations={"de": "laden"},
        default_member_permissions=0,
        contexts=["GUILD", "PRIVATE_CHANNEL"],
        options=[
            CommandOption(type="SUB_COMMAND", name="buy", description="y", options=[inner]),
            CommandOption(type="STRING", name="c", description="z", choices=choices),
        ],
        owner="left out",
    )
    document = command_document(command)
    assert document["default_member_permissions"] == "0"
    assert document["contexts"] == [0, 2]
    assert document["options"][0]["options"][0]["min_value"] == 5
    assert type(document["options"][0]["options"][0]["min_value"]) is int
    assert [choice["value"] for choice in document["options"][1]["choices"]] == ["5", 0, 0.5]
    assert "owner" not in document
    assert message_of(document, "left out") == command
