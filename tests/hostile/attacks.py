"""Attacks of hostile or broken callers on a worker. Each returns once it is over; none expects a response."""

import asyncio
import contextlib
import gzip
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence

import grpc

from discordproxy.discord_api_pb2 import GetGuildChannelsRequest
from discordproxy_api.contract.contract import load_contract
from hostile import frames
from hostile.frames import (
    CONTINUATION,
    DATA,
    END_STREAM,
    HEADERS,
    HELLO,
    INITIAL_WINDOW_SIZE,
    PING,
    PREFACE,
    PUSH,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    call,
    call_headers,
    call_start,
    frame,
    header,
    message,
    setting,
)

RPCS = sorted(name for name, rpc in load_contract().items() if not rpc.streaming)
MIB = 1024 * 1024
BEFORE_THE_KEY = (
    "/grpc.health.v1.Health/Watch",
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/discordproxy.Console/Doctor",
    "SubscribeEvents",
    "SendChannelMessage",
)
"""A method of each kind of handler; the attackers have no key."""

OWN = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]


def _bytes(rng: random.Random, valid: bytes) -> bytes:
    """Return random bytes, or `valid` with a few changed, missing or repeated bytes."""
    if rng.random() < 0.4:
        return rng.randbytes(rng.choice((1, 3, 10, 100, 2000)))
    data = bytearray(valid)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(data) + 1)
        data[at : at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
    return bytes(data) * rng.choice((1, 1, 1, 3))


async def fuzzed_requests(
    port: int, count: int, rng: random.Random, *, valid: Sequence[tuple[str, bytes]], callers: int = 32
) -> Counter[str]:
    """Call with mutated requests; `valid` are RPCs with a request each. Return the count of each status."""
    statuses: Counter[str] = Counter()
    left = iter(range(count))

    async def caller(channel: grpc.aio.Channel) -> None:
        for _ in left:
            rpc, request = rng.choice(valid) if rng.random() < 0.7 else (rng.choice([*RPCS, "No", ""]), b"")
            method = channel.unary_unary(f"/discord_api.DiscordApi/{rpc}")
            try:
                await method(_bytes(rng, request), timeout=10)
                statuses["OK"] += 1
            except grpc.aio.AioRpcError as error:
                statuses[error.code().name] += 1

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", OWN) as channel:
        await asyncio.gather(*(caller(channel) for _ in range(callers)))
    return statuses


def oddities(rng: random.Random) -> Iterator[bytes]:
    """Yield malformed HTTP/2 streams, one per connection."""
    yield b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(512)  # the beginning of TLS
    yield rng.randbytes(4096)
    yield PREFACE[: rng.randrange(len(PREFACE))]
    yield PREFACE + rng.randbytes(4096)
    yield HELLO + frame(0xEE, rng.randbytes(100), flags=0xFF, stream=5)
    yield HELLO + frame(SETTINGS, b"odd")
    yield HELLO + frame(SETTINGS, setting(INITIAL_WINDOW_SIZE, 2**32 - 1))
    yield HELLO + frame(SETTINGS, b"".join(setting(number, 2**31) for number in range(1, 2000)))
    yield HELLO + frame(SETTINGS, stream=3)
    yield HELLO + frame(DATA, b"x" * 100)
    yield HELLO + frame(DATA, b"x" * 100, stream=99)
    yield HELLO + frame(DATA, b"", length=2**24 - 1)
    yield HELLO + frame(PUSH, b"\0\0\0\2" + call_headers("GetUser"), stream=1)
    yield HELLO + frame(WINDOW_UPDATE, (2**31 - 1).to_bytes(4, "big")) * 3
    yield HELLO + frame(WINDOW_UPDATE, bytes(4))
    yield HELLO + frame(RST_STREAM, bytes(4), stream=2**31 - 1)
    yield HELLO + frame(RST_STREAM, b"x", stream=1)
    yield HELLO + frame(CONTINUATION, call_headers("GetUser"), stream=1)
    yield HELLO + frame(HEADERS, rng.randbytes(300), flags=frames.END_HEADERS, stream=1)
    yield HELLO + frame(HEADERS, header(":path", "/x") * 3, flags=frames.END_HEADERS, stream=1)
    yield HELLO + call_start("GetUser", 2)
    yield HELLO + call_start("GetUser", 0)
    yield HELLO + call_start("GetUser", 5) + call_start("GetUser", 3)
    yield HELLO + call_start("../../etc/passwd", 1) + call_start("GetUser\0", 3)
    yield HELLO + call_start("GetUser", 1, ("grpc-timeout", "99999999999H"), ("grpc-encoding", "gzip"))
    yield HELLO + call_start("GetUser", 1) + frame(DATA, b"\1" + message(rng.randbytes(50))[1:], flags=1, stream=1)
    yield HELLO + call_start("GetUser", 1) + frame(DATA, message(b"") * 50, flags=END_STREAM, stream=1)
    yield HELLO + call_start("GetUser", 1) + frame(DATA, message(b"x", size=2**32 - 1), flags=END_STREAM, stream=1)
    yield HELLO + call("GetUser", 1, rng.randbytes(200)) + call("GetUser", 1, b"")
    yield HELLO + frame(PING, bytes(8)) * 5000
    yield HELLO + frame(SETTINGS) * 5000
    yield HELLO + frame(HEADERS, call_headers("GetUser"), stream=1) + frame(CONTINUATION, b"", stream=1) * 5000
    yield HELLO + frame(HEADERS, b"", stream=1) + frame(CONTINUATION, header("a", "b" * 4000), stream=1) * 500
    yield HELLO + call_start("GetUser", 1, *((f"x-{number}", "v" * 1000) for number in range(14)))
    yield HELLO + frame(DATA, bytes(1), stream=1) * 5000
    yield HELLO + b"".join(
        call_start("GetUser", number) + frame(RST_STREAM, bytes(4), stream=number) for number in range(1, 8001, 2)
    )
    yield HELLO + b"".join(call_start("SendChannelMessage", number) for number in range(1, 8001, 2))


@contextlib.asynccontextmanager
async def connection(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection without any protocol."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def send_raw(port: int, data: bytes, *, patience_s: float) -> None:
    """Write, then read until the server closes the connection or sends nothing for `patience_s`."""
    with contextlib.suppress(OSError, TimeoutError):
        async with connection(port) as (reader, writer):
            writer.write(data)
            while await asyncio.wait_for(reader.read(65536), patience_s):
                pass


async def huge_messages(
    port: int, count: int, size: int = 100 * MIB, method: str = "/discord_api.DiscordApi/SendChannelMessage"
) -> Counter[str]:
    """Send messages far beyond the size limit, from a conforming library."""
    statuses: Counter[str] = Counter()
    data = bytes(size)

    async def one(channel: grpc.aio.Channel) -> None:
        try:
            await channel.unary_unary(method)(data, timeout=60)
        except grpc.aio.AioRpcError as error:
            statuses[error.code().name] += 1

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", OWN) as channel:
        await asyncio.gather(*(one(channel) for _ in range(count)))
    return statuses


@contextlib.asynccontextmanager
async def open_connections(
    port: int, count: int, data: bytes, *, read: bool = True, answered: bool = True
) -> AsyncIterator[int]:
    """Hold connections that have sent only `data`; yield how many the worker accepted.

    Args:
        read: whether responses are read.
        answered: whether the server sends something first; otherwise every connection counts as accepted.
    """
    async with contextlib.AsyncExitStack() as stack:
        taken = 0
        for start in range(0, count, 100):
            opened = await asyncio.gather(
                *(_opened(stack, port, data, read=read, answered=answered) for _ in range(min(100, count - start)))
            )
            taken += sum(opened)
        yield taken


async def _opened(stack: contextlib.AsyncExitStack, port: int, data: bytes, *, read: bool, answered: bool) -> bool:
    with contextlib.suppress(OSError, TimeoutError):
        reader, writer = await stack.enter_async_context(connection(port))
        if not read:
            writer.transport.pause_reading()
        writer.write(data)
        if read and answered:
            return bool(await asyncio.wait_for(reader.read(9), 10))
        return True
    return False


def slow_writer(calls: int = 20) -> bytes:
    """Return calls whose requests never complete."""
    return HELLO + b"".join(
        call_start("SendChannelMessage", number) + frame(DATA, message(b"", size=MIB), stream=number)
        for number in range(1, 2 * calls, 2)
    )


def slow_reader(guild: int, calls: int = 20) -> bytes:
    """Return calls with long responses that the caller does not read."""
    request = GetGuildChannelsRequest(guild_id=guild).SerializeToString()
    return (
        PREFACE
        + frame(SETTINGS, setting(INITIAL_WINDOW_SIZE, 0))
        + b"".join(call("GetGuildChannels", number, request) for number in range(1, 2 * calls, 2))
    )


def bombs(calls: int, *, inflated: int = 32 * MIB) -> bytes:
    """Return calls whose small messages gRPC would inflate to a thousand times their size."""
    bomb = message(gzip.compress(bytes(inflated)), compressed=True)
    return HELLO + b"".join(
        call_start(BEFORE_THE_KEY[number % len(BEFORE_THE_KEY)], 2 * number + 1, ("grpc-encoding", "gzip"))
        + _data(bomb, 2 * number + 1)
        for number in range(calls)
    )


def _data(data: bytes, stream: int) -> bytes:
    """Return frames of the size that every receiver accepts."""
    pieces = [data[at : at + 16_384] for at in range(0, len(data), 16_384)]
    whole = b"".join(frame(DATA, piece, stream=stream) for piece in pieces[:-1])
    return whole + frame(DATA, pieces[-1], flags=END_STREAM, stream=stream)


def watchers(calls: int) -> bytes:
    """Return calls that watch the worker's health without end."""
    return HELLO + b"".join(call(BEFORE_THE_KEY[0], number, b"") for number in range(1, 2 * calls, 2))


REST_HEAD = "POST /api/v10/channels/1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


def half_body(size: int = 31 * MIB) -> bytes:
    """Return a request to the REST port whose announced body never completes."""
    return f"{REST_HEAD}Content-Length: {size}\r\n\r\n{{".encode()


def half_chunks() -> bytes:
    """Return a request to the REST port whose chunks never end."""
    return f"{REST_HEAD}Transfer-Encoding: chunked\r\n\r\n100000\r\n".encode() + bytes(MIB // 4)


def gzip_body(inflated: int = 32 * MIB) -> bytes:
    """Return a request to the REST port with a small body that is large when decompressed."""
    body = gzip.compress(bytes(inflated))
    return f"{REST_HEAD}Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def unread_answers(guild: int, requests: int = 100) -> bytes:
    """Return requests to the REST port with long answers that the caller does not read."""
    return f"GET /api/v10/guilds/{guild}/channels HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() * requests


async def huge_bodies(port: int, count: int, size: int) -> Counter[str]:
    """Send bodies of this size to the REST port, all at once, in chunks and announced; count the statuses."""
    statuses: Counter[str] = Counter()

    async def one(number: int) -> None:
        heads = (f"Content-Length: {size}\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError, TimeoutError):
            async with connection(port) as (reader, writer):
                writer.write((REST_HEAD + heads[number % 2]).encode())
                sending = asyncio.create_task(_send_body(writer, size, chunked=bool(number % 2)))
                answer = await asyncio.wait_for(reader.read(4096), 120)
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
                statuses[answer.split(b" ", 2)[1].decode() if answer else "closed"] += 1

    await asyncio.gather(*map(one, range(count)))
    return statuses


async def _send_body(writer: asyncio.StreamWriter, size: int, *, chunked: bool) -> None:
    for _ in range(size // MIB):
        writer.write(b"100000\r\n" + bytes(MIB) + b"\r\n" if chunked else bytes(MIB))
        await writer.drain()
    if chunked:
        writer.write(b"0\r\n\r\n")


def half_request(rng: random.Random) -> bytes:
    """Return the beginning of an HTTP request."""
    request = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Padding: xxxxxxxxxx\r\n"
    return request[: rng.randrange(len(request))]
