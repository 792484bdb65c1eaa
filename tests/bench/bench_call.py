"""What a call costs beside a bare gRPC echo: CPU of the serving process, in the same minutes, on the same machine.

    .venv/bin/python tests/bench/bench_call.py [passes]

The call writes a message of 1 kB, since reads may be answered without Discord; the echo answers with the same message.
Three processes beside this one: an API worker, an echo server of grpc.aio + uvloop, and a Discord that answers at once.
The broker is real, with a private Valkey and a global limit that does not bind.
"""

import asyncio
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc

from discordproxy.discord_api_pb2 import Embed, SendChannelMessageRequest, SendChannelMessageResponse
from discordproxy.discord_api_pb2_grpc import DiscordApiStub
from discordproxy_ratelimit.server import embedded

CALLS, CALLERS = 1_000, (1, 32)
TICKS = os.sysconf("SC_CLK_TCK")

ECHO = """
import sys, asyncio, grpc, uvloop
from discordproxy.discord_api_pb2 import Message, SendChannelMessageRequest, SendChannelMessageResponse
async def echo(request, context):
    return SendChannelMessageResponse(message=Message(id=5, content=request.content, embeds=request.embeds))
async def main():
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        echo, SendChannelMessageRequest.FromString, SendChannelMessageResponse.SerializeToString)
    service = grpc.method_handlers_generic_handler("discord_api.DiscordApi", {"SendChannelMessage": handler})
    server.add_generic_rpc_handlers((service,))
    server.add_insecure_port("127.0.0.1:" + sys.argv[1])
    await server.start()
    await server.wait_for_termination()
uvloop.run(main())
"""

DISCORD = """
import sys, orjson
from aiohttp import web
HEADERS = {"X-RateLimit-Bucket": "b", "X-RateLimit-Limit": "100000", "X-RateLimit-Remaining": "99999",
           "X-RateLimit-Reset": "9999999999", "X-RateLimit-Reset-After": "60"}
async def take(request):
    sent = orjson.loads(await request.read())
    body = {"id": "5", "content": sent["content"], "embeds": sent["embeds"]}
    return web.Response(body=orjson.dumps(body), content_type="application/json", headers=HEADERS)
app = web.Application()
app.router.add_post("/channels/{channel}/messages", take)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
"""


MESSAGE = SendChannelMessageRequest(
    channel_id=5,
    content="Fleet leaves at **19:00** from Jita 4-4, doctrine is in the pinned message. Bring ammo and logistics!",
    embeds=[
        Embed(
            title="Strategic operation",
            description="Armour fleet, expected to last two hours. Full replacement programme.",
            color=15158332,
            fields=[Embed.Field(name=f"Wing {n}", value=f"{10 * n} pilots", inline=True) for n in range(1, 10)],
        )
    ],
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(*command: str | Path, **environment: str) -> Iterator[int]:
    """Run a process for the length of the block; return its id."""
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextlib.asynccontextmanager
async def stub_of(port: int) -> AsyncIterator[DiscordApiStub]:
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        await asyncio.wait_for(channel.channel_ready(), 20)
        yield DiscordApiStub(channel)


async def measure(stub: Any, pid: int, callers: int) -> tuple[float, float]:
    """Return microseconds of the server's CPU per call, and calls per second."""

    async def calls() -> None:
        for _ in range(CALLS // callers):
            answer: SendChannelMessageResponse = await stub.SendChannelMessage(MESSAGE)
            assert answer.message.content == MESSAGE.content

    loop = asyncio.get_running_loop()
    before, began = cpu_s(pid), loop.time()
    await asyncio.gather(*(calls() for _ in range(callers)))
    count = CALLS // callers * callers
    return (cpu_s(pid) - before) / count * 1e6, count / (loop.time() - began)


async def main(passes: int) -> None:
    """Measure and print one line per number of callers."""
    worker_port, echo_port, discord_port = free_port(), free_port(), free_port()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="dp-bench-"))
        valkey = (embedded.find_binary(), "--port", "0", "--unixsocket", f"{folder}/s", "--save", "", "--dir", folder)
        stack.enter_context(running(*valkey))
        stack.enter_context(running(sys.executable, "-c", DISCORD, str(discord_port)))
        echo_pid = stack.enter_context(running(sys.executable, "-c", ECHO, str(echo_port)))
        worker_pid = stack.enter_context(
            running(
                *(sys.executable, "-m", "discordproxy_api"),
                DISCORD_BOT_TOKEN="bench",
                DISCORDPROXY_DISCORD_URL=f"http://127.0.0.1:{discord_port}",
                DISCORDPROXY_REDIS_URL=f"unix://{folder}/s",
                DISCORDPROXY_PORT=str(worker_port),
                DISCORDPROXY_GLOBAL_LIMIT="100000",
                DISCORDPROXY_LOG_LEVEL="WARNING",
            )
        )
        async with stub_of(worker_port) as worker, stub_of(echo_port) as echo:
            for callers in CALLERS:
                await measure(worker, worker_pid, callers)  # warm up
                figures = [
                    (await measure(worker, worker_pid, callers), await measure(echo, echo_pid, callers))
                    for _ in range(passes)
                ]
                report(callers, figures)


def report(callers: int, figures: list[tuple[tuple[float, float], tuple[float, float]]]) -> None:
    """Print medians and the spread of the ratio."""
    ratios = sorted(worker[0] / echo[0] for worker, echo in figures)
    (cpu, rate), (echo_cpu, echo_rate) = (
        tuple(statistics.median(each[who][what] for each in figures) for what in (0, 1)) for who in (0, 1)
    )
    line = (
        f"{callers:3} callers: {cpu:5.0f} us CPU per call, {rate:5.0f} calls/s; echo {echo_cpu:4.0f} us,"
        f" {echo_rate:5.0f} calls/s; ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
    )
    print(line)  # noqa: T201 - the result


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
