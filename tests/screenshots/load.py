"""A Discord server of a community, and the calls of its applications."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
from typing_extensions import Self

from discordproxy import discord_api_pb2 as pb
from discordproxy.discord_api_pb2_grpc import DiscordApiStub
from discordproxy_sandbox.sandbox import Sandbox
from discordproxy_sandbox.world.objects import make_channel, make_guild
from discordproxy_sandbox.world.population import GUILD_ID, ROLE_ID, USER_ID

CHANNELS = ("general", "announcements", "fleet-pings", "killboard", "timers", "structures", "market", "welcome")
FIRST_CHANNEL = 510_000_000_000_000_000
DELETED = tuple(range(520_000_000_000_000_000, 520_000_000_000_000_010))
"""Channels that do not exist."""

CALL_TIMEOUT_S = 300.0

Request = Callable[[DiscordApiStub, int], Any]
"""Of a stub and the number of the call; returns the call."""


def channel(name: str) -> int:
    """Return the id of a channel."""
    return FIRST_CHANNEL + CHANNELS.index(name)


def populate(discord: Sandbox) -> None:
    """Give the server its name and its channels."""
    guild = discord.world.guilds[GUILD_ID]
    guild.data["name"] = make_guild(GUILD_ID, "Capsuleers", USER_ID).data["name"]
    for position, name in enumerate(CHANNELS):
        discord.world.add_channel(make_channel(str(channel(name)), GUILD_ID, name, 0, position))


def _send(to: int) -> Request:
    return lambda stub, number: stub.SendChannelMessage(
        pb.SendChannelMessageRequest(channel_id=to, content=f"message {number}"), timeout=CALL_TIMEOUT_S
    )


def _member(stub: DiscordApiStub, number: int) -> Any:
    member = pb.MemberId(guild_id=int(GUILD_ID), user_id=int(USER_ID) + number % 5)
    return stub.GetGuildMember(member, timeout=CALL_TIMEOUT_S)


def _role(stub: DiscordApiStub, number: int) -> Any:
    role = pb.MemberRoleRequest(
        guild_id=int(GUILD_ID), user_id=int(USER_ID) + number % 5, role_id=int(ROLE_ID) + 1 + number % 2
    )
    return stub.AddMemberRole(role, timeout=CALL_TIMEOUT_S)


def _guild(stub: DiscordApiStub, _: int) -> Any:
    return stub.GetGuild(pb.GetGuildRequest(guild_id=int(GUILD_ID)), timeout=CALL_TIMEOUT_S)


def _channel(stub: DiscordApiStub, number: int) -> Any:
    return stub.GetChannel(pb.ChannelId(channel_id=FIRST_CHANNEL + number % len(CHANNELS)), timeout=CALL_TIMEOUT_S)


@dataclass(frozen=True)
class Application:
    """An application and its calls per second; requests are made in turn."""

    name: str
    per_s: float
    requests: tuple[Request, ...]


APPLICATIONS = (
    Application("auth", 3.0, (_member, _member, _role)),
    Application("killboard", 0.8, (_send(channel("killboard")),)),
    Application("statistics", 2.0, (_guild, _channel)),
    Application("moderation", 1.5, (_channel, _member)),
    Application("market", 0.5, (_send(channel("market")),)),
    Application("timers", 0.6, (*(_send(channel("timers")),) * 24, _send(DELETED[0]))),
    Application("structures", 0.7, (_send(channel("structures")),)),
    Application("welcome", 0.3, (_send(channel("welcome")), _member)),
    Application("forum", 0.4, (_channel, _send(channel("general")))),
    Application("backup", 0.2, (_guild,)),
)
PINGS = Application("fleet-pings", 0.0, (_send(channel("fleet-pings")),))
"""Makes bursts of calls, which wait for the bucket."""

BROKEN = Application("structures", 8.0, tuple(map(_send, DELETED)))
"""The channels of an application have been deleted."""


class Applications:
    """Applications that call a server; `async with Applications(port, random)`."""

    def __init__(self, port: int, choice: random.Random) -> None:
        self._port, self._random = port, choice
        self._channels: dict[str, list[grpc.aio.Channel]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for opened in itertools.chain.from_iterable(self._channels.values()):
            await opened.close()

    async def run(self, applications: tuple[Application, ...], seconds: float) -> None:
        """Let applications call for a while, each at its average rate."""
        await asyncio.gather(*(self._run(each, seconds) for each in applications))

    async def _run(self, application: Application, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until, stubs = loop.time() + seconds, self._stubs(application.name)
        for number in itertools.count():
            left_s = until - loop.time()
            pause_s = self._random.expovariate(application.per_s)
            await asyncio.sleep(min(pause_s, left_s))
            if pause_s >= left_s:
                return
            self._call(application, next(stubs), number)

    def burst(self, application: Application, calls: int) -> None:
        """Start calls at the same time."""
        stubs = self._stubs(application.name)
        for number in range(calls):
            self._call(application, next(stubs), number)

    def _call(self, application: Application, stub: DiscordApiStub, number: int) -> None:
        request = application.requests[number % len(application.requests)]
        task = asyncio.create_task(_ignore_failure(request, stub, number, application.name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _stubs(self, name: str) -> Iterator[DiscordApiStub]:
        """Return stubs with connections of their own, which the workers share, in turn."""
        if name not in self._channels:
            options = [("grpc.use_local_subchannel_pool", 1)]
            self._channels[name] = [grpc.aio.insecure_channel(f"127.0.0.1:{self._port}", options) for _ in range(2)]
        return itertools.cycle([DiscordApiStub(each) for each in self._channels[name]])


async def _ignore_failure(request: Request, stub: Any, number: int, name: str) -> None:
    with contextlib.suppress(grpc.aio.AioRpcError):  # the page shows it
        await request(_Named(stub, name), number)


class _Named:
    """A stub whose calls carry the name of an application."""

    def __init__(self, stub: Any, name: str) -> None:
        self._stub, self._metadata = stub, (("x-discordproxy-app", name),)

    def __getattr__(self, rpc: str) -> Callable[..., Any]:
        def call(message: Any, *, timeout: float) -> Any:
            return getattr(self._stub, rpc)(message, timeout=timeout, metadata=self._metadata)

        return call
