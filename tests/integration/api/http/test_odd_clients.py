"""The lean HTTP/1.1 server over real sockets: odd clients, and faults that were reported of other servers."""

import asyncio
import contextlib
import inspect
import socket
import ssl
from collections.abc import Callable, Coroutine

import pytest
import uvloop

from discordproxy_api.http.connections import ConnectionGuard, ConnectionLimits
from discordproxy_api.http.http1.answer import HttpAnswer
from discordproxy_api.http.http1.connection import ServerConnection
from discordproxy_api.http.http1.head import MalformedError
from discordproxy_api.tls import Tls, TlsFiles
from fakes.certificates import Authority
from fakes.eventually import eventually
from hostile import attacks

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nConnection: close\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
MIB = 1024 * 1024


def on_both_loops(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    """Run a test in the event loop of asyncio, and in that of a worker."""

    def run_test(run, **fixtures):
        run(test(**fixtures))

    parameters = inspect.signature(test).parameters
    own = inspect.Parameter("run", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run_test.__signature__ = inspect.Signature([own, *parameters.values()])
    run_test.__name__, run_test.__doc__ = test.__name__, test.__doc__
    return pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])(run_test)


class Server:
    """A server whose answers state what they answer: the body it has read, after the target.

    Targets: /refuse is answered without its body, /slow when it is let, /big with a large answer.
    """

    def __init__(self, *, keep_alive_s: float = 75.0, tls: ssl.SSLContext | None = None, **limits) -> None:
        self.keep_alive_s = keep_alive_s
        self.let, self.begun, self.cancelled = asyncio.Event(), [], 0
        self.peers: list[str] = []
        self.guard = ConnectionGuard(self.connection, tls=tls, limits=ConnectionLimits(**limits))
        self.port = 0

    def connection(self) -> ServerConnection:
        return ServerConnection(self.serve, self.keep_alive_s)

    async def serve(self, request) -> None:
        self.begun.append(request.target)
        self.peers.append(request.connection.peer)
        try:
            answer = await self.answer(request)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        request.connection.respond(request, answer)

    async def answer(self, request) -> HttpAnswer:
        if request.target == "/refuse":
            return HttpAnswer(413, {}, b"too large")
        if request.target == "/slow":
            await self.let.wait()
        if request.target == "/big":
            return HttpAnswer(200, {}, bytes(8 * MIB))
        try:
            return HttpAnswer(200, {}, request.target.encode() + b" " + await request.read(lambda _size: None))
        except MalformedError:
            return HttpAnswer(400, {})


@contextlib.asynccontextmanager
async def listening(host: str = "127.0.0.1", **options):
    server = Server(**options)
    server.port = await server.guard.open(host, 0)
    try:
        yield server
    finally:
        await server.guard.close()
        await server.guard.drop()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="NOT TESTED: there is no IPv6 here")
@on_both_loops
async def test_on_all_ipv6_addresses_ipv4_is_served_too():
    """As at the port of gRPC, with the same form of an IPv4 address."""
    async with listening("::") as server:
        for host in ("127.0.0.1", "::1"):
            reader, writer = await asyncio.open_connection(host, server.port)
            writer.write(LAST)
            assert b"/last" in await all_of(reader)
            writer.close()
    assert [peer.rpartition(":")[0] for peer in server.peers] == ["ipv4:127.0.0.1", "ipv6:[::1]"]


async def all_of(reader: asyncio.StreamReader) -> bytes:
    """Return all that comes until the end of the connection."""
    return await asyncio.wait_for(reader.read(), 30)


async def exchange(server: Server, *pieces: bytes) -> bytes:
    async with attacks.connection(server.port) as (reader, writer):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await all_of(reader)


def bodies(data: bytes) -> list[bytes]:
    """Return the bodies of answers with a length."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:"))
        found.append(data[:length])
        data = data[length:]
    return found


@on_both_loops
async def test_pipelined_requests_are_answered_in_order():
    async with listening() as server:
        post = b"POST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
        answers = await exchange(server, GET + post + CHUNKED + b"1\r\nx\r\n0\r\nT: y\r\n\r\n" + LAST)
    assert bodies(answers) == [b"/a ", b"/b abc", b"/a x", b"/last "]


@pytest.mark.parametrize("framing", [b"Content-Length: 3", b"Transfer-Encoding: chunked"])
@on_both_loops
async def test_an_offered_upgrade_loses_no_body(framing):
    """httptools pauses after the head of such a request, and uvicorn lost its body (uvicorn issue 2722)."""
    head = b"POST /a HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
    body = b"abc" if b"Length" in framing else b"3\r\nabc\r\n0\r\n\r\n"
    async with listening() as server:
        for pieces in ([head + framing + b"\r\n\r\n" + body + LAST], [head + framing + b"\r\n\r\n", body + LAST]):
            assert bodies(await exchange(server, *pieces)) == [b"/a abc", b"/last "]


@on_both_loops
async def test_the_keep_alive_time_ends_no_later_request():
    """A timer of the first of two pipelined requests ended the second one (uvicorn issues 824 and 1637)."""
    async with listening(keep_alive_s=0.05) as server, attacks.connection(server.port) as (reader, writer):
        writer.write(GET + GET.replace(b"/a", b"/slow"))
        await eventually(lambda: server.begun == ["/a", "/slow"])
        await asyncio.sleep(0.3)  # several sweeps
        server.let.set()
        answers = await all_of(reader)  # and then it does end an idle connection
    assert bodies(answers) == [b"/a ", b"/slow "]


@pytest.mark.parametrize("keep_alive", [True, False])
@on_both_loops
async def test_a_refusal_reaches_a_client_that_still_sends(keep_alive):
    """Closing with unread bytes resets the connection, and the client loses the answer (aiohttp pull request 1050)."""
    head = b"POST /refuse HTTP/1.1\r\nContent-Length: 8388608\r\n" + (b"" if keep_alive else b"Connection: close\r\n")
    async with listening() as server:
        answers = await exchange(server, head + b"\r\n", *[bytes(MIB)] * 8, LAST if keep_alive else b"")
    assert bodies(answers) == [b"too large", b"/last "] if keep_alive else [b"too large"]


@on_both_loops
async def test_a_refused_body_that_does_not_come_ends_the_connection():
    async with listening() as server:
        answers = await exchange(server, b"POST /refuse HTTP/1.1\r\nContent-Length: 5\r\n\r\nab")
    assert bodies(answers) == [b"too large"]


@on_both_loops
async def test_nothing_is_served_after_the_last_request():
    """Another server answered what a client sent after it had announced the end (uvicorn issue 2238)."""
    async with listening() as server:
        assert bodies(await exchange(server, LAST + GET)) == [b"/last "]
        assert server.begun == ["/last"]


@pytest.mark.parametrize("start", [b"2;a=\n4\r\n", b"2;\na\r\n", b"2\n", b"2;a\r4\r\n"])
@on_both_loops
async def test_line_feeds_in_extensions_of_chunks_are_refused(start):
    """Servers on the way end the line there (gunicorn pull request 3327, Go issue 71988, CVE-2024-52304 of aiohttp)."""
    async with listening() as server:
        answers = await exchange(server, CHUNKED + start + b"{}\r\n0\r\n\r\n" + GET)
    assert answers.startswith(b"HTTP/1.1 400 ")
    assert answers.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("edge", [b"\x0b", b"\x0c", b"\x1c", b"\x85", b"\xa0", b"\xc2\xa0"])
@on_both_loops
async def test_other_blanks_around_a_coding_are_refused(edge):
    """Others strip what Python counts as a blank (gunicorn issues 3091 and 3364)."""
    async with listening() as server:
        data = b"POST /a HTTP/1.1\r\nTransfer-Encoding: " + edge + b"chunked" + edge + b"\r\n\r\n1\r\nZ\r\n0\r\n\r\n"
        assert (await exchange(server, data)).startswith(b"HTTP/1.1 400 ")
    assert not server.begun


@on_both_loops
async def test_100_continue_is_sent_when_the_body_is_wanted_and_missing():
    """Only then, not before the request is accepted (uvicorn issue 88)."""
    head = b"POST /%b HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    async with listening() as server:
        async with attacks.connection(server.port) as (reader, writer):
            writer.write(head % b"slow")
            await eventually(lambda: server.begun == ["/slow"])
            server.let.set()
            assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30) == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"{}" + LAST)
            assert bodies(await all_of(reader)) == [b"/slow {}", b"/last "]
        assert b"100 Continue" not in await exchange(server, head % b"refuse")
        assert b"100 Continue" not in await exchange(server, head % b"a" + b"{}" + LAST)


@on_both_loops
async def test_http_1_0():
    async with listening() as server:
        assert bodies(await exchange(server, b"GET /a HTTP/1.0\r\n\r\n" + GET)) == [b"/a "]
        kept = await exchange(server, b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + LAST)
    assert bodies(kept) == [b"/a ", b"/last "]
    assert b"\r\nConnection: keep-alive\r\n" in kept


@on_both_loops
async def test_a_client_that_goes_away_ends_its_request():
    async with listening() as server:
        for data in (GET.replace(b"/a", b"/slow"), b"POST /a HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"):
            before = server.cancelled
            async with attacks.connection(server.port) as (_reader, writer):
                writer.write(data)
                await eventually(lambda begun=before + 1: len(server.begun) == begun)
            await eventually(lambda cancelled=before + 1: server.cancelled == cancelled)
        await eventually(lambda: not server.guard._open)


@on_both_loops
async def test_a_client_that_ends_its_side_counts_as_gone():
    async with listening() as server, attacks.connection(server.port) as (reader, writer):
        writer.write(GET.replace(b"/a", b"/slow"))
        await eventually(lambda: server.begun == ["/slow"])
        writer.write_eof()
        assert await all_of(reader) == b""
        await eventually(lambda: server.cancelled == 1)


@on_both_loops
async def test_a_client_that_reads_slowly_gets_a_whole_answer():
    async with listening() as server, attacks.connection(server.port) as (reader, writer):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        writer.write(GET.replace(b"/a", b"/big") + LAST)
        await eventually(lambda: server.begun == ["/big"])
        await asyncio.sleep(0.1)
        assert server.begun == ["/big"], "the next request waits until the answer is read"
        assert [len(body) for body in bodies(await all_of(reader))] == [8 * MIB, 6]


@on_both_loops
async def test_a_client_that_never_reads_is_ended():
    async with listening(keep_alive_s=0.1) as server, attacks.connection(server.port) as (_reader, writer):
        writer.transport.pause_reading()
        writer.write(GET.replace(b"/a", b"/big"))
        await eventually(lambda: server.begun == ["/big"])
        await eventually(lambda: not server.guard._open)


@on_both_loops
async def test_ipv6_and_its_address():
    async with listening("::1") as server:
        reader, writer = await asyncio.open_connection("::1", server.port)
        writer.write(GET.replace(b"/a", b"/slow") + LAST)
        await eventually(lambda: server.begun)
        (connection,) = server.guard._open.values()
        assert connection.peer.startswith("ipv6:[::1]:")
        server.let.set()
        assert bodies(await all_of(reader)) == [b"/slow ", b"/last "]
        writer.close()


@on_both_loops
async def test_tls(tmp_path):
    authority = Authority(tmp_path)
    pair = authority.issue()
    trust = ssl.create_default_context(cafile=str(authority.path))
    head = b"POST /refuse HTTP/1.1\r\nContent-Length: 3000000\r\nConnection: close\r\n\r\n"
    async with listening(tls=Tls(TlsFiles(pair.cert, pair.key)).for_http()) as server:
        for data, expected in ((GET + LAST, [b"/a ", b"/last "]), (head + bytes(3_000_000), [b"too large"])):
            reader, writer = await asyncio.open_connection("localhost", server.port, ssl=trust)
            writer.write(data)
            await writer.drain()
            assert bodies(await all_of(reader)) == expected
            writer.close()
        plain = await exchange(server, GET)
        assert not plain.startswith(b"HTTP")
        await eventually(lambda: not server.guard._open)


@on_both_loops
async def test_tls_to_a_plain_port_is_refused_at_once():
    async with listening() as server:
        assert (await exchange(server, b"\x16\x03\x01\x02\x00\x01\x00")).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("limit", ["first_request_s", "connections"])
@on_both_loops
async def test_idle_connections_are_limited(limit):
    limits = {"first_request_s": 0.1} if limit == "first_request_s" else {"connections": 5}
    async with listening(**limits) as server, contextlib.AsyncExitStack() as stack:
        for _ in range(20):
            await stack.enter_async_context(attacks.connection(server.port))
        if limit == "connections":
            assert bodies(await exchange(server, LAST)) == [b"/last "]
            assert len(server.guard._open) <= 5
        else:
            await eventually(lambda: not server.guard._open)
