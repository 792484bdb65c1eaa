"""Fifty concurrent uploads of 20 MiB on one worker: memory stays bounded, and every caller gets an answer."""

import asyncio
import json
import os
from collections import Counter
from pathlib import Path

import grpc
import pytest
from aiohttp import web

from discordproxy.discord_api_pb2 import File, SendChannelMessageRequest
from discordproxy.discord_api_pb2_grpc import DiscordApiStub
from processes.process import Process

UPLOADS, SIZE = 50, 20 * 1024 * 1024
MOST_MIB = 600
FIRST_CHANNEL = 900_000_000_000_000_000


@pytest.fixture
async def swallowing_discord(settings):
    """A Discord that takes every message and keeps nothing; the sandbox would spend its time on 1 GiB of files."""
    received = []

    async def take(request):
        size = 0
        async for chunk in request.content.iter_any():
            size += len(chunk)
        received.append(size)
        return web.json_response({"id": str(len(received)), "channel_id": request.match_info["channel"]})

    app = web.Application()
    app.router.add_post("/channels/{channel}/messages", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    settings["DISCORDPROXY_DISCORD_URL"] = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield received
    await runner.cleanup()


def peak_mib(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) // 1024


@pytest.mark.slow
async def test_memory_stays_bounded(swallowing_discord, settings, valkey, key_prefix, free_port, tmp_path):
    """Half of the callers declare the size; those are never refused."""
    environment = {**settings, "DISCORDPROXY_REDIS_URL": valkey, "DISCORDPROXY_KEY_PREFIX": key_prefix}
    half = os.urandom(SIZE // 2)
    files = [File(filename=f"{name}.bin", content=half) for name in "ab"]
    outcomes = {True: Counter(), False: Counter()}

    async def upload(stub, number):
        declared = number % 2 == 0
        metadata = (("x-discordproxy-upload-bytes", str(SIZE)),) if declared else ()
        request = SendChannelMessageRequest(channel_id=FIRST_CHANNEL + number, content="x", files=files)
        try:
            await stub.SendChannelMessage(request, timeout=100, metadata=metadata)
            outcomes[declared]["ok"] += 1
        except grpc.aio.AioRpcError as error:
            details = json.loads(error.details())
            outcomes[declared][error.code().name, details["reason"], details["sent"], details["retry_after"] > 0] += 1

    async with Process.module("discordproxy_api", env=environment, cwd=tmp_path) as worker:
        await worker.line("serves on")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{free_port}") as channel:
            stub = DiscordApiStub(channel)
            await asyncio.gather(*(upload(stub, number) for number in range(UPLOADS)))
            text = SendChannelMessageRequest(channel_id=FIRST_CHANNEL + UPLOADS, content="x")
            await stub.SendChannelMessage(text, timeout=60)
        peak = peak_mib(worker.pid)

    assert outcomes[True] == {"ok": UPLOADS // 2}
    assert set(outcomes[False]) <= {"ok", ("RESOURCE_EXHAUSTED", "QUEUE_FULL", "no", True)}
    assert outcomes[False].total() == UPLOADS // 2
    assert sum(size > SIZE for size in swallowing_discord) == outcomes[True]["ok"] + outcomes[False]["ok"]
    assert peak < MOST_MIB, f"the worker used {peak} MiB"
