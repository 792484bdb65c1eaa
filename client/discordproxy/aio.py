"""The client for asyncio programs: the same methods as DiscordClient, as coroutines."""

from __future__ import annotations

import asyncio
import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc

from discordproxy._async.channels import AsyncChannelCalls
from discordproxy._async.events import AsyncEventCalls
from discordproxy._async.guilds import AsyncGuildCalls
from discordproxy._async.interactions import AsyncInteractionCalls
from discordproxy._async.members import AsyncMemberCalls
from discordproxy._async.messages import AsyncMessageCalls
from discordproxy._async.reactions import AsyncReactionCalls
from discordproxy._async.roles import AsyncRoleCalls
from discordproxy._async.threads import AsyncThreadCalls
from discordproxy._async.webhooks import AsyncWebhookCalls
from discordproxy._grpc.channel import Endpoint, pool
from discordproxy._grpc.configuration import Configuration
from discordproxy.discord_api_pb2_grpc import DiscordApiStub

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from discordproxy._grpc.channel import PooledChannel
    from discordproxy.discord_api_pb2_grpc import DiscordApiAsyncStub


class AsyncDiscordClient(
    AsyncMessageCalls,
    AsyncReactionCalls,
    AsyncChannelCalls,
    AsyncThreadCalls,
    AsyncGuildCalls,
    AsyncMemberCalls,
    AsyncRoleCalls,
    AsyncWebhookCalls,
    AsyncInteractionCalls,
    AsyncEventCalls,
    Configuration,
):
    """Talks to Discord through Discord Proxy, without blocking the event loop.

    Making a client costs nothing and does no I/O: clients of equal configuration share one connection per event loop,
    which opens with the first call.

    Every method accepts `timeout`, `priority`, `max_wait` and `idempotency_key` besides its own arguments,
    and raises a subclass of DiscordProxyException when the call fails. Cancelling a task cancels its call; whether the
    request had left for Discord by then is not known.
    """

    _gate = nullcontext()  # a fork would stop the event loop, and no call would end

    @property
    def stub(self) -> DiscordApiAsyncStub:
        """The typed gRPC stub of this event loop, for everything gRPC can do.

        Its calls raise grpc.RpcError, know nothing of the client's timeout and API key, and are never repeated.
        """
        stub: DiscordApiAsyncStub = self._link().stub
        return stub

    @property
    def channel(self) -> grpc.aio.Channel:
        """The gRPC channel of this event loop, for other services of the proxy: health, reflection."""
        channel: grpc.aio.Channel = self._link().channel
        return channel

    @property
    def _stream_stub(self) -> DiscordApiAsyncStub:
        stub: DiscordApiAsyncStub = self._open_link(self._endpoint().for_streams()).stub
        return stub

    def _link(self) -> PooledChannel:
        return self._open_link(self._endpoint())

    def _open_link(self, endpoint: Endpoint) -> PooledChannel:
        return pool.link(self, _key(endpoint), lambda: _open(endpoint))

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """End the use of the connection; it is closed when no other client uses it."""
        if not self._closed:
            endpoint = self._endpoint()
            self._closed = True
            for each in (endpoint, endpoint.for_streams()):
                channel = pool.release(self, _key(each))
                if channel is not None:
                    await channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


class _Process:
    """The process that gRPC's asyncio support works in: the first that used it, and none forked from it."""

    _pid = 0

    def claim(self) -> None:
        """Make sure that this is the process.

        Raises:
            RuntimeError: it was forked from the process; its calls would hang or crash.
        """
        if self._pid not in {0, os.getpid()}:
            raise RuntimeError(
                "gRPC's asyncio support does not survive a fork: use DiscordClient in this process, "
                "start it with the method 'spawn', or fork before the first call of an AsyncDiscordClient"
            )
        self._pid = os.getpid()


_process = _Process()


class _Key(NamedTuple):
    """A channel belongs to the event loop it was opened in."""

    endpoint: Endpoint
    loop: asyncio.AbstractEventLoop
    insecure_channel: Any
    stub: Any


def _key(endpoint: Endpoint) -> _Key:
    # Tests replace the last two; a channel made by a replacement must not outlive it.
    return _Key(endpoint, asyncio.get_running_loop(), grpc.aio.insecure_channel, DiscordApiStub)


def _open(endpoint: Endpoint) -> tuple[Any, DiscordApiAsyncStub]:
    _process.claim()
    pool.discard(lambda key: isinstance(key, _Key) and key.loop.is_closed())
    channel = (grpc.aio.secure_channel if endpoint.tls else grpc.aio.insecure_channel)(**endpoint.channel_arguments())
    return channel, DiscordApiStub(channel)
