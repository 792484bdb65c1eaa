"""SyncMemberRoles, Request, and RPCs with several requests, with a local Discord."""

import json

import grpc
import pytest

from discordproxy.discord_api_pb2 import (
    ApiRequest,
    BulkDeleteMessagesRequest,
    MessageId,
    RequestOptions,
    SendChannelMessageRequest,
    SyncMemberRolesRequest,
)
from discordproxy_sandbox.world.population import CHANNEL_ID, GUILD_ID, ROLE_ID, USER_ID, nth
from integration.api.conftest import serve

ADMIN, MODERATOR, MEMBER = (int(nth(ROLE_ID, number)) for number in range(3))


async def sync(served, roles, managed, **fields):
    request = SyncMemberRolesRequest(
        guild_id=int(GUILD_ID), user_id=int(USER_ID), roles=roles, managed=managed, **fields
    )
    answer = await served.stub.SyncMemberRoles(request)
    return list(answer.added), list(answer.removed)


def roles_of(served):
    return {int(role) for role in served.discord.world.guilds[GUILD_ID].members.get(USER_ID)["roles"]}


def requests_of(served):
    return [record.method for record in served.discord.ledger.records]


async def test_managed_roles_are_set_and_others_stay(served):
    assert roles_of(served) == {MEMBER}
    assert await sync(served, [MODERATOR], [ADMIN, MODERATOR], reason="promotion") == ([MODERATOR], [])
    assert roles_of(served) == {MODERATOR, MEMBER}
    assert requests_of(served) == ["GET", "PUT"]
    assert served.discord.ledger.records[1].reason == "promotion"


async def test_several_roles_are_written_as_one_list(served):
    assert await sync(served, [ADMIN, MODERATOR], [ADMIN, MODERATOR, MEMBER]) == ([ADMIN, MODERATOR], [MEMBER])
    assert roles_of(served) == {ADMIN, MODERATOR}
    assert requests_of(served) == ["GET", "PATCH"]


async def test_nothing_is_edited_without_a_difference(served):
    assert await sync(served, [MEMBER], [MEMBER, ADMIN]) == ([], [])
    assert requests_of(served) == ["GET"]


async def test_roles_are_removed(served):
    assert await sync(served, [], [MEMBER]) == ([], [MEMBER])
    assert roles_of(served) == set()


async def test_roles_outside_the_managed_ones_are_refused(served):
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await sync(served, [MODERATOR, ADMIN], [MODERATOR])
    details = json.loads(failed.value.details())
    assert (failed.value.code().name, details["fields"][0]["path"]) == ("INVALID_ARGUMENT", "roles[1]")
    assert not served.discord.ledger.records


async def test_an_unknown_member_is_discords_error(served):
    request = SyncMemberRolesRequest(guild_id=int(GUILD_ID), user_id=7, managed=[MEMBER])
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await served.stub.SyncMemberRoles(request)
    details = json.loads(failed.value.details())
    assert (failed.value.code().name, details["sent"]) == ("NOT_FOUND", "no")


async def test_request_returns_body_and_limits(served):
    answer = await served.stub.Request(ApiRequest(method="GET", path=f"/guilds/{GUILD_ID}/channels"))
    assert answer.status == 200
    assert answer.content_type == "application/json"
    assert "general" in {channel["name"] for channel in json.loads(answer.body)}
    assert "x-ratelimit-bucket" in answer.headers
    assert "set-cookie" not in answer.headers
    route = served.broker.acquired[0].route
    assert (route.name, route.major) == ("GET /guilds/{guild_id}/channels", f"guild_id={GUILD_ID}")


async def test_request_fails_like_other_calls(served):
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await served.stub.Request(ApiRequest(method="GET", path="/channels/1/messages/2"))
    details = json.loads(failed.value.details())
    assert (failed.value.code().name, details["type"], details["status"]) == ("NOT_FOUND", "HTTPException", 404)


async def test_request_is_idempotent_by_key(served):
    request = ApiRequest(
        method="POST",
        path=f"/channels/{CHANNEL_ID}/messages",
        json='{"content": "x"}',
        options=RequestOptions(idempotency_key="k"),
    )
    first, second = await served.stub.Request(request), await served.stub.Request(request)
    assert json.loads(first.body)["id"] == json.loads(second.body)["id"]
    assert len(served.discord.ledger.records) == 1


async def test_a_message_is_sent_once_per_key(served):
    request = SendChannelMessageRequest(
        channel_id=int(CHANNEL_ID), content="x", options=RequestOptions(idempotency_key="k")
    )
    answers = [await served.stub.SendChannelMessage(request) for _ in range(3)]
    assert len({answer.message.id for answer in answers}) == 1
    request.content = "y"
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await served.stub.SendChannelMessage(request)
    assert json.loads(failed.value.details())["fields"][0]["path"] == "options.idempotency_key"
    assert len(served.discord.ledger.records) == 1


async def test_long_keys_are_refused(served):
    options = RequestOptions(idempotency_key="k" * 257)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await served.stub.SendChannelMessage(SendChannelMessageRequest(channel_id=1, content="x", options=options))
    assert json.loads(failed.value.details())["fields"][0]["path"] == "options.idempotency_key"


async def test_bulk_delete_accepts_any_number(served):
    ids = []
    for number in range(3):
        request = SendChannelMessageRequest(channel_id=int(CHANNEL_ID), content=str(number))
        ids.append((await served.stub.SendChannelMessage(request)).message.id)
    old = 1 << 22
    await served.stub.BulkDeleteMessages(
        BulkDeleteMessagesRequest(channel_id=int(CHANNEL_ID), message_ids=[*ids, old], reason="cleaning")
    )
    methods = [(record.method, record.template) for record in served.discord.ledger.records[3:]]
    assert methods == [
        ("POST", "/channels/{channel_id}/messages/bulk-delete"),
        ("DELETE", "/channels/{channel_id}/messages/{message_id}"),
    ]
    with pytest.raises(grpc.aio.AioRpcError):
        await served.stub.GetMessage(MessageId(channel_id=int(CHANNEL_ID), message_id=ids[0]))


async def test_routes_that_the_operator_denies(discord):
    async with serve(discord, request_deny=("GET /users/{user_id}",)) as served:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await served.stub.Request(ApiRequest(method="GET", path=f"/users/{USER_ID}"))
        assert json.loads(failed.value.details())["reason"] == "FORBIDDEN_BY_OPERATOR"
        await served.stub.Request(ApiRequest(method="GET", path="/users/@me"))
