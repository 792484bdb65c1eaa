"""A load generator in a process of its own: `python -m bench.speed.load`.

Each line of its standard input is a `Load` in JSON, each line of its output the `Outcome` of one.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from typing import Any

import grpc
import orjson
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.speed import http1
from bench.speed.messages import BODY, FIRST_CHANNEL, legacy_request, request
from bench.speed.orders import Load, Outcome
from discordproxy import discord_api_pb2 as pb
from discordproxy.discord_api_pb2_grpc import DiscordApiStub

GUILD, CHANNEL = 300000000000000001, 500000000000000001
"""Of the sandbox: what the caches hold."""

OK = 200
CALL_TIMEOUT_S = 30.0


class WrongAnswerError(Exception):
    """A call was answered, but not with what was wanted."""


Call = Callable[[int], Awaitable[None]]
"""Of the number of a channel; calls that send no message ignore it."""

Connect = Callable[[int, int], Any]
"""Of port and caller's number; returns a context manager with a `Call`."""

_channels: dict[int, grpc.aio.Channel] = {}


def _channel(port: int) -> grpc.aio.Channel:
    if port not in _channels:
        _channels[port] = grpc.aio.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)])
    return _channels[port]


def _expect(condition: object, answer: Any) -> None:
    if not condition:
        raise WrongAnswerError(str(answer)[:300])


def _send(make: Callable[[int], pb.SendChannelMessageRequest]) -> Connect:
    @asynccontextmanager
    async def connect(port: int, caller: int) -> AsyncIterator[Call]:
        stub, own = DiscordApiStub(_channel(port)), make(FIRST_CHANNEL + caller)

        async def call(number: int) -> None:
            message = own if number == caller else make(FIRST_CHANNEL + number)
            answer = await stub.SendChannelMessage(message, timeout=CALL_TIMEOUT_S)
            _expect(answer.message.content == message.content and answer.message.embeds, answer)

        yield call

    return connect


@asynccontextmanager
async def _get_guild(port: int, _: int) -> AsyncIterator[Call]:
    stub, wanted = DiscordApiStub(_channel(port)), pb.GetGuildRequest(guild_id=GUILD)

    async def call(_: int) -> None:
        answer = await stub.GetGuild(wanted, timeout=CALL_TIMEOUT_S)
        _expect(answer.guild.id == GUILD and answer.freshness.source == pb.Freshness.CACHE, answer)

    yield call


@asynccontextmanager
async def _get_channel(port: int, _: int) -> AsyncIterator[Call]:
    stub, wanted = DiscordApiStub(_channel(port)), pb.ChannelId(channel_id=CHANNEL)

    async def call(_: int) -> None:
        answer = await stub.GetChannel(wanted, timeout=CALL_TIMEOUT_S)
        _expect(answer.channel.id == CHANNEL and answer.freshness.source == pb.Freshness.CACHE, answer)

    yield call


@asynccontextmanager
async def _health_check(port: int, _: int) -> AsyncIterator[Call]:
    stub, wanted = health_pb2_grpc.HealthStub(_channel(port)), health_pb2.HealthCheckRequest()

    async def call(_: int) -> None:
        answer = await stub.Check(wanted, timeout=CALL_TIMEOUT_S)
        _expect(answer.status == health_pb2.HealthCheckResponse.SERVING, answer)

    yield call


@asynccontextmanager
async def _post(port: int, caller: int) -> AsyncIterator[Call]:
    """Send the message as a request of Discord's API, for proxies that speak HTTP."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    headers = {"Host": f"127.0.0.1:{port}", "Authorization": "Bot dpk_bench", "Content-Type": "application/json"}

    def message(number: int) -> bytes:
        path = f"/api/v10/channels/{FIRST_CHANNEL + number}/messages"
        return http1.write(f"POST {path} HTTP/1.1", headers, orjson.dumps(BODY))

    own = message(caller)

    async def call(number: int) -> None:
        writer.write(own if number == caller else message(number))
        async with asyncio.timeout(CALL_TIMEOUT_S):
            answer = await http1.read(reader)
        _expect(answer.status == OK and orjson.loads(answer.body)["content"] == BODY["content"], answer)

    try:
        yield call
    finally:
        writer.close()


CALLS: dict[str, Connect] = {
    "SendChannelMessage": _send(request),
    "SendChannelMessage of version 1": _send(legacy_request),
    "GetGuild": _get_guild,
    "GetChannel": _get_channel,
    "health check": _health_check,
    "POST": _post,
}


class Results:
    """Latencies and failures of calls."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self.failed = 0
        self.first_error = ""

    async def make(self, call: Call, channel: int, due: float) -> None:
        """Make a call that was due at a time."""
        try:
            await call(channel)
        except Exception as error:  # noqa: BLE001 - whatever it is, the call was not answered
            self.failed += 1
            self.first_error = self.first_error or f"{type(error).__name__}: {error}"
        else:
            self.took.append(time.perf_counter() - due)


async def run(load: Load) -> Outcome:
    """Make the calls of a load and return their latencies."""
    results = Results()
    async with AsyncExitStack() as stack:
        connected = [
            await stack.enter_async_context(CALLS[load.call](load.port, caller)) for caller in range(load.callers)
        ]
        began = time.perf_counter()
        await (_paced(load, connected, results) if load.rate else _closed_loop(load, connected, results))
        seconds = time.perf_counter() - began
    took = sorted(results.took)
    p50, p99 = (took[int(len(took) * place / 100)] * 1000 if took else 0.0 for place in (50, 99))
    return Outcome(len(took), results.failed, results.first_error, seconds, p50, p99)


async def _closed_loop(load: Load, connected: list[Call], results: Results) -> None:
    """Make calls one after another in each of the callers, until the time is over or the limit is reached."""
    until = time.perf_counter() + load.seconds
    started = 0

    async def calls(call: Call, caller: int) -> None:
        nonlocal started
        while (now := time.perf_counter()) < until and (not load.limit or started < load.limit):
            channel = started % load.channels if load.channels else caller
            started += 1
            await results.make(call, channel, now)

    await asyncio.gather(*(calls(call, caller) for caller, call in enumerate(connected)))


async def _paced(load: Load, connected: list[Call], results: Results) -> None:
    """Start calls at a rate, in turn by each caller."""
    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(int(load.rate * load.seconds)):
            due = began + number / load.rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            caller = number % len(connected)
            tasks.create_task(results.make(connected[caller], caller, due))


async def main() -> None:
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        outcome = await run(Load(**json.loads(line)))
        sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main())
