"""Libraries that replace the list of commands, with keys for commands of their own."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.access.keys import KeyFileError, new_key, read_keys
from discordproxy_sandbox.world.population import GUILD_ID
from integration.api.access.test_access import table
from integration.api.commands.conftest import App, Commands, command
from integration.api.conftest import Served, serve

GLOBAL = "/applications/100000000000000001/commands"
OF_GUILD = f"/applications/100000000000000001/guilds/{GUILD_ID}/commands"
SHOP, BANK, PLAIN, LIMITED = (new_key() for _ in range(4))


@dataclass
class Library:
    """A program that uses Discord's own routes through the REST port."""

    served: Served
    key: str
    session: aiohttp.ClientSession

    async def __call__(self, method: str, path: str, document: Any = None, option: str = "") -> tuple[int, Any]:
        url, headers = f"{self.served.rest_url}{option}/api/v10{path}", {"Authorization": f"Bot {self.key}"}
        async with self.session.request(method, url, json=document, headers=headers) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    async def set(self, *names: str, path: str = GLOBAL, description: str = "x") -> list[str]:
        """Replace the list, as libraries do at their start; return the names in the answer."""
        status, found = await self("PUT", path, [{"name": name, "description": description} for name in names])
        assert status == 200, found
        return [each["name"] for each in found]


@pytest.fixture
async def keyed(discord, tmp_path: Path) -> AsyncIterator[Served]:
    file = tmp_path / "keys.toml"
    entries = [
        table(SHOP, "shop", commands="own"),
        table(BANK, "bank", commands="own"),
        table(PLAIN, "plain"),
        table(LIMITED, "limited", commands=["shop", "shop-*"]),
    ]
    file.write_text("\n".join(entries))
    async with serve(discord, keys_file=file, rest_port=0) as served:
        yield served


@pytest.fixture
async def libraries(keyed) -> AsyncIterator[dict[str, Library]]:
    async with aiohttp.ClientSession() as session:
        keys = {"shop": SHOP, "bank": BANK, "plain": PLAIN, "limited": LIMITED}
        yield {name: Library(keyed, key, session) for name, key in keys.items()}


@pytest.fixture
def at_discord(keyed):
    return Commands(keyed.discord)


async def test_two_libraries_keep_each_others_commands(libraries, at_discord):
    shop, bank = libraries["shop"], libraries["bank"]
    at_discord.add("foreign")
    assert await shop.set("shop", "buy") == ["shop", "buy"]
    assert await bank.set("bank") == ["bank"]
    assert at_discord.names == {"foreign", "shop", "buy", "bank"}
    assert await shop.set("shop") == ["shop"]
    assert await shop.set("shop", description="Changed") == ["shop"]
    assert at_discord.names == {"foreign", "shop", "bank"}
    assert at_discord["shop"]["description"] == "Changed"
    assert await bank.set() == []
    assert at_discord.names == {"foreign", "shop"}


async def test_the_answer_is_discords_object(libraries, at_discord):
    _status, (made,) = await libraries["shop"]("PUT", GLOBAL, [{"name": "shop", "description": "x"}])
    assert made == at_discord["shop"]


async def test_commands_of_a_guild(libraries, at_discord):
    assert await libraries["shop"].set("help", path=OF_GUILD) == ["help"]
    assert await libraries["bank"].set("help") == ["help"]
    assert await libraries["bank"].set("bank", path=OF_GUILD) == ["bank"]
    assert {each["name"] for each in at_discord.of(int(GUILD_ID))} == {"help", "bank"}


async def test_a_library_sees_its_own_commands_only(libraries, at_discord):
    shop, bank = libraries["shop"], libraries["bank"]
    at_discord.add("foreign")
    await shop.set("shop")
    await bank.set("bank")
    status, listed = await shop("GET", f"{GLOBAL}?with_localizations=true")
    assert (status, [each["name"] for each in listed]) == (200, ["shop"])
    for name in ("bank", "foreign"):
        path = f"{GLOBAL}/{at_discord[name]['id']}"
        for method, document in (("GET", None), ("PATCH", {"description": "Stolen"}), ("DELETE", None)):
            status, answer = await shop(method, path, document)
            assert (status, answer["code"]) == (404, 10063)
    assert at_discord.names == {"foreign", "shop", "bank"}
    assert at_discord["bank"]["description"] == "x"


async def test_single_changes_of_own_commands(libraries, at_discord):
    shop, bank = libraries["shop"], libraries["bank"]
    await bank.set("bank")
    status, made = await shop("POST", GLOBAL, {"name": "shop", "description": "x"})
    assert (status, made["name"]) == (201, "shop")
    assert (await shop("POST", GLOBAL, {"name": "shop", "description": "y"}))[0] == 200
    assert (await shop("POST", GLOBAL, {"name": "buy", "description": "x"}))[0] == 201
    assert at_discord.names == {"shop", "buy", "bank"}  # POST deletes nothing
    path = f"{GLOBAL}/{made['id']}"
    assert (await shop("GET", path))[1]["description"] == "y"
    assert (await shop("PATCH", path, {"name": "store"}))[1]["name"] == "store"
    status, answer = await bank("POST", GLOBAL, {"name": "store", "description": "x"})
    assert (status, answer["discordproxy"]["reason"]) == (409, "COMMAND_EXISTS")
    assert (await shop("DELETE", path))[0] == 204
    assert await shop.set("shop") == ["shop"]
    assert at_discord.names == {"shop", "bank"}


async def test_a_command_is_not_renamed_to_a_name_of_others(libraries, at_discord):
    shop, bank = libraries["shop"], libraries["bank"]
    await shop.set("shop")
    await bank.set("bank")
    bank_id, path = at_discord["bank"]["id"], f"{GLOBAL}/{at_discord['shop']['id']}"
    del at_discord.discord.world.commands[""][bank_id]  # the name stays the bank's
    status, answer = await shop("PATCH", path, {"name": "bank"})
    assert (status, "/bank belongs to the application bank" in answer["message"]) == (409, True)
    assert at_discord.names == {"shop"}
    assert await bank.set("bank") == ["bank"]
    assert (await shop("PATCH", path, {"name": "shop", "description": "Changed"}))[0] == 200


async def test_methods_that_a_list_does_not_have_are_left_to_discord(libraries, at_discord):
    for method in ("PATCH", "DELETE"):
        assert (await libraries["shop"](method, GLOBAL, {"name": "shop", "description": "x"}))[0] == 405
    assert at_discord.names == set()


async def test_a_conflict_is_an_http_error_with_the_owner(libraries, at_discord):
    await libraries["bank"].set("help")
    status, answer = await libraries["shop"]("PUT", GLOBAL, [{"name": "help", "description": "Mine"}])
    assert status == 409
    assert "/help belongs to the application bank" in answer["message"]
    assert answer["discordproxy"]["sent"] == "no"
    assert at_discord["help"]["description"] == "x"


async def test_a_command_that_is_nested_too_deep_is_refused(libraries, at_discord):
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    status, _answer = await libraries["shop"]("PUT", GLOBAL, [{"name": "shop", "description": "x", "later": deep}])
    assert (status, at_discord.requests) == (400, [])


async def test_commands_without_an_owner_are_adopted_or_taken_over(libraries, at_discord):
    same, other = at_discord.add("same", description="x"), at_discord.add("other", description="Before")
    await libraries["bank"].set("bank")
    declared = [{"name": "same", "description": "x"}, {"name": "other", "description": "After"}]
    status, answer = await libraries["shop"]("PUT", GLOBAL, declared)
    assert (status, "no application owns it" in answer["message"]) == (409, True)
    status, made = await libraries["shop"]("PUT", GLOBAL, declared, option="/commands=take-over")
    assert (status, [each["id"] for each in made]) == (200, [same["id"], other["id"]])
    assert at_discord["other"]["description"] == "After"
    refused = await libraries["shop"](
        "PUT", GLOBAL, [{"name": "bank", "description": "x"}], option="/commands=take-over"
    )
    assert refused[0] == 409
    assert (await libraries["shop"]("GET", GLOBAL, option="/commands=all"))[0] == 400


async def test_an_invalid_command_has_discords_form_of_an_error(libraries, at_discord):
    status, answer = await libraries["shop"]("PUT", GLOBAL, [{"name": "Shop", "description": "x"}])
    assert (status, answer["code"]) == (400, 50035)
    assert answer["errors"]["commands"]["0"]["name"]["_errors"][0]["code"] == "APPLICATION_COMMAND_INVALID_NAME"
    for document in ({"name": "shop"}, "text"):
        assert (await libraries["shop"]("PUT", GLOBAL, document))[0] == 400


async def test_other_keys_are_passed_through(libraries, at_discord):
    await libraries["shop"].set("shop")
    assert await libraries["plain"].set("plain") == ["plain"]
    assert at_discord.names == {"plain"}
    assert (await libraries["plain"]("GET", GLOBAL))[1][0]["name"] == "plain"


async def test_the_call_request_is_answered_in_the_same_way(keyed, libraries, at_discord):
    await libraries["bank"].set("bank")

    async def request(method, path, document=None):
        answer = await keyed.stub.Request(
            pb.ApiRequest(method=method, path=path, json=json.dumps(document) if document is not None else ""),
            metadata=[("authorization", f"Bearer {SHOP}")],
        )
        return json.loads(answer.body)

    assert [each["name"] for each in await request("PUT", GLOBAL, [{"name": "shop", "description": "x"}])] == ["shop"]
    assert [each["name"] for each in await request("GET", GLOBAL)] == ["shop"]
    assert at_discord.names == {"shop", "bank"}
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await request("DELETE", f"{GLOBAL}/{at_discord['bank']['id']}")
    assert failed.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    "path",
    [GLOBAL, f"{GLOBAL}/", GLOBAL.replace("applications", "%61pplications"), "/applications/@me/commands"],
    ids=["plain", "slash", "encoded", "me"],
)
async def test_no_other_spelling_of_a_route_reaches_the_commands_of_others(libraries, at_discord, path):
    await libraries["bank"].set("bank")
    await libraries["shop"]("PUT", path, [])
    assert at_discord.names == {"bank"}


@pytest.mark.parametrize("guild", ["0", "abc", "%30"])
async def test_an_invalid_guild_is_refused(libraries, at_discord, guild):
    await libraries["shop"].set("shop")
    status, _answer = await libraries["shop"]("PUT", f"/applications/100000000000000001/guilds/{guild}/commands", [])
    assert status == 400
    assert at_discord.names == {"shop"}


# Names


async def test_a_key_limits_the_names(keyed, libraries, at_discord):
    limited = libraries["limited"]
    assert await limited.set("shop", "shop-buy") == ["shop", "shop-buy"]
    status, answer = await limited("PUT", GLOBAL, [{"name": "bank", "description": "x"}])
    assert (status, "may not have the command /bank" in answer["message"]) == (403, True)
    assert (await limited("POST", GLOBAL, {"name": "bank", "description": "x"}))[0] == 403
    path = f"{GLOBAL}/{at_discord['shop']['id']}"
    assert (await limited("PATCH", path, {"name": "bank"}))[0] == 403
    app = App(keyed.stub, "liar")
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await keyed.stub.SyncCommands(
            pb.SyncCommandsRequest(commands=[command("bank")]), metadata=[("authorization", f"Bearer {LIMITED}")]
        )
    assert failed.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert app.name == "liar"
    assert at_discord.names == {"shop", "shop-buy"}


@pytest.mark.parametrize("key", [LIMITED, SHOP], ids=["limited", "own"])
async def test_a_key_for_own_commands_releases_no_others(keyed, libraries, key):
    await libraries["bank"].set("bank")
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await keyed.stub.ReleaseCommands(
            pb.ReleaseCommandsRequest(names=["bank"], owner="bank"), metadata=[("authorization", f"Bearer {key}")]
        )
    assert failed.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_key_for_guilds_has_no_commands_of_all_guilds(discord, tmp_path):
    file = tmp_path / "keys.toml"
    file.write_text(table(SHOP, "shop", guilds=[int(GUILD_ID)]))
    async with serve(discord, keys_file=file) as served:
        metadata = [("authorization", f"Bearer {SHOP}")]
        request = pb.SyncCommandsRequest(commands=[command("shop")], guild_id=int(GUILD_ID))
        assert len((await served.stub.SyncCommands(request, metadata=metadata)).changes) == 1
        for guild_id in (0, 5):
            request.guild_id = guild_id
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await served.stub.SyncCommands(request, metadata=metadata)
            assert failed.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "" not in discord.world.commands


@pytest.mark.parametrize("value", ['"all"', "[1]", '[""]', "true"])
def test_an_invalid_setting_is_reported(value):
    with pytest.raises(KeyFileError, match="commands"):
        read_keys(f"{table(SHOP)}commands = {value}\n")
