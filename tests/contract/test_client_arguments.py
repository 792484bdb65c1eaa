"""Each argument of each method arrives in the field of the request that has its name, from both clients."""

import inspect
from unittest.mock import patch

import pytest

from discordproxy.aio import AsyncDiscordClient
from discordproxy.client import DiscordClient
from discordproxy.discord_api_pb2 import Channel, Embed, PermissionOverwrite
from discordproxy.testing import FakeDiscordProxy
from fakes.client_methods import RPCS, method_name

VALUES = {
    "access_token": "token",
    "answer_id": 3,
    "authorization": "Bearer x",
    "auto_archive_duration": 60,
    "avatar": "data:",
    "code": "invite",
    "content": "text",
    "delete_message_seconds": 60,
    "emoji": "👍",
    "file_field": "file",
    "fresh": True,
    "limit": 5,
    "managed": [4, 5],
    "method": "POST",
    "name": "name",
    "nick": "nick",
    "path": "/path",
    "query": "Bru",
    "reason": "because",
    "roles": [4],
    "scheduled_start_time": "2026-11-23T12:00:00Z",
    "entity_type": 3,
    "type": Channel.PUBLIC_THREAD,
    "user_ids": [8, 9],
    "message_ids": [8, 9],
    "webhook_token": "secret",
    "interaction_token": "secret",
    "max_age": 60,
    "max_uses": 3,
    "rate_limit_per_user": 10,
}
IDS = {"guild_id": 11, "channel_id": 12, "message_id": 13, "user_id": 14, "role_id": 15, "webhook_id": 16}
IDS |= {"overwrite_id": 17, "thread_id": 18, "event_id": 19, "before": 99, "after": 2, "interaction_id": 20}
FLAGS = {"mute", "deaf", "temporary", "unique", "invitable", "with_counts", "crosspost", "suppress_embeds", "ephemeral"}
OTHER = {
    "overwrite": PermissionOverwrite(id=17, allow=3),
    "embed": Embed(title="t"),
    "files": [("a", b"b")],
    "json": {},
}
OF_METHOD = {"request": {"query": {"a": "b"}}, "create_interaction_response": {"type": "update_message"}}
RENAMED = {"event_id": "guild_scheduled_event_id"}


def arguments_of(method):
    """Return a value for each named argument."""
    known = {**VALUES, **IDS, **dict.fromkeys(FLAGS, True), **OTHER}
    named = [
        parameter.name
        for parameter in list(inspect.signature(method).parameters.values())[1:]
        if parameter.kind is not parameter.VAR_KEYWORD
    ]
    values = {name: known[name] for name in named}
    return {**values, **OF_METHOD.get(method.__name__, {})}


def assert_arrived(rpc, arguments, request):
    fields = request.DESCRIPTOR.fields_by_name
    for name, value in arguments.items():
        field = RENAMED.get(name, name)
        if field in fields and name not in OTHER and not isinstance(value, dict):
            arrived = getattr(request, field)
            if fields[field].enum_type and isinstance(value, str):
                arrived = fields[field].enum_type.values_by_number[arrived].name.lower()
            assert (list(arrived) if isinstance(value, list) else arrived) == value, (rpc, name)
    assert "guild_id" not in arguments or request.guild_id == IDS["guild_id"]


@pytest.fixture
def proxy():
    # What is asked for need not exist: plausible objects are enough.
    with FakeDiscordProxy() as fake, patch.dict("discordproxy._fake.answers._HANDLERS", clear=True):
        yield fake


@pytest.mark.parametrize("rpc", RPCS)
def test_sync(proxy, rpc):
    method = getattr(DiscordClient(), method_name(rpc))
    arguments = arguments_of(getattr(DiscordClient, method_name(rpc)))
    answer = method(**arguments)
    if inspect.isgenerator(answer):
        assert list(answer) == []
    assert [call.rpc for call in proxy.calls] == [rpc]
    assert_arrived(rpc, arguments, proxy.calls[0].request)


@pytest.mark.parametrize("rpc", RPCS)
async def test_async(proxy, rpc):
    method = getattr(AsyncDiscordClient(), method_name(rpc))
    arguments = arguments_of(getattr(AsyncDiscordClient, method_name(rpc)))
    answer = method(**arguments)
    if inspect.isasyncgen(answer):
        assert [item async for item in answer] == []
    else:
        await answer
    assert [call.rpc for call in proxy.calls] == [rpc]
    assert_arrived(rpc, arguments, proxy.calls[0].request)
