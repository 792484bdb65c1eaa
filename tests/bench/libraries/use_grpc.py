"""A caller of the library benchmark with a gRPC stub."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc

from bench.libraries.caller import Send, serve
from discordproxy import discord_api_pb2 as pb
from discordproxy.discord_api_pb2_grpc import DiscordApiStub

TIMEOUT_S = 240.0


@asynccontextmanager
async def connect(job: dict[str, Any]) -> AsyncIterator[Send]:
    """Open `connections` (1), which the workers of the server share; calls take them in turn."""
    app = (("x-discordproxy-app", job["app"]),)
    async with AsyncExitStack() as stack:
        stubs = []
        for _ in range(job.get("connections", 1)):
            of_its_own = [("grpc.use_local_subchannel_pool", 1)]
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(job["grpc"], of_its_own))
            await channel.channel_ready()
            stubs.append(DiscordApiStub(channel))
        turns = itertools.cycle(stubs)

        async def send(to: int, text: str) -> int:
            request = pb.SendChannelMessageRequest(channel_id=to, content=text)
            answer = await next(turns).SendChannelMessage(request, metadata=app, timeout=TIMEOUT_S)
            return answer.message.id

        yield send


if __name__ == "__main__":
    asyncio.run(serve(connect))
