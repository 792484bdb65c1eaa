"""Keys, scopes and the audit log: a real worker, real gRPC, a local Discord."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.access.keys import digest_of, new_key
from discordproxy_sandbox.rest.faults import Fault
from discordproxy_sandbox.world.objects import make_channel, make_guild
from discordproxy_sandbox.world.population import CHANNEL_ID, GUILD_ID, THREAD_ID, USER_ID
from fakes.eventually import eventually
from integration.api.conftest import Served, serve

CHANNEL, GUILD, THREAD, USER = int(CHANNEL_ID), int(GUILD_ID), int(THREAD_ID), int(USER_ID)
ELSEWHERE, OTHER_GUILD = 500000000000000901, 300000000000000901


def table(key: str, app: str = "srp", **settings: object) -> str:
    """An entry of a key file."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    return "\n".join(["[[keys]]", f'app = "{app}"', f'sha256 = "{digest_of(key)}"', *lines, ""])


@dataclass
class Keyed:
    """A worker that asks for keys, and one key whose entry the test writes."""

    served: Served
    file: Path
    key: str

    def allow(self, **settings: object) -> None:
        self.file.write_text(table(self.key, **settings))

    async def call(self, name: str, key: str | None = None, **fields: object) -> Message:
        rpc = getattr(self.served.stub, name)
        metadata = [("authorization", f"Bearer {self.key if key is None else key}"), ("x-discordproxy-app", "liar")]
        return await rpc(REQUESTS[name](**fields), metadata=metadata)

    async def refused(self, name: str, *words: str, status: str = "PERMISSION_DENIED", **fields: object) -> dict:
        """Make a call that must be refused with nothing spent; return the details."""
        spent = len(self.served.broker.acquired)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await self.call(name, **fields)
        details = json.loads(failed.value.details())
        assert failed.value.code().name == status, details
        assert details["sent"] == "no"
        assert all(word in details["text"] for word in words), details["text"]
        lookups = [
            each for each in self.served.broker.acquired[spent:] if each.route.name != "GET /channels/{channel_id}"
        ]
        assert not lookups
        return details


REQUESTS = {
    "SendChannelMessage": pb.SendChannelMessageRequest,
    "SendDirectMessage": pb.SendDirectMessageRequest,
    "GetChannel": pb.ChannelId,
    "TriggerTyping": pb.ChannelId,
    "GetGuildChannels": pb.GetGuildChannelsRequest,
    "ListGuilds": pb.ListGuildsRequest,
    "GetUser": pb.GetUserRequest,
    "Request": pb.ApiRequest,
}


@contextlib.asynccontextmanager
async def keyed(discord, tmp_path: Path, allowed: dict[str, object], **settings) -> AsyncIterator[Keyed]:
    key, file = new_key(), tmp_path / "keys.toml"
    file.write_text(table(key, **allowed))
    file.chmod(0o600)
    discord.world.guilds[str(OTHER_GUILD)] = make_guild(str(OTHER_GUILD), "Other", USER_ID)
    discord.world.add_channel(make_channel(str(ELSEWHERE), str(OTHER_GUILD), "elsewhere", 0, 0))
    async with serve(discord, keys_file=file, **settings) as served:
        yield Keyed(served, file, key)


async def test_who_has_no_key_gets_nothing_but_health(discord, tmp_path):
    async with keyed(discord, tmp_path, {}) as keyed_:
        for key, word in (
            ("", "requires a key"),
            ("dpk_" + "x" * 43, "unknown"),
            ("secret", "not a key of Discord Proxy"),
        ):
            details = await keyed_.refused(
                "SendChannelMessage", word, status="UNAUTHENTICATED", key=key, channel_id=CHANNEL, content="x"
            )
            assert details["reason"] == "UNAUTHENTICATED"
        channel = keyed_.served.channel
        health = await HealthStub(channel).Check(HealthCheckRequest())
        assert health.status == HealthCheckResponse.SERVING
        reflected = ServerReflectionStub(channel).ServerReflectionInfo(
            iter([ServerReflectionRequest(list_services="")])
        )
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await reflected.read()
        assert failed.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert (await keyed_.call("GetChannel", channel_id=CHANNEL)).channel.id == CHANNEL
        assert not keyed_.served.discord.world.channels[CHANNEL_ID].messages


async def test_the_key_names_the_application_and_weighs_its_calls(discord, tmp_path):
    async with keyed(discord, tmp_path, {"share": 2.5, "priority": "low"}) as keyed_:
        options = pb.RequestOptions(priority=pb.RequestOptions.HIGH)
        await keyed_.call("SendChannelMessage", channel_id=CHANNEL, content="x", options=options)
        caller = keyed_.served.broker.acquired[-1].caller
        assert (caller.app, caller.weight, caller.priority) == ("srp", 2.5, "low")


async def test_rpcs_and_routes(discord, tmp_path):
    allowed = {"rpcs": ["read", "SendDirectMessage"], "requests": ["GET /guilds/{guild_id}/*"]}
    async with keyed(discord, tmp_path, allowed) as keyed_:
        await keyed_.call("SendDirectMessage", user_id=USER, content="x")
        await keyed_.call("GetChannel", channel_id=CHANNEL)
        await keyed_.call("Request", method="GET", path=f"/guilds/{GUILD}/roles")
        await keyed_.refused("SendChannelMessage", "srp", "SendChannelMessage", channel_id=CHANNEL, content="x")
        await keyed_.refused(
            "Request", "POST /channels/{channel_id}/messages", method="POST", path="/channels/5/messages"
        )
        await keyed_.refused("Request", "GET /users/{user_id}", method="GET", path="/users/%35")


async def test_a_route_of_requests_allows_no_typed_rpc(discord, tmp_path):
    allowed = {"rpcs": ["GetUser"], "requests": ["GET /channels/{channel_id}"]}
    async with keyed(discord, tmp_path, allowed) as keyed_:
        await keyed_.call("Request", method="GET", path=f"/channels/{CHANNEL}")
        await keyed_.refused("GetChannel", "srp", "GetChannel", channel_id=CHANNEL)


async def test_places(discord, tmp_path):
    async with keyed(discord, tmp_path, {"guilds": [GUILD]}) as keyed_:
        for channel_id in (CHANNEL, THREAD):
            await keyed_.call("SendChannelMessage", channel_id=channel_id, content="x")
        await keyed_.call("GetGuildChannels", guild_id=GUILD)
        await keyed_.call("GetUser", user_id=USER)
        await keyed_.refused("SendChannelMessage", str(ELSEWHERE), channel_id=ELSEWHERE, content="x")
        await keyed_.refused("SendChannelMessage", "12345", channel_id=12345, content="x")
        await keyed_.refused("GetGuildChannels", str(OTHER_GUILD), guild_id=OTHER_GUILD)
        await keyed_.refused("ListGuilds", "names none")
        await keyed_.refused("SendDirectMessage", "direct_messages", user_id=USER, content="x")
        forwarded = pb.Message.Reference(message_id=1, channel_id=ELSEWHERE)
        await keyed_.refused(
            "SendChannelMessage", str(ELSEWHERE), channel_id=CHANNEL, content="x", message_reference=forwarded
        )
        body = json.dumps({"content": "x", "message_reference": {"channel_id": str(ELSEWHERE), "message_id": "1"}})
        path = f"/channels/{CHANNEL}/messages"
        await keyed_.refused("Request", str(ELSEWHERE), method="POST", path=path, json=body)
        asked = [each for each in keyed_.served.broker.acquired if each.route.name == "GET /channels/{channel_id}"]
        assert len(asked) == 4  # each channel once


async def test_a_channel_includes_what_lies_in_it(discord, tmp_path):
    async with keyed(discord, tmp_path, {"channels": [CHANNEL], "direct_messages": True}) as keyed_:
        await keyed_.call("SendChannelMessage", channel_id=THREAD, content="x")
        await keyed_.call("SendDirectMessage", user_id=USER, content="x")
        await keyed_.refused("SendChannelMessage", channel_id=CHANNEL + 1, content="x")
        await keyed_.refused("GetGuildChannels", guild_id=GUILD)


async def test_where_a_channel_lies_is_asked_once_for_a_burst(discord, tmp_path):
    async with keyed(discord, tmp_path, {"guilds": [GUILD]}) as keyed_:
        keyed_.served.broker.granting.clear()
        burst = [asyncio.create_task(keyed_.call("TriggerTyping", channel_id=CHANNEL)) for _ in range(5)]
        await eventually(lambda: keyed_.served.worker.metrics.in_progress == len(burst))
        keyed_.served.broker.granting.set()
        await asyncio.gather(*burst)
        asked = [each.route.name for each in keyed_.served.broker.acquired]
        assert asked.count("GET /channels/{channel_id}") == 1


@pytest.mark.parametrize("status", [403, 404])
async def test_a_page_of_the_edge_does_not_make_a_channel_unknown(discord, tmp_path, status):
    discord.faults.add(Fault(kind="status", method="GET", path=f"/channels/{CHANNEL}$", status=status, body="page"))
    async with keyed(discord, tmp_path, {"guilds": [GUILD]}) as keyed_:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await keyed_.call("TriggerTyping", channel_id=CHANNEL)
        details = json.loads(failed.value.details())
        assert (details["status"], details["answered_by"], details["sent"]) == (status, "edge", "no")
        await keyed_.call("TriggerTyping", channel_id=CHANNEL)


async def test_users_are_not_written_to_by_another_way(discord, tmp_path):
    async with keyed(discord, tmp_path, {"direct_messages": True}) as keyed_:
        written = await keyed_.call("SendDirectMessage", user_id=USER, content="x")
    async with keyed(discord, tmp_path, {"direct_messages": False}) as keyed_:
        await keyed_.call("SendChannelMessage", channel_id=CHANNEL, content="x")
        shared, told = written.message.channel_id, "direct_messages"
        await keyed_.refused("SendChannelMessage", told, channel_id=shared, content="x")
        body = json.dumps({"recipient_id": str(USER)})
        for path in ("/users/@me/channels", "/users/%40me/channels", "/user%73/@%6de/channels/"):
            await keyed_.refused("Request", told, method="POST", path=path, json=body)


async def test_a_changed_file_is_taken_over_and_a_broken_one_is_not(discord, tmp_path, caplog):
    async with keyed(discord, tmp_path, {"rpcs": ["GetChannel"]}) as keyed_:
        await keyed_.refused("GetUser", user_id=USER)

        async def allowed() -> bool:
            with contextlib.suppress(grpc.aio.AioRpcError):
                return bool(await keyed_.call("GetUser", user_id=USER))
            return False

        keyed_.allow(rpcs=["GetUser"])
        await eventually(allowed)
        await keyed_.refused("GetChannel", channel_id=CHANNEL)
        keyed_.file.write_text(table(keyed_.key, rpcs=["GetUsr"]))

        async def told() -> bool:
            assert await allowed()
            return "'GetUsr' matches no RPC" in caplog.text

        await eventually(told)
        assert keyed_.key not in caplog.text


async def test_the_audit_log_tells_who_did_what_where(discord, tmp_path, caplog):
    caplog.set_level(logging.INFO, "discordproxy_api.audit")
    async with keyed(discord, tmp_path, {"guilds": [GUILD], "requests": ["*"]}) as keyed_:
        await keyed_.call("GetChannel", channel_id=CHANNEL)
        await keyed_.call("SendChannelMessage", channel_id=CHANNEL, content="canary content")
        await keyed_.refused("SendChannelMessage", channel_id=ELSEWHERE, content="canary content")
        path = f"/channels/{CHANNEL}/messages"
        await keyed_.call("Request", method="POST", path=path, json='{"content": "canary content"}')
        await keyed_.refused(
            "SendDirectMessage", status="UNAUTHENTICATED", key="wrong", user_id=USER, content="canary content"
        )
        key = digest_of(keyed_.key)[:8]
    lines = [record.getMessage() for record in caplog.records if record.name == "discordproxy_api.audit"]
    assert [line.partition(" request=")[0].split(" peer=")[0] for line in lines] == [
        f"app=srp key={key}",
        f"app=srp key={key}",
        f"app=srp key={key}",
        "app=(unauthenticated) key=-",
    ]
    said = [" ".join(line.split()[3:7]) for line in lines]
    assert said == [
        f"call=SendChannelMessage at=channel={CHANNEL} outcome=OK sent=yes",
        f"call=SendChannelMessage at=channel={ELSEWHERE} outcome=PERMISSION_DENIED/FORBIDDEN_BY_OPERATOR sent=no",
        f"call=POST_/channels/{{channel_id}}/messages at=channel={CHANNEL} outcome=OK sent=yes",
        "call=SendDirectMessage at=- outcome=UNAUTHENTICATED/UNAUTHENTICATED sent=no",
    ]
    assert "canary" not in caplog.text
    assert keyed_.key not in caplog.text


async def test_the_audit_log_shows_content_only_if_asked(discord, tmp_path, caplog):
    caplog.set_level(logging.INFO, "discordproxy_api.audit")
    async with keyed(discord, tmp_path, {}, audit_content=True) as keyed_:
        await keyed_.call("SendChannelMessage", channel_id=CHANNEL, content='say "hi"\nthere')
    assert r'content="say \"hi\"\nthere"' in caplog.text


async def test_without_keys_applications_name_themselves(served, caplog):
    caplog.set_level(logging.INFO, "discordproxy_api.audit")
    request = pb.SendChannelMessageRequest(channel_id=CHANNEL, content="x")
    await served.stub.SendChannelMessage(request, metadata=[("x-discordproxy-app", "freight")])
    assert served.broker.acquired[-1].caller.app == "freight"
    assert "outcome=" not in caplog.text


@pytest.mark.parametrize("allowed", [{"guilds": [GUILD]}, {"rpcs": ["Request"]}, {"authorization": False}])
async def test_a_limited_key_brings_no_authorization_unless_it_may(discord, tmp_path, allowed):
    async with keyed(discord, tmp_path, allowed) as keyed_:
        fields = {"method": "GET", "path": f"/guilds/{GUILD}"}
        for authorization in ("Bearer a-users", "none"):
            await keyed_.refused(
                "Request", "set the key's authorization to true", authorization=authorization, **fields
            )
    async with keyed(discord, tmp_path, allowed | {"authorization": True}) as keyed_:
        with pytest.raises(grpc.aio.AioRpcError):
            await keyed_.call("Request", authorization="none", **fields)
        assert discord.ledger.records[-1].credential == "none"


async def test_a_limited_key_may_say_that_it_brings_none_where_none_is_needed(discord, tmp_path):
    async with keyed(discord, tmp_path, {"guilds": [GUILD]}) as keyed_:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await keyed_.call("Request", method="GET", path="/webhooks/1/token", authorization="none")
    assert json.loads(failed.value.details())["reason"] == "DISCORD_ERROR"


async def test_a_rate_bounds_requests_and_subscriptions(discord, tmp_path):
    discord.limits.set("POST /channels/{channel_id}/messages", None)  # a 429 would cost a turn, too
    async with keyed(discord, tmp_path, {"calls_per_s": 1000.0}) as keyed_:
        taken = keyed_.served.broker.app_rate.taken
        await keyed_.call("SendChannelMessage", channel_id=CHANNEL, content="x")
        assert len(taken) == 1
        await keyed_.call("SendChannelMessage", channel_id=CHANNEL, content="x" * 7_000, overflow=pb.OVERFLOW_SPLIT)
        assert len(taken) == 5, "four messages"
        discord.faults.add(Fault(kind="status", status=502, count=3))
        await keyed_.call("SendChannelMessage", channel_id=CHANNEL, content="x")
        assert len(taken) == 9, f"three repeats: {[record.status for record in discord.ledger.records]}"
        metadata = [("authorization", f"Bearer {keyed_.key}")]
        with pytest.raises(grpc.aio.AioRpcError):
            await keyed_.served.stub.SubscribeEvents(pb.SubscribeEventsRequest(), metadata=metadata).read()
        assert len(taken) == 10
