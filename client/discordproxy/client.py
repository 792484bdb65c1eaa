"""The client for synchronous programs: DiscordClient, and the names that programs import together with it."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Any

import grpc

from discordproxy._grpc.channel import pool
from discordproxy._grpc.configuration import Configuration, configured_app
from discordproxy._grpc.fork_gate import fork_gate
from discordproxy._requests.arguments import UNSET
from discordproxy._sync.channels import ChannelCalls
from discordproxy._sync.events import EventCalls
from discordproxy._sync.guilds import GuildCalls
from discordproxy._sync.interactions import InteractionCalls
from discordproxy._sync.members import MemberCalls
from discordproxy._sync.messages import MessageCalls
from discordproxy._sync.reactions import ReactionCalls
from discordproxy._sync.roles import RoleCalls
from discordproxy._sync.threads import ThreadCalls
from discordproxy._sync.webhooks import WebhookCalls
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
    from collections.abc import Hashable
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
    EventCalls,
    Configuration,
):
    """Talks to Discord through Discord Proxy.

    Making a client costs nothing and does no I/O: clients of equal configuration share one connection per process,
    which opens with the first call. A client may be used by many threads, and by forked processes.

    Every method accepts `timeout`, `priority`, `max_wait` and `idempotency_key` besides its own arguments,
    and raises a subclass of DiscordProxyException when the call fails.
    """

    _gate = fork_gate

    @property
    def stub(self) -> DiscordApiStub:
        """The typed gRPC stub of this process, for everything gRPC can do.

        Its calls raise grpc.RpcError, know nothing of the client's timeout and API key, and are never repeated.
        """
        stub: DiscordApiStub = self._link().stub
        return stub

    @property
    def channel(self) -> grpc.Channel:
        """The gRPC channel of this process, for other services of the proxy: health, reflection."""
        channel: grpc.Channel = self._link().channel
        return channel

    @property
    def _stream_stub(self) -> DiscordApiStub:
        stub: DiscordApiStub = self._open_link(self._endpoint().for_streams()).stub
        return stub

    def _link(self) -> PooledChannel:
        return self._open_link(self._endpoint())

    def _open_link(self, endpoint: Endpoint) -> PooledChannel:
        with fork_gate:
            return pool.link(self, _key(endpoint), lambda: _open(endpoint))

    def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def close(self) -> None:
        """End the use of the connection; it is closed when no other client uses it."""
        if not self._closed:
            endpoint = self._endpoint()
            self._closed = True
            for each in (endpoint, endpoint.for_streams()):
                channel = pool.release(self, _key(each))
                if channel is not None:
                    channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _key(endpoint: Endpoint) -> Hashable:
    # Tests replace these two names; a channel made by a replacement must not outlive it.
    return endpoint, grpc.insecure_channel, DiscordApiStub


def _open(endpoint: Endpoint) -> tuple[Any, DiscordApiStub]:
    channel = (grpc.secure_channel if endpoint.tls else grpc.insecure_channel)(**endpoint.channel_arguments())
    return channel, DiscordApiStub(channel)


@cache
def default_client() -> DiscordClient:
    """Return a client that is shared by the whole process and configured by the environment.

    Many packages may share it, so the first one does not give it its name: DISCORDPROXY_APP does.
    """
    return DiscordClient(app=configured_app() or "")
