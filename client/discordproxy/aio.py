"""The client for asyncio programs: AsyncDiscordClient has the methods of DiscordClient as coroutines."""

from __future__ import annotations

import asyncio
import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc

from discordproxy._async.application.applications import AsyncApplicationCalls
from discordproxy._async.application.commands import AsyncCommandCalls
from discordproxy._async.application.monetization import AsyncMonetizationCalls
from discordproxy._async.channel.channels import AsyncChannelCalls
from discordproxy._async.channel.invites import AsyncInviteCalls
from discordproxy._async.channel.thread_members import AsyncThreadMemberCalls
from discordproxy._async.channel.threads import AsyncThreadCalls
from discordproxy._async.channel.voice import AsyncVoiceCalls
from discordproxy._async.events import AsyncEventCalls
from discordproxy._async.expression.emojis import AsyncEmojiCalls
from discordproxy._async.expression.soundboard import AsyncSoundboardCalls
from discordproxy._async.expression.stickers import AsyncStickerCalls
from discordproxy._async.guild.auto_moderation import AsyncAutoModerationCalls
from discordproxy._async.guild.event_users import AsyncEventUserCalls
from discordproxy._async.guild.guilds import AsyncGuildCalls
from discordproxy._async.guild.members import AsyncMemberCalls
from discordproxy._async.guild.moderation import AsyncModerationCalls
from discordproxy._async.guild.roles import AsyncRoleCalls
from discordproxy._async.guild.settings import AsyncGuildSettingsCalls
from discordproxy._async.guild.templates import AsyncTemplateCalls
from discordproxy._async.message.interactions import AsyncInteractionCalls
from discordproxy._async.message.messages import AsyncMessageCalls
from discordproxy._async.message.reactions import AsyncReactionCalls
from discordproxy._async.message.search import AsyncSearchCalls
from discordproxy._async.message.webhook_settings import AsyncWebhookSettingsCalls
from discordproxy._async.message.webhooks import AsyncWebhookCalls
from discordproxy._grpc.aio_results import StreamMessages, response_of
from discordproxy._grpc.channel import Endpoint, pool
from discordproxy._grpc.configuration import Configuration
from discordproxy.discord_api_pb2_grpc import DiscordApiStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
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
    AsyncGuildSettingsCalls,
    AsyncModerationCalls,
    AsyncAutoModerationCalls,
    AsyncInviteCalls,
    AsyncThreadMemberCalls,
    AsyncSearchCalls,
    AsyncWebhookSettingsCalls,
    AsyncEmojiCalls,
    AsyncStickerCalls,
    AsyncSoundboardCalls,
    AsyncApplicationCalls,
    AsyncEventUserCalls,
    AsyncTemplateCalls,
    AsyncVoiceCalls,
    AsyncMonetizationCalls,
    AsyncCommandCalls,
    AsyncEventCalls,
    Configuration,
):
    """A client of Discord Proxy that does not block the event loop.

    Creating a client is cheap and does no I/O. Clients with equal configuration share one connection per event loop,
    which the first call opens.

    In addition to its own arguments, every call accepts those of CallArguments: `timeout`, `priority`, `max_wait` and
    `idempotency_key`. A failed call raises a subclass of DiscordProxyException. Cancelling a task cancels its call;
    the request may have been sent to Discord before.
    """

    _gate = nullcontext()  # waiting in a fork would block the event loop, and no call would end

    @property
    def stub(self) -> DiscordApiAsyncStub:
        """The typed gRPC stub of this event loop, for direct use of gRPC.

        Its calls raise grpc.RpcError. The client's timeout, API key and retries do not apply to them.
        """
        stub: DiscordApiAsyncStub = self._acquire(self._endpoint()).stub
        return stub

    @property
    def channel(self) -> grpc.aio.Channel:
        """The gRPC channel of this event loop, for other services of the proxy such as health and reflection."""
        channel: grpc.aio.Channel = self._acquire(self._endpoint()).channel
        return channel

    @property
    def _stream_stub(self) -> DiscordApiAsyncStub:
        stub: DiscordApiAsyncStub = self._acquire(self._endpoint().for_streams()).stub
        return stub

    def _acquire(self, endpoint: Endpoint) -> PooledChannel:
        return pool.acquire(self, _key(endpoint), lambda: _open(endpoint))

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _result(self, call: Any) -> Any:
        return await response_of(call)

    def _messages(self, call: Any) -> AsyncIterator[Any]:
        messages = StreamMessages(call)
        self._acquire(self._endpoint().for_streams()).streams.add(messages)
        return messages

    async def close(self) -> None:
        """Close the client; the connection is closed if no other client uses it."""
        if not self._closed:
            endpoint = self._endpoint()
            self._closed = True
            for each in (endpoint, endpoint.for_streams()):
                pooled = pool.release(self, _key(each))
                if pooled is not None:
                    for stream in list(pooled.streams):
                        stream.cancel()
                    await pooled.channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


class _Process:
    """The process in which gRPC's asyncio support works: the first that used it, but none of its forks."""

    _pid = 0

    def claim(self) -> None:
        """Check that this is the process.

        Raises:
            RuntimeError: this is a fork of the process, in which calls would hang or crash.
        """
        if self._pid not in {0, os.getpid()}:
            raise RuntimeError(
                "gRPC's asyncio support does not survive a fork: use DiscordClient in this process, "
                "start it with the method 'spawn', or fork before the first call of an AsyncDiscordClient"
            )
        self._pid = os.getpid()


_process = _Process()


class _Key(NamedTuple):
    """The key of a channel, which belongs to the event loop that opened it."""

    endpoint: Endpoint
    loop: asyncio.AbstractEventLoop
    insecure_channel: Any
    stub: Any


def _key(endpoint: Endpoint) -> _Key:
    # Tests patch the last two; a channel of a patched function must not be reused after the test.
    return _Key(endpoint, asyncio.get_running_loop(), grpc.aio.insecure_channel, DiscordApiStub)


def _open(endpoint: Endpoint) -> tuple[Any, DiscordApiAsyncStub]:
    _process.claim()
    pool.discard(lambda key: isinstance(key, _Key) and key.loop.is_closed())
    channel = (grpc.aio.secure_channel if endpoint.tls else grpc.aio.insecure_channel)(**endpoint.channel_arguments())
    return channel, DiscordApiStub(channel)
