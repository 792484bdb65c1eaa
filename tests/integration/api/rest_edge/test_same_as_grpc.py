"""The same call over gRPC and over the REST port: the same audit line, bounds and order."""

import asyncio
import contextlib
import logging
import re
import ssl

import aiohttp

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.access.keys import new_key
from discordproxy_sandbox.resources.application.interactions import interact
from discordproxy_sandbox.world.population import CHANNEL_ID, GUILD_ID, USER_ID
from fakes.certificates import Authority
from fakes.eventually import eventually
from hostile import attacks
from integration.api.access.test_access import table
from integration.api.conftest import serve
from integration.api.rest_edge.conftest import callers


async def test_the_audit_log_has_the_same_line(discord, tmp_path, caplog):
    caplog.set_level(logging.INFO, "discordproxy_api.audit")
    key, file = new_key(), tmp_path / "keys.toml"
    file.write_text(table(key))
    async with serve(discord, keys_file=file, rest_port=0) as served:
        request = pb.SendChannelMessageRequest(channel_id=int(CHANNEL_ID), content="x")
        await served.stub.SendChannelMessage(request, metadata=[("authorization", f"Bearer {key}")])
        async for call in callers(served):
            headers = {"Authorization": f"Bot {key}"}
            await call("POST", f"/channels/{CHANNEL_ID}/messages", headers=headers, json={"content": "x"})
    lines = [record.getMessage() for record in caplog.records if record.name == "discordproxy_api.audit"]
    assert len(lines) == 2
    assert len({re.sub(r"peer=\S+|request=\S+", "", line) for line in lines}) == 1, lines


async def test_both_ways_in_share_the_bounds_of_calls(discord):
    async with serve(discord, rest_port=0, max_calls=1) as served:
        served.broker.granting.clear()
        waiting = asyncio.ensure_future(served.stub.GetUser(pb.GetUserRequest(user_id=int(USER_ID), fresh=True)))
        await eventually(lambda: served.broker.waiting == 1)
        async for call in callers(served):
            answer = await call("GET", f"/channels/{CHANNEL_ID}")
            assert (answer.status, answer.reason) == (429, "QUEUE_FULL")
        served.broker.granting.set()
        await waiting


async def test_changes_of_roles_go_one_after_another(call):
    listed = (await call("GET", f"/guilds/{GUILD_ID}/roles")).document
    roles = [role["id"] for role in listed if role["id"] != GUILD_ID and not role["managed"]]
    assert len(roles) > 1
    paths = [f"/guilds/{GUILD_ID}/members/{USER_ID}/roles/{role}" for role in roles]
    answers = await asyncio.gather(*(call("PUT", path) for path in paths))
    assert {answer.status for answer in answers} == {204}
    changes = [record for record in call.served.discord.ledger.records if record.method == "PUT"]
    assert [change.in_flight for change in changes] == [1] * len(roles)


async def test_an_interaction_is_answered_once(call):
    used = interact(call.served.discord.world, CHANNEL_ID, USER_ID)
    path = f"/interactions/{used['id']}/{used['token']}/callback"
    document = {"type": 4, "data": {"content": "pong"}}
    assert (await call("POST", path, json=document, headers={"Authorization": "Bot dpk_x"})).status in {200, 204}
    again = await call("POST", path, json=document)
    assert (again.status, again.document["code"]) == (400, 40060)
    assert not [record for record in call.served.discord.ledger.records if record.violations]


async def test_the_same_certificate_encrypts_both_ports(discord, tmp_path):
    authority = Authority(tmp_path)
    pair = authority.issue()
    trust = ssl.create_default_context(cafile=str(authority.path))
    async with serve(discord, rest_port=0, tls_cert=pair.cert, tls_key=pair.key) as served:
        url = f"https://localhost:{served.rest_port}/api/v10/channels/{CHANNEL_ID}"
        async with aiohttp.request("GET", url, ssl=trust) as answer:
            assert answer.status == 200
        async with attacks.connection(served.rest_port) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                assert b"HTTP" not in await asyncio.wait_for(reader.read(), 30)
