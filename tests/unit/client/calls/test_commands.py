"""Declared commands as arguments, and the commands of the fake proxy."""

import json
import math

import grpc
import pytest

from discordproxy.aio import AsyncDiscordClient
from discordproxy.client import DiscordClient
from discordproxy.discord_api_pb2 import Command, CommandOption, SyncCommandsResponse
from discordproxy.exceptions import DiscordProxyGrpcError

SHOP = {"name": "shop", "description": "Opens the shop"}
Action = SyncCommandsResponse.Change.Action


def actions(found):
    return {change.command.name: Action.Name(change.action) for change in found.changes}


@pytest.mark.parametrize(
    "commands",
    [[Command(**SHOP)], (Command(**SHOP) for _ in range(1)), [SHOP], json.dumps([SHOP])],
    ids=["messages", "iterator", "dicts", "text"],
)
def test_commands_in_every_form(proxy, commands):
    assert actions(DiscordClient().sync_commands(commands)) == {"shop": "CREATED"}
    (request,) = proxy.requests("SyncCommands")
    assert bool(request.commands) != bool(request.commands_json)
    (found,) = DiscordClient().list_commands()
    assert (found.name, found.description, found.owner) == ("shop", "Opens the shop", "default")


@pytest.mark.parametrize(
    "commands",
    [[SHOP, Command(**SHOP)], ["shop"], "{", 5, [{"name": {1}}], [{"n": math.nan}], [{"n": "\ud800"}], '["\ud800"]'],
    ids=["both", "texts", "no JSON", "a number", "no JSON inside", "NaN", "a surrogate", "a surrogate in JSON"],
)
def test_other_forms_are_errors(proxy, commands):
    with pytest.raises(ValueError, match=r"^commands: "):
        DiscordClient().sync_commands(commands)
    assert proxy.calls == []


def test_the_fake_proxy_keeps_commands(proxy):
    client = DiscordClient()
    client.sync_commands([SHOP, {"name": "old", "description": "x"}])
    ids = {each.name: each.id for each in client.list_commands()}
    assert actions(client.sync_commands([SHOP])) == {"shop": "UNCHANGED", "old": "DELETED"}
    changed = {
        **SHOP,
        "options": [{"type": 3, "name": "a", "description": "b", "choices": [{"name": "c", "value": "d"}]}],
    }
    assert actions(client.sync_commands([changed], dry_run=True)) == {"shop": "UPDATED"}
    assert not client.list_commands()[0].options
    client.sync_commands([changed])
    (found,) = client.list_commands()
    assert (found.id, found.options[0].choices[0].string_value) == (ids["shop"], "d")
    assert client.list_commands(guild_id=7) == []


def test_commands_of_others_in_the_fake_proxy(proxy):
    client = DiscordClient()
    proxy.add_command("bank", owner="bank", description="x")
    proxy.add_command("help", description="x")
    for commands, owner in (
        ([{"name": "bank", "description": "x"}], "bank"),
        ([{"name": "help", "description": "y"}], "no"),
    ):
        with pytest.raises(DiscordProxyGrpcError, match=owner) as refused:
            client.sync_commands(commands)
        assert (refused.value.status, refused.value.sent) == (grpc.StatusCode.ALREADY_EXISTS, "no")
    found = client.sync_commands([{"name": "help", "description": "x"}])
    assert (actions(found), found.others) == ({"help": "ADOPTED"}, 1)
    assert [each.name for each in client.release_commands(["help", "bank"])] == ["help"]
    assert actions(client.sync_commands([{"name": "help", "description": "y"}], take_over=True)) == {"help": "UPDATED"}
    assert {each.name: each.owner for each in client.list_commands()} == {"bank": "bank", "help": "default"}


async def test_the_asynchronous_client(proxy):
    async with AsyncDiscordClient() as client:
        option = CommandOption(type="INTEGER", name="n", description="x", min_value=1)
        assert actions(await client.sync_commands([Command(name="shop", options=[option])])) == {"shop": "CREATED"}
        assert [each.name for each in await client.list_commands()] == ["shop"]
        assert [each.name for each in await client.release_commands(["shop"])] == ["shop"]


def test_own_interactions_of_the_fake_proxy(proxy):
    client = DiscordClient()
    client.sync_commands([SHOP])
    for number, data in enumerate([{"name": "shop"}, {"name": "bank"}, {"custom_id": "shop:1"}, {"custom_id": "bank"}]):
        proxy.emit("INTERACTION_CREATE", id=str(number), data=data)
    proxy.emit("MESSAGE_CREATE", id="4")
    found = [json.loads(event.json)["id"] for event in client.events(mine=True, custom_id_prefixes=["shop:"])]
    assert found == ["0", "2", "4"]
    assert [json.loads(event.json)["id"] for event in client.events(mine=True)] == ["0", "4"]
