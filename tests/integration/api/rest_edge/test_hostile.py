"""Broken and hostile requests to the REST port: refused, closed, and nobody else waits for them."""

import asyncio
import contextlib

import pytest

from discordproxy_api.access.keys import new_key
from discordproxy_api.http.connections import ConnectionLimits
from discordproxy_sandbox.world.population import CHANNEL_ID
from fakes.eventually import eventually
from hostile import attacks
from integration.api.access.test_access import table
from integration.api.conftest import serve
from integration.api.rest_edge.conftest import callers

PATH = f"/api/v10/channels/{CHANNEL_ID}"
HEAD = f"POST {PATH}/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GET = f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def exchange(port: int, data: str | bytes) -> bytes:
    """Send bytes on a connection of its own; return all that comes until it is closed."""
    async with attacks.connection(port) as (reader, writer):
        writer.write(data.encode() if isinstance(data, str) else data)
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(reader.read(), 30)
    return b""


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ("CONNECT discord.com:443 HTTP/1.1\r\nHost: discord.com:443\r\n\r\n", 405),
        (f"GET http://discord.com{PATH} HTTP/1.1\r\nHost: discord.com\r\n\r\n", 400),
        ("GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (HEAD + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
        (HEAD + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + GET, 400),
        (HEAD + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + GET, 400),
        (HEAD + "Content-Length: 1\r\n Content-Length: 9\r\n\r\n{}", 400),
        (HEAD + "X-A: b\rc: d\r\nContent-Length: 2\r\n\r\n{}", 400),
        (HEAD + "X-A: b\0c\r\nContent-Length: 2\r\n\r\n{}", 400),
        (HEAD + "Content-Length: -1\r\n\r\n", 400),
        (HEAD + f"X-Long: {'x' * 20_000}\r\n\r\n", 400),
        (f"GET {PATH}?{'x' * 20_000} HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("garbage\r\n\r\n", 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ],
)
async def test_smuggling_and_forward_proxying_end_the_connection(rest, data, status):
    answer = await exchange(rest.rest_port, data)
    assert answer.split()[1:2] == [str(status).encode()], answer[:200]
    assert answer.count(b"HTTP/1.") == 1, "what follows is not taken for a request"
    assert b"aiohttp" not in answer
    assert not rest.discord.ledger.records


NAMES = [
    *("Authorization", "Proxy-Authorization", "Content-Type", "Content-Encoding", "Host", "Origin", "Referer"),
    *("X-Audit-Log-Reason", "Prefer", "X-Discordproxy-App", "X-Discordproxy-Priority", "Idempotency-Key"),
    *("X-Request-Id", "traceparent", "tracestate", "Sec-Fetch-Site", "User-Agent", "Connection", "Expect"),
]


@pytest.mark.parametrize("keys", [False, True], ids=["open", "with keys"])
@pytest.mark.parametrize(
    "value", [b"\xff", b"Bot \xff", b"Basic \xff", b"Bearer \xff\xfe", b"caf\xe9", "caf\u00e9".encode()]
)
async def test_bytes_in_headers_that_are_no_text(discord, tmp_path, caplog, value, keys):
    file = tmp_path / "keys.toml"
    file.write_text(table(new_key()))
    file.chmod(0o600)
    async with serve(discord, rest_port=0, **({"keys_file": file} if keys else {})) as served:
        for name in NAMES:
            rest = b"Content-Length: 2\r\nConnection: close\r\n\r\n{}"
            head = f"POST {PATH}/messages HTTP/1.1\r\n".encode() + b"".join((name.encode(), b": ", value, b"\r\n"))
            answer = await exchange(served.rest_port, head + rest)
            assert answer.split()[1] not in {b"500", b"502"}, (name, answer)
        for target in (b"/api/v10/channels/1" + value, b"/app=" + value + PATH.encode(), PATH.encode() + b"?" + value):
            head = b"GET " + target.replace(b" ", b"") + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            answer = await exchange(served.rest_port, head)
            assert answer.split()[1] not in {b"500", b"502"}, (target, answer)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("name", ["Authorization", "Content-Type", "Host", "X-Audit-Log-Reason"])
async def test_headers_that_must_not_be_repeated(rest, name):
    data = f"GET {PATH} HTTP/1.1\r\n{name}: a\r\n{name}: b\r\nConnection: close\r\n\r\n"
    assert (await exchange(rest.rest_port, data)).split()[1] == b"400"


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PROPFIND"])
async def test_other_methods(rest, method):
    answer = await exchange(rest.rest_port, f"{method} {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"Allow: GET, POST, PUT, PATCH, DELETE" in answer


@pytest.mark.parametrize("path", ["/", "/livez", "/healthz", "/readyz"])
async def test_help_and_health_need_no_host(rest, path):
    answer = await exchange(rest.rest_port, f"GET {path} HTTP/1.1\r\nHost: a.balancer\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large(discord, chunked):
    async with serve(discord, rest_port=0, max_message_bytes=1024) as served:
        async for call in callers(served):

            async def pieces():
                for _ in range(20):
                    yield b"x" * 100

            body = pieces() if chunked else b"x" * 2_000
            answer = await call("POST", f"/channels/{CHANNEL_ID}/messages", data=body)
            assert (answer.status, answer.document["code"]) == (413, 40005)
            assert (await call("GET", f"/channels/{CHANNEL_ID}")).status == 200


@pytest.mark.parametrize("tail", ["Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n5\r\n{"])
async def test_a_body_that_breaks_off_is_forgotten(rest, tail):
    async with attacks.connection(rest.rest_port) as (_reader, writer):
        writer.write((HEAD + tail).encode())
        await writer.drain()
        await eventually(lambda: rest.worker.metrics.in_progress == 1)
    await eventually(lambda: rest.worker.metrics.in_progress == 0)
    assert not rest.broker.acquired


async def test_slow_bodies_hold_nobody_up(discord):
    async with serve(discord, rest_port=0) as served, contextlib.AsyncExitStack() as stack:
        for _ in range(20):
            _, writer = await stack.enter_async_context(attacks.connection(served.rest_port))
            writer.write((HEAD + "Content-Length: 100\r\n\r\n{").encode())
        await eventually(lambda: served.worker.metrics.in_progress > 0)
        async for call in callers(served):
            assert (await call("POST", f"/channels/{CHANNEL_ID}/messages", json={"content": "x"})).status == 200


async def test_a_connection_that_sends_no_whole_head_is_ended(discord, monkeypatch):
    monkeypatch.setattr("discordproxy_api.rest_edge.port.FIRST_HEAD_S", 0.2)
    async with serve(discord, rest_port=0) as served:
        for data in (b"", b"GET /", HEAD.encode()):
            assert await exchange(served.rest_port, data) == b""


@pytest.mark.parametrize("size", [1, 2, 3, 7, 61])
async def test_requests_in_small_pieces_stay_two_requests(rest, size):
    body = b'{"content":"GET /api/v10/users/@me HTTP/1.1\\r\\n\\r\\n"}'
    data = (HEAD + f"Content-Length: {len(body)}\r\n\r\n").encode() + body
    data += GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").encode()
    async with attacks.connection(rest.rest_port) as (reader, writer):
        for start in range(0, len(data), size):
            writer.write(data[start : start + size])
            await writer.drain()
            await asyncio.sleep(0)
        answer = await asyncio.wait_for(reader.read(), 30)
    assert answer.count(b"HTTP/1.1 200 OK") == answer.count(b"HTTP/1.1 ") == 2
    assert [each.method for each in rest.discord.ledger.records] == ["POST", "GET"]


async def test_chunks_for_which_there_is_no_memory_are_refused_while_they_arrive(discord):
    piece = b"40000\r\n" + bytes(0x40000) + b"\r\n"
    chunked = (HEAD + "Transfer-Encoding: chunked\r\n\r\n").encode() + 5 * piece
    async with serve(discord, rest_port=0, max_upload_bytes=2_000_000, max_message_bytes=2_000_000) as served:
        async with attacks.connection(served.rest_port) as (alone, writer):
            writer.write(chunked + b"0\r\n\r\n")
            assert (await asyncio.wait_for(alone.read(15), 30)).startswith(b"HTTP/1.1 "), "one alone may use all of it"
        held = served.worker.metrics.upload_bytes
        await eventually(lambda: held._value.get() == 0)
        async with attacks.connection(served.rest_port) as (_, writer):
            writer.write(chunked)
            await eventually(lambda: held._value.get() > 1_000_000)
            answer = await exchange(served.rest_port, chunked)
            assert answer.startswith(b"HTTP/1.1 429 ")
            assert b"QUEUE_FULL" in answer
        await eventually(lambda: held._value.get() == 0)


async def test_callers_that_read_no_answer_take_no_place_of_a_call(discord):
    async with serve(discord, rest_port=0, max_calls=2) as served, contextlib.AsyncExitStack() as stack:
        discord.world.channels[CHANNEL_ID].data["topic"] = "x" * 7_500_000
        for number in range(5):
            _, writer = await stack.enter_async_context(attacks.connection(served.rest_port))
            writer.transport.pause_reading()
            writer.write(GET.encode())
            await eventually(lambda served_until=number + 1: len(served.broker.acquired) == served_until)
            await eventually(lambda: served.worker.metrics.in_progress == 0)
        async for call in callers(served):
            assert (await call("POST", f"/channels/{CHANNEL_ID}/messages", json={"content": "x"})).status == 200


async def test_connections_are_bounded(discord):
    async with serve(discord, rest_port=0, max_connections=5) as served, contextlib.AsyncExitStack() as stack:
        for _ in range(20):
            await stack.enter_async_context(attacks.connection(served.rest_port))
        async for call in callers(served):
            assert (await call("GET", f"/channels/{CHANNEL_ID}")).status == 200
        assert len(served.worker.rest_port._connections._open) <= 5


def test_an_operators_port_keeps_its_limits():
    assert ConnectionLimits() == ConnectionLimits(100, 10.0, 15.0, 60.0)
