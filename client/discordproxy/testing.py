"""A fake of the proxy for the tests of applications: in memory, without network, nothing to install.

```python
def test_welcome(discord_proxy):                        # a fixture of the pytest plugin
    welcome(user_id=42)                                 # your code, with its own DiscordClient or AsyncDiscordClient
    assert discord_proxy.direct_messages(42)[0].content == "Welcome!"


def test_closed_direct_messages(discord_proxy):
    discord_proxy.fail_http(403, 50007, "Cannot send messages to this user", rpc="SendDirectMessage")
    welcome(user_id=42)                                 # must handle the error
```
Without pytest: `with FakeDiscordProxy() as proxy: ...`
"""

from __future__ import annotations

import json
import threading
from collections import deque
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

import grpc

from discordproxy._fake.answers import respond
from discordproxy._fake.channels import AsyncChannel, Call, SyncChannel
from discordproxy._fake.events import EventLog
from discordproxy._fake.procedures.commands import APP
from discordproxy._fake.procedures.role_sync import sync_guild_roles
from discordproxy._fake.results import Results
from discordproxy._fake.world import FakeWorld, HttpRefusalError
from discordproxy.discord_api_pb2_grpc import DiscordApiStub
from discordproxy.events_pb2 import Event
from discordproxy.tests.factories import create_rpc_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from google.protobuf.message import Message as AnyMessage
    from typing_extensions import Self

    from discordproxy.discord_api_pb2 import Channel, Command, Guild, GuildMember, Message, Role, User

    Answer = AnyMessage | Callable[[Any], AnyMessage]


__all__ = ["Call", "FakeDiscordProxy"]


class _Failure(NamedTuple):
    code: grpc.StatusCode
    details: str
    rpc: str | None
    delivered: bool


class FakeDiscordProxy:
    """Handles the calls of every client in this process while it is active.

    Guilds, channels, roles, members, messages and commands are stored: calls can read and change them. Other calls
    return plausible objects. Clients do not wait between retries.

    Attributes:
        calls: All calls, in order.
    """

    calls: list[Call] = []  # noqa: RUF012 -- a class attribute too, for Mock(spec=...)

    def __init__(self) -> None:
        self.calls = []
        self._world = FakeWorld()
        self._results = Results()
        self._events = EventLog()
        self._answers: dict[str, Answer] = {}
        self._failures: list[_Failure] = []
        self._lock = threading.RLock()
        self._patches = ExitStack()

    def __enter__(self) -> Self:
        channel: Any = SyncChannel(self)
        async_channel: Any = AsyncChannel(self)
        for target, replacement in (
            ("discordproxy.client.DiscordApiStub", lambda _channel: DiscordApiStub(channel)),
            ("discordproxy.aio.DiscordApiStub", lambda _channel: DiscordApiStub(async_channel)),
            ("discordproxy.client.DiscordClient._sleep", lambda _client, _seconds: None),
            ("discordproxy.aio.AsyncDiscordClient._sleep", _do_not_wait),
        ):
            self._patches.enter_context(mock.patch(target, replacement))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._patches.close()

    @property
    def messages(self) -> list[Message]:
        """All messages that were sent and not deleted, in order, with their edits."""
        with self._lock:
            return list(self._world.messages.values())

    def channel_messages(self, channel_id: int) -> list[Message]:
        """Return the messages in a channel."""
        return [message for message in self.messages if message.channel_id == channel_id]

    def direct_messages(self, user_id: int) -> list[Message]:
        """Return the direct messages to a user."""
        return self.channel_messages(self._world.direct_channel(user_id))

    def requests(self, rpc: str) -> list[Any]:
        """Return the requests of all calls of an RPC, in order."""
        return [call.request for call in self.calls if call.rpc == rpc]

    def add_guild(self, **fields: Any) -> Guild:
        """Add a guild with these fields of Guild; return it."""
        return self._world.add_guild(**fields)

    def add_channel(self, guild_id: int, name: str = "general", **fields: Any) -> Channel:
        """Add a channel to a guild, with these fields of Channel; return it."""
        return self._world.add_channel(guild_id=guild_id, name=name, **fields)

    def add_role(self, guild_id: int, name: str = "role", **fields: Any) -> Role:
        """Add a role to a guild, with these fields of Role; return it."""
        return self._world.add_role(guild_id=guild_id, name=name, **fields)

    def add_user(self, username: str = "user", **fields: Any) -> User:
        """Add a user with these fields of User; return it."""
        return self._world.add_user(username=username, **fields)

    def add_member(self, guild_id: int, user: User | int, **fields: Any) -> GuildMember:
        """Add a user to a guild, with these fields of GuildMember; return the member."""
        return self._world.add_member(guild_id, user, **fields)

    def add_command(self, name: str, *, owner: str = "", **fields: Any) -> Command:
        """Add an application command of another application, or of none, with these fields of Command; return it."""
        return self._world.add_command(name=name, owner=owner, **fields)

    def emit(self, type_: str, **data: Any) -> None:
        """Emit an event, with its data as in Discord's JSON: `emit("MESSAGE_CREATE", channel_id="5", content="x")`.

        `client.events()` returns all emitted events, including earlier ones. Unlike with a real proxy, the iteration
        ends after the last event.
        """
        with self._lock:
            self._events.add(Event.DISPATCH, type_, data)

    def emit_gap(self) -> None:
        """Emit a gap: events are lost."""
        with self._lock:
            self._events.add(Event.GAP, "", {})

    def answer(self, rpc: str, answer: Answer) -> None:
        """Set the response of an RPC: a response message, or a function from request to response message."""
        self._answers[rpc] = answer

    def fail_http(self, status: int, code: int = 0, text: str = "", *, rpc: str | None = None, times: int = 1) -> None:
        """Make the next calls fail with an error of Discord.

        Args:
            status: HTTP status; for 429 see fail_rate_limited.
            code: Discord's JSON error code.
            text: Discord's error message.
            rpc: Only calls of this RPC; None: all calls.
            times: Number of calls that fail.
        """
        refusal = HttpRefusalError(status, code, text or f"HTTP {status}")
        self._fail(refusal.grpc_status(), refusal.facts(), rpc, times)

    def fail_rate_limited(self, retry_after: float = 1.0, *, rpc: str | None = None, times: int = 1) -> None:
        """Make the proxy refuse the next calls: the wait for the rate limit exceeds `max_wait`."""
        facts = {
            "type": "ProxyException",
            "text": "The wait for the rate limit is longer than max_wait",
            "reason": "WAIT_EXCEEDS_MAX_WAIT",
            "sent": "no",
            "retry_after": retry_after,
        }
        self._fail(grpc.StatusCode.RESOURCE_EXHAUSTED, facts, rpc, times)

    def fail_timeout(self, *, rpc: str | None = None, times: int = 1, delivered: bool = False) -> None:
        """Make the next calls time out, without waiting.

        Args:
            rpc: Only calls of this RPC; None: all calls.
            times: Number of calls that fail.
            delivered: Whether the calls take effect nevertheless.
        """
        self._fail(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", rpc, times, delivered=delivered)

    def fail_unreachable(self, *, rpc: str | None = None, times: int = 1) -> None:
        """Make the next calls find no proxy. The client retries such a call; `times` counts attempts."""
        self._fail(
            grpc.StatusCode.UNAVAILABLE,
            "failed to connect to all addresses; last error: UNKNOWN: Connection refused",
            rpc,
            times,
        )

    def _fail(
        self,
        code: grpc.StatusCode,
        details: str | dict[str, Any],
        rpc: str | None,
        times: int,
        *,
        delivered: bool = False,
    ) -> None:
        text = details if isinstance(details, str) else json.dumps(details)
        self._failures += [_Failure(code, text, rpc, delivered)] * times

    def handle(self, call: Call) -> AnyMessage:
        """Record a call; return its response.

        Raises:
            grpc.RpcError: the call fails.
        """
        with self._lock:
            failure = self._record(call)
            if failure is not None and not failure.delivered:
                raise create_rpc_error(code=failure.code, details=failure.details)
            with _refusals():
                response = self._respond(call)
            if failure is not None:
                raise create_rpc_error(code=failure.code, details=failure.details)
            return response

    def stream(self, call: Call) -> Iterator[Any]:
        """Record a call; yield the messages of its stream.

        Raises:
            grpc.RpcError: the call fails.
        """
        with self._lock:
            failure = self._record(call)
        if failure is not None:
            if failure.delivered and call.rpc == "SyncGuildRoles":
                deque(self._sync_roles(call), maxlen=0)
            raise create_rpc_error(code=failure.code, details=failure.details)
        if call.rpc == "SubscribeEvents":
            own_commands = {each.name for each in self._world.commands.values() if each.owner == APP}
            yield from self._events.stream(call.request, own_commands)
        else:
            yield from self._sync_roles(call)

    def _sync_roles(self, call: Call) -> Iterator[Any]:
        with _refusals():
            yield from sync_guild_roles(self._world, call.request)

    def _record(self, call: Call) -> _Failure | None:
        """Record a call; return the failure that is set for it."""
        self.calls.append(call)
        failure = next((failure for failure in self._failures if failure.rpc in {None, call.rpc}), None)
        if failure is not None:
            self._failures.remove(failure)
        return failure

    def _respond(self, call: Call) -> AnyMessage:
        app = call.metadata.get("x-discordproxy-app", "")
        return self._results.once(app, call.rpc, call.request, lambda: self._perform(call))

    def _perform(self, call: Call) -> AnyMessage:
        if (answer := self._answers.get(call.rpc)) is None:
            return respond(self._world, call.rpc, call.request)
        return answer(call.request) if callable(answer) else answer


@contextmanager
def _refusals() -> Iterator[None]:
    """Raise grpc.RpcError in place of a refusal by the in-memory Discord or the proxy."""
    try:
        yield
    except HttpRefusalError as refusal:
        raise create_rpc_error(code=refusal.grpc_status(), details=json.dumps(refusal.facts())) from None


async def _do_not_wait(_client: object, _seconds: float) -> None:
    """Replace the wait between retries."""
