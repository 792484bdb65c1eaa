"""The client for synchronous programs: DiscordClient, and the names that programs import with it."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Any

import grpc

from discordproxy._grpc.channel import pool
from discordproxy._grpc.configuration import Configuration, configured_app
from discordproxy._grpc.fork_gate import fork_gate
from discordproxy._requests.arguments import UNSET
from discordproxy._sync.application.applications import ApplicationCalls
from discordproxy._sync.application.commands import CommandCalls
from discordproxy._sync.application.monetization import MonetizationCalls
from discordproxy._sync.channel.channels import ChannelCalls
from discordproxy._sync.channel.invites import InviteCalls
from discordproxy._sync.channel.thread_members import ThreadMemberCalls
from discordproxy._sync.channel.threads import ThreadCalls
from discordproxy._sync.channel.voice import VoiceCalls
from discordproxy._sync.events import EventCalls
from discordproxy._sync.expression.emojis import EmojiCalls
from discordproxy._sync.expression.soundboard import SoundboardCalls
from discordproxy._sync.expression.stickers import StickerCalls
from discordproxy._sync.guild.auto_moderation import AutoModerationCalls
from discordproxy._sync.guild.event_users import EventUserCalls
from discordproxy._sync.guild.guilds import GuildCalls
from discordproxy._sync.guild.members import MemberCalls
from discordproxy._sync.guild.moderation import ModerationCalls
from discordproxy._sync.guild.roles import RoleCalls
from discordproxy._sync.guild.settings import GuildSettingsCalls
from discordproxy._sync.guild.templates import TemplateCalls
from discordproxy._sync.message.interactions import InteractionCalls
from discordproxy._sync.message.messages import MessageCalls
from discordproxy._sync.message.reactions import ReactionCalls
from discordproxy._sync.message.search import SearchCalls
from discordproxy._sync.message.webhook_settings import WebhookSettingsCalls
from discordproxy._sync.message.webhooks import WebhookCalls
from discordproxy.discord_api_pb2 import (
    Channel,
    Embed,
    GetGuildChannelsRequest,
    Message,
    SendChannelMessageRequest,
    SendDirectMessageRequest,
)
from discordproxy.discord_api_pb2_grpc import DiscordApiStub
from discordproxy.exceptions import (
    DiscordProxyException,
    DiscordProxyGrpcError,
    DiscordProxyHttpError,
    DiscordProxyTimeoutError,
    to_discord_proxy_exception,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator
    from types import TracebackType

    from typing_extensions import Self

    from discordproxy._grpc.channel import Endpoint, PooledChannel

__all__ = [
    "UNSET",
    "Channel",
    "DiscordApiStub",
    "DiscordClient",
    "DiscordProxyException",
    "DiscordProxyGrpcError",
    "DiscordProxyHttpError",
    "DiscordProxyTimeoutError",
    "Embed",
    "GetGuildChannelsRequest",
    "Message",
    "SendChannelMessageRequest",
    "SendDirectMessageRequest",
    "default_client",
    "grpc",
    "to_discord_proxy_exception",
]


class DiscordClient(
    MessageCalls,
    ReactionCalls,
    ChannelCalls,
    ThreadCalls,
    GuildCalls,
    MemberCalls,
    RoleCalls,
    WebhookCalls,
    InteractionCalls,
    GuildSettingsCalls,
    ModerationCalls,
    AutoModerationCalls,
    InviteCalls,
    ThreadMemberCalls,
    SearchCalls,
    WebhookSettingsCalls,
    EmojiCalls,
    StickerCalls,
    SoundboardCalls,
    ApplicationCalls,
    EventUserCalls,
    TemplateCalls,
    VoiceCalls,
    MonetizationCalls,
    CommandCalls,
    EventCalls,
    Configuration,
):
    """A client of Discord Proxy.

    Creating a client is cheap and does no I/O. Clients with equal configuration share one connection per process,
    which the first call opens. Threads and forked processes may share a client.

    In addition to its own arguments, every call accepts those of CallArguments: `timeout`, `priority`, `max_wait` and
    `idempotency_key`. A failed call raises a subclass of DiscordProxyException.
    """

    _gate = fork_gate

    @property
    def stub(self) -> DiscordApiStub:
        """The typed gRPC stub of this process, for direct use of gRPC.

        Its calls raise grpc.RpcError. The client's timeout, API key and retries do not apply to them.
        """
        stub: DiscordApiStub = self._acquire(self._endpoint()).stub
        return stub

    @property
    def channel(self) -> grpc.Channel:
        """The gRPC channel of this process, for other services of the proxy such as health and reflection."""
        channel: grpc.Channel = self._acquire(self._endpoint()).channel
        return channel

    @property
    def _stream_stub(self) -> DiscordApiStub:
        stub: DiscordApiStub = self._acquire(self._endpoint().for_streams()).stub
        return stub

    def _acquire(self, endpoint: Endpoint) -> PooledChannel:
        with fork_gate:
            return pool.acquire(self, _key(endpoint), lambda: _open(endpoint))

    def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def _result(self, call: Any) -> Any:
        return call

    def _messages(self, call: Any) -> Iterator[Any]:
        return iter(call)

    def close(self) -> None:
        """Close the client; the connection is closed if no other client uses it."""
        if not self._closed:
            endpoint = self._endpoint()
            self._closed = True
            for each in (endpoint, endpoint.for_streams()):
                link = pool.release(self, _key(each))
                if link is not None:
                    link.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _key(endpoint: Endpoint) -> Hashable:
    # Tests patch these two names; a channel of a patched function must not be reused after the test.
    return endpoint, grpc.insecure_channel, DiscordApiStub


def _open(endpoint: Endpoint) -> tuple[Any, DiscordApiStub]:
    channel = (grpc.secure_channel if endpoint.tls else grpc.insecure_channel)(**endpoint.channel_arguments())
    return channel, DiscordApiStub(channel)


@cache
def default_client() -> DiscordClient:
    """Return the client of the process, configured by environment variables.

    Its application name comes from DISCORDPROXY_APP alone, because several packages may share the client.
    """
    return DiscordClient(app=configured_app() or "")
