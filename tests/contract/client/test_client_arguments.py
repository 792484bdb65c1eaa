"""Each argument of each method of both clients arrives in the request field with its name."""

import inspect
from unittest.mock import patch

import pytest

from discordproxy.aio import AsyncDiscordClient
from discordproxy.client import DiscordClient
from discordproxy.testing import FakeDiscordProxy
from fakes.every_case import every_case
from strategies.client_methods import IDS, OTHER, RENAMED, RPCS, arguments_of, method_name


def assert_called(proxy, rpc, arguments):
    """Fail unless this RPC is the one call of a case; forget it."""
    calls, proxy.calls[:] = proxy.calls[:], []
    assert [call.rpc for call in calls] == [rpc]
    assert_arrived(rpc, arguments, calls[0].request)


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


@every_case("rpc", RPCS)
def test_sync(proxy, rpc):
    method = getattr(DiscordClient(), method_name(rpc))
    arguments = arguments_of(getattr(DiscordClient, method_name(rpc)))
    answer = method(**arguments)
    if inspect.isgenerator(answer):
        assert list(answer) == []
    assert_called(proxy, rpc, arguments)


@every_case("rpc", RPCS)
async def test_async(proxy, rpc):
    method = getattr(AsyncDiscordClient(), method_name(rpc))
    arguments = arguments_of(getattr(AsyncDiscordClient, method_name(rpc)))
    answer = method(**arguments)
    if inspect.isasyncgen(answer):
        assert [item async for item in answer] == []
    else:
        await answer
    assert_called(proxy, rpc, arguments)
