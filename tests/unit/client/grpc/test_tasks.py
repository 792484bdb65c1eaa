"""Calls and streams of several tasks: cancelled, closed by another task, read by two."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import grpc
import pytest

from discordproxy.aio import AsyncDiscordClient
from discordproxy.client import DiscordProxyGrpcError
from discordproxy.discord_api_pb2 import Channel, ChannelResponse, Event

KINDS = ("call", "events", "role sync")


class SilentProxy(grpc.GenericRpcHandler):
    """Sends one event to a subscriber, nothing else; counts the calls that arrived and those that were cancelled."""

    def __init__(self):
        self.arrived, self.cancelled = asyncio.Semaphore(0), asyncio.Semaphore(0)

    def service(self, details):
        if details.method.endswith("/SubscribeEvents"):
            return grpc.unary_stream_rpc_method_handler(self._send_event)
        if details.method.endswith("/SyncGuildRoles"):
            return grpc.unary_stream_rpc_method_handler(self._answer)
        return grpc.unary_unary_rpc_method_handler(self._answer)

    async def _send_event(self, request, context):
        yield Event(type="MESSAGE_CREATE").SerializeToString()
        await self._answer(request, context)

    async def _answer(self, _request, _context):
        self.arrived.release()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.release()
            raise


@asynccontextmanager
async def silent_proxy():
    server, proxy = grpc.aio.server(options=[("grpc.so_reuseport", 0)]), SilentProxy()
    server.add_generic_rpc_handlers((proxy,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with AsyncDiscordClient(f"127.0.0.1:{port}", retries=0) as client:
            yield proxy, client
    finally:
        await server.stop(None)


async def wait(kind, client):
    """Wait for an answer of the proxy."""
    if kind == "call":
        await client.get_channel(1)
    elif kind == "events":
        events = client.events()
        await anext(events)
        await anext(events)
    else:
        await client.sync_guild_roles(1, {2: [3]}).result()


async def message_of_cancellation(waiting):
    """Return the message as the cancelled task sees it: for others, Python 3.10 has it in the context of the error."""
    with pytest.raises(asyncio.CancelledError) as error:
        await waiting
    return str(error.value)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_cancelled_task_keeps_the_message_of_its_cancellation(kind):
    async with silent_proxy() as (proxy, client):
        task = asyncio.ensure_future(message_of_cancellation(wait(kind, client)))
        await proxy.arrived.acquire()
        task.cancel("Cancelled via cancel scope 7f")
        assert await task == "Cancelled via cancel scope 7f"
        await proxy.cancelled.acquire()


async def test_leaving_a_loop_over_events_ends_the_subscription():
    async with silent_proxy() as (proxy, client):
        async for _event in client.events():
            await proxy.arrived.acquire()
            break
        await proxy.cancelled.acquire()


async def test_a_task_that_is_cancelled_before_its_call_starts():
    async with silent_proxy() as (_, client):
        task = asyncio.ensure_future(message_of_cancellation(wait("call", client)))
        await asyncio.sleep(0)
        task.cancel("at once")
        assert await task == "at once"


async def test_closing_the_client_fails_a_call_of_another_task():
    async with silent_proxy() as (proxy, client):
        task = asyncio.ensure_future(wait("call", client))
        await proxy.arrived.acquire()
        await client.close()
        with pytest.raises(DiscordProxyGrpcError, match="Channel closed") as error:
            await task
        assert (error.value.status, error.value.sent) == (grpc.StatusCode.CANCELLED, "unknown")


async def test_closing_the_client_fails_the_events_of_another_task():
    async with silent_proxy() as (proxy, client):
        task = asyncio.ensure_future(wait("events", client))
        await proxy.arrived.acquire()
        await client.close()
        with pytest.raises(RuntimeError, match="is closed: create a new client"):
            await task


async def test_closing_a_role_sync_ends_its_iteration_in_another_task():
    async with silent_proxy() as (proxy, client):
        steps = client.sync_guild_roles(1, {2: [3]})
        task = asyncio.ensure_future(steps.result())
        await proxy.arrived.acquire()
        steps.close()
        with pytest.raises(ValueError, match="closed before its end"):
            await task


async def test_a_second_reader_of_a_stream_is_refused():
    async with silent_proxy() as (_, client), client.events() as events:
        await anext(events)
        task = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)  # it begins to read
        with pytest.raises(RuntimeError, match="another thread or task is reading these events"):
            await anext(events)
        events.close()
        with pytest.raises(StopAsyncIteration):
            await task


async def test_a_test_of_an_application_may_return_coroutines_and_generators(monkeypatch):
    async def channel(*_args, **_kwargs):
        return ChannelResponse(channel=Channel(id=1))

    async def events(*_args, **_kwargs):
        yield Event(type="MESSAGE_CREATE")

    stub = SimpleNamespace(GetChannel=channel, SubscribeEvents=events)
    monkeypatch.setattr("discordproxy.aio.DiscordApiStub", lambda _channel: stub)
    errors = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context))
    async with AsyncDiscordClient("nowhere.invalid:1") as client:
        assert (await client.get_channel(1)).id == 1
        async for event in client.events():
            assert event.type == "MESSAGE_CREATE"
            break
        await asyncio.sleep(0)
    assert errors == []
