"""A rolling restart under load: two workers behind a balancer, and callers that count what became of each message."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import cycle
from pathlib import Path

import aiohttp
import grpc.aio

from discordproxy import discord_api_pb2 as pb
from discordproxy import discord_api_pb2_grpc as rpc
from discordproxy_sandbox.limits.book import LimitBook, RouteLimit
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from discordproxy_sandbox.world.objects import make_channel
from fakes.eventually import eventually
from processes.balancers import Balancer, Ports
from processes.deployment import CHANNEL, GUILD, TOKEN
from processes.process import Process

CHANNELS = range(CHANNEL + 100, CHANNEL + 200)
"""Many, since the messages of one channel are sent one after the other."""
LATENCY_S = 0.15
LAME_DUCK_S = 2.0
LIMIT = RouteLimit(limit=1000, window_s=1.0, kind="fixed")
SEND = "POST /channels/{channel_id}/messages"

Start = Callable[[Path, Ports], Balancer]


@dataclass
class Outcome:
    """Counts of the callers and of Discord."""

    restarts: int = 0
    answered: list[int] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    stored: list[int] = field(default_factory=list)
    doubled: int = 0

    @property
    def lost(self) -> int:
        """Messages that were reported as sent but are not stored."""
        return len(set(self.answered) - set(self.stored))

    def __str__(self) -> str:
        calls = len(self.answered) + self.failed.total()
        return (
            f"{self.restarts} restarts, {calls} calls: {self.failed.total()} failed, {self.doubled} doubled, "
            f"{self.lost} lost {dict(self.failed) or ''}"
        )


class Workers:
    """Two API workers on one Redis, each with ports of its own, which can be restarted one after the other."""

    def __init__(self, discord: Sandbox, redis_url: str, folder: Path) -> None:
        self.ports = Ports()
        self._folder = folder
        self._running: list[Process | None] = [None, None]
        self._env = {
            "DISCORD_BOT_TOKEN": TOKEN,
            "DISCORDPROXY_DISCORD_URL": discord.rest_url,
            "DISCORDPROXY_REDIS_URL": redis_url,
            "DISCORDPROXY_GLOBAL_LIMIT": "500",
            "DISCORDPROXY_LAME_DUCK": str(LAME_DUCK_S),
        }

    async def start(self, number: int) -> None:
        """Start a worker and return once it is ready."""
        env = {
            **self._env,
            "DISCORDPROXY_PORT": str(self.ports.grpc_workers[number]),
            "DISCORDPROXY_REST_PORT": str(self.ports.rest_workers[number]),
            "DISCORDPROXY_HTTP_PORT": str(self.ports.pages[number]),
        }
        process = Process.module("discordproxy_api", env=env, cwd=self._folder)
        self._running[number] = await process.__aenter__()
        await eventually(lambda: self._is_ready(number), within_s=60)

    async def stop(self, number: int) -> None:
        """End a worker as its launcher would."""
        process = self._running[number]
        process.signal(signal.SIGTERM)
        assert await process.ended(within_s=60) == 0, process.output
        await process.__aexit__(None, None, None)

    async def serves_again(self, number: int, doors: Sequence[str]) -> None:
        """Return once calls through each of these doors reach a worker that was replaced."""
        for door in doors:
            await self._running[number].line(f"SendChannelMessage OK {SERVED[door]}", count=10, within_s=60)

    async def kill(self) -> None:
        for process in self._running:
            if process is not None:
                await process.__aexit__(None, None, None)

    async def _is_ready(self, number: int) -> bool:
        try:
            async with (
                aiohttp.ClientSession() as http,
                http.get(f"http://127.0.0.1:{self.ports.pages[number]}/readyz") as answer,
            ):
                return answer.status == 200
        except aiohttp.ClientError:
            return False


class CallError(Exception):
    """A call was refused; the text names the reason."""


class GrpcCaller:
    """Calls with gRPC stubs, on a few connections."""

    def __init__(self, ports: Ports, *, connections: int = 4) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        target = f"127.0.0.1:{ports.grpc}"
        self._channels = [grpc.aio.insecure_channel(target, options) for _ in range(connections)]
        self._stubs = cycle([rpc.DiscordApiStub(channel) for channel in self._channels])

    async def connect(self) -> None:
        """Return once every connection is ready."""
        await asyncio.gather(*(channel.channel_ready() for channel in self._channels))

    async def send(self, channel: int, text: str) -> int:
        """Send a message; return its id."""
        request = pb.SendChannelMessageRequest(channel_id=channel, content=text)
        try:
            answer = await next(self._stubs).SendChannelMessage(request, timeout=60)
        except grpc.aio.AioRpcError as error:
            raise CallError(f"{error.code().name}: {_said(error)}") from None
        return answer.message.id

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()


class RestCaller:
    """Calls the REST port without any library: whatever is not 200 has failed. Connections are kept."""

    def __init__(self, ports: Ports) -> None:
        self._base = f"http://127.0.0.1:{ports.rest}/wait=240/api/v10"
        self._session = aiohttp.ClientSession()

    async def connect(self) -> None:
        """Return once the port answers."""
        await eventually(self._answers, within_s=60)

    async def _answers(self) -> bool:
        try:
            async with self._session.get(f"{self._base}/users/@me") as answer:
                return answer.status == HTTPStatus.OK
        except aiohttp.ClientError:
            return False

    async def send(self, channel: int, text: str) -> int:
        """Send a message; return its id."""
        url, body = f"{self._base}/channels/{channel}/messages", {"content": text}
        try:
            async with self._session.post(url, json=body) as answer:
                document = await answer.json()
        except (aiohttp.ClientError, OSError) as error:
            raise CallError(f"{type(error).__name__}: {error}") from None
        if answer.status != HTTPStatus.OK:
            raise CallError(f"{answer.status}: {document}"[:200])
        return int(document["id"])

    async def close(self) -> None:
        await self._session.close()


class Load:
    """Messages at an even rate, each with a unique text and without repeats."""

    def __init__(self, door: str, ports: Ports, calls_per_s: float) -> None:
        self.outcome = Outcome()
        self._door = door
        self._caller = CALLERS[door](ports)
        self._every_s = 1 / calls_per_s
        self._calls: set[asyncio.Task[None]] = set()
        self._count = 0

    async def run(self) -> None:
        """Connect, and send until cancelled."""
        await self._caller.connect()
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += self._every_s
            await asyncio.sleep(due - loop.time())
            call = asyncio.create_task(self._send())
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def more(self, count: float) -> None:
        """Return once so many more calls have been answered."""
        goal = len(self.outcome.answered) + count
        await eventually(lambda: len(self.outcome.answered) >= goal, within_s=60)

    async def finish(self) -> None:
        """Wait for the calls in progress."""
        await asyncio.gather(*self._calls)
        await self._caller.close()

    async def _send(self) -> None:
        self._count += 1
        channel = CHANNELS[self._count % len(CHANNELS)]
        try:
            self.outcome.answered.append(await self._caller.send(channel, f"{self._door} message {self._count}"))
        except CallError as error:
            self.outcome.failed[str(error)] += 1


CALLERS: dict[str, Callable[[Ports], GrpcCaller | RestCaller]] = {"grpc": GrpcCaller, "rest": RestCaller}
SERVED = {"grpc": "(?!.*door=http)", "rest": ".*door=http"}
"""By door: the rest of a worker's line about a call, as a regular expression."""


def _said(error: grpc.aio.AioRpcError) -> str:
    details = error.details() or ""
    try:
        return str(json.loads(details).get("reason") or json.loads(details)["text"])
    except (ValueError, KeyError):
        return details[:120]


async def rolling_restart(
    balancer: Start,
    redis_url: str,
    folder: Path,
    *,
    rounds: int = 1,
    calls_per_s: float = 200.0,
    doors: Sequence[str] = ("grpc",),
) -> Outcome:
    """Replace every worker `rounds` times while calls come in, and return what was counted.

    Args:
        calls_per_s: of all doors together.
        doors: the ways in of the calls, keys of `CALLERS`.
    """
    rate = calls_per_s / len(doors)
    limits = LimitBook(routes={SEND: LIMIT}, global_limit=None)
    config = SandboxConfig(token=TOKEN, latency_s=LATENCY_S, limits=limits)
    async with Sandbox(config) as discord, two_workers(discord, redis_url, folder) as workers:
        add_channels(discord)
        async with balancer(folder, workers.ports) as front:
            loads = [Load(door, workers.ports, rate) for door in doors]
            sending = [asyncio.create_task(load.run()) for load in loads]
            await asyncio.gather(*(load.more(rate / 2) for load in loads))
            for number in (*range(2),) * rounds:
                async with front.without(number):
                    await workers.stop(number)
                    await workers.start(number)
                # The next one only goes when the balancer has found this one again.
                await workers.serves_again(number, doors)
                await asyncio.gather(*(load.more(rate / 2) for load in loads))
            for task in sending:
                task.cancel()
            await asyncio.gather(*(load.finish() for load in loads))
            assert front.process.running, front.process.output
        return Outcome(
            restarts=2 * rounds,
            answered=[message for load in loads for message in load.outcome.answered],
            failed=sum((load.outcome.failed for load in loads), Counter()),
            stored=[int(one.message_id) for one in discord.ledger.stored],
            doubled=discord.ledger.duplicate_contents,
        )


def add_channels(discord: Sandbox) -> None:
    """Make the channels that messages are sent to."""
    for channel in CHANNELS:
        discord.world.add_channel(make_channel(str(channel), str(GUILD), "load", 0, 0))


@asynccontextmanager
async def two_workers(discord: Sandbox, redis_url: str, folder: Path) -> AsyncIterator[Workers]:
    """Run two workers for the length of the block."""
    workers = Workers(discord, redis_url, folder)
    try:
        await asyncio.gather(workers.start(0), workers.start(1))
        yield workers
    finally:
        await workers.kill()
