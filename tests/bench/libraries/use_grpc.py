"""A caller of the library benchmark with a gRPC stub."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from bench.libraries.caller import Send, serve
from discordproxy import discord_api_pb2 as pb
from discordproxy.discord_api_pb2_grpc import DiscordApiStub

TIMEOUT_S = 240.0


@asynccontextmanager
async def connect(job: dict[str, Any]) -> AsyncIterator[Send]:
    async with grpc.aio.insecure_channel(job["grpc"]) as channel:
        stub, app = DiscordApiStub(channel), (("x-discordproxy-app", job["app"]),)
        await stub.GetCurrentUser(pb.GetCurrentUserRequest(), metadata=app)

        async def send(to: int, text: str) -> int:
            request = pb.SendChannelMessageRequest(channel_id=to, content=text)
            answer = await stub.SendChannelMessage(request, metadata=app, timeout=TIMEOUT_S)
            return answer.message.id

        yield send


if __name__ == "__main__":
    asyncio.run(serve(connect))
