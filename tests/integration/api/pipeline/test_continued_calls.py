"""Calls that continue without their callers: their requests count as uploads until Discord has answered."""

import contextlib

import grpc
import pytest

from discordproxy.discord_api_pb2 import EditMessageRequest, File, RequestOptions, SendChannelMessageRequest
from discordproxy_sandbox.rest.faults import Fault
from discordproxy_sandbox.world.population import CHANNEL_ID, GUILD_ID
from fakes.eventually import eventually
from hostile import attacks
from integration.api.conftest import serve

CHANNEL = int(CHANNEL_ID)
FILES = [File(filename="a.bin", content=bytes(2**20))]
BODY = b'{"name": "x", "image": "data:image/png;base64,' + b"A" * 2**20 + b'"}'
POST = f"POST /api/v10/guilds/{GUILD_ID}/emojis HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@contextlib.asynccontextmanager
async def grpc_call(served, rpc, **fields):
    async with grpc.aio.insecure_channel(f"127.0.0.1:{served.port}") as channel:
        request = {"SendChannelMessage": SendChannelMessageRequest, "EditMessage": EditMessageRequest}[rpc](
            channel_id=CHANNEL, files=FILES, **fields
        )
        send = channel.unary_unary(f"/discord_api.DiscordApi/{rpc}", type(request).SerializeToString)
        call = send(request)
        yield
        call.cancel()


@contextlib.asynccontextmanager
async def rest_call(served, headers=""):
    async with attacks.connection(served.rest_port) as (_, writer):
        writer.write(f"{POST}{headers}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
        yield


CALLERS = {
    "a message": lambda served: grpc_call(served, "SendChannelMessage"),
    "a message with a key": lambda served: grpc_call(
        served, "SendChannelMessage", options=RequestOptions(idempotency_key="key")
    ),
    "a change in order": lambda served: grpc_call(served, "EditMessage", message_id=1, clear=["attachments"]),
    "the REST port": rest_call,
    "the REST port with a key": lambda served: rest_call(served, "Idempotency-Key: key\r\n"),
}


@pytest.mark.parametrize("kind", CALLERS)
async def test_the_request_of_a_caller_that_has_gone_counts_until_discord_has_answered(discord, kind):
    discord.faults.add(Fault(kind="slow", delay_s=2.0))
    async with serve(discord, rest_port=0) as served:
        metrics = served.worker.metrics
        async with CALLERS[kind](served):
            await eventually(lambda: discord.ledger.records)
            assert metrics.upload_bytes._value.get() >= 2**20
        await eventually(lambda: metrics.upload_bytes._value.get() == 0)
        assert len(served.broker.ended) == 1
