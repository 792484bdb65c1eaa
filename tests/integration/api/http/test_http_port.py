"""The HTTP port: connections that only take up room end, and web sites with a name for this machine see nothing."""

import asyncio
import contextlib
import random

import aiohttp
import pytest
import uvloop
from aiohttp import web

from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.http.connections import ConnectionLimits
from discordproxy_api.http.server import HttpServer
from discordproxy_api.status.health import Health
from discordproxy_api.tls import Tls, TlsFiles
from fakes.certificates import Authority
from fakes.eventually import eventually
from hostile import attacks

GOOD = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
PAGES = ("/metrics", "/page", "/none")


class Port:
    """A listening HTTP port with a page that answers when it is let."""

    def __init__(self, **options) -> None:
        self.let, self.begun = asyncio.Event(), 0
        metrics = Metrics()
        self.ops = HttpServer(Health({}, metrics), metrics, pages=[web.get("/page", self._page)], **options)
        self.number = 0

    @property
    def open(self) -> int:
        return len(self.ops._connections._open)

    async def _page(self, _request):
        self.begun += 1
        await self.let.wait()
        return web.Response(text="here")

    async def status(self, path: str, host: str | None = "localhost") -> int:
        """Ask with a connection of its own."""
        return (await self.answer(path, host))[0]

    async def answer(self, path: str, host: str | None = "localhost", method: str = "GET") -> tuple[int, bytes]:
        async with attacks.connection(self.number) as (reader, writer):
            name = f"Host: {host}\r\n" if host is not None else ""
            writer.write(f"{method} {path} HTTP/1.0\r\n{name}\r\n".encode())
            head, _, body = (await asyncio.wait_for(reader.read(), 30)).partition(b"\r\n\r\n")
            return int(head.split()[1]), body


@contextlib.asynccontextmanager
async def listening(host: str = "127.0.0.1", **options):
    port = Port(**options)
    port.number = await port.ops.start(host, 0)
    try:
        yield port
    finally:
        port.let.set()
        await port.ops.close()


async def ended(reader: asyncio.StreamReader) -> bool:
    """Read until the other side hangs up."""
    with contextlib.suppress(ConnectionError):
        while await asyncio.wait_for(reader.read(65536), 30):
            pass
    return True


@pytest.mark.parametrize("data", [b"", b"GET", b"GET / HTTP/1.1\r\nHost: lo", GOOD + b"GET", GOOD])
async def test_a_connection_that_asks_for_nothing_is_ended(data):
    async with (
        listening(limits=ConnectionLimits(first_request_s=0.2, next_request_s=0.2)) as port,
        attacks.connection(port.number) as (reader, writer),
    ):
        writer.write(data)
        assert await ended(reader)
        await eventually(lambda: port.open == 0)


async def test_a_connection_that_never_speaks_tls_is_ended(tmp_path):
    pair = Authority(tmp_path).issue()
    tls = Tls(TlsFiles(pair.cert, pair.key)).for_http()
    async with (
        listening(tls=tls, limits=ConnectionLimits(first_request_s=0.2)) as port,
        attacks.connection(port.number) as (reader, writer),
    ):
        writer.write(b"\x16\x03\x01")
        assert await ended(reader)
        await eventually(lambda: port.open == 0)


async def test_an_answer_that_takes_too_long_is_given_up():
    async with (
        listening(limits=ConnectionLimits(response_s=0.2)) as port,
        attacks.connection(port.number) as (reader, writer),
    ):
        writer.write(GOOD.replace(b"/livez", b"/page"))
        assert await ended(reader)


async def test_a_crowd_of_half_requests_keeps_nobody_out():
    half = attacks.half_request(random.Random(1))
    async with listening(limits=ConnectionLimits(connections=20)) as port:
        asked = asyncio.create_task(port.status("/page"))
        await eventually(lambda: port.begun == 1)
        async with attacks.open_connections(port.number, 100, half, answered=False):
            assert await port.status("/livez") == 200
            assert port.open <= 20
            port.let.set()
            assert await asked == 200, "a request that is worked on gives its place to nobody"


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_who_makes_room_is_hung_up_on(run):

    async def crowd() -> None:
        async with listening(limits=ConnectionLimits(connections=5)) as port, contextlib.AsyncExitStack() as stack:
            opened = [await stack.enter_async_context(attacks.connection(port.number)) for _ in range(20)]
            assert all(await asyncio.gather(*(ended(reader) for reader, _writer in opened[:15])))
            assert port.open == 5

    run(crowd())


async def test_when_every_place_works_the_next_connection_is_turned_away():
    async with listening(limits=ConnectionLimits(connections=2)) as port:
        asked = [asyncio.create_task(port.status("/page")) for _ in range(2)]
        await eventually(lambda: port.begun == 2)
        async with attacks.connection(port.number) as (reader, writer):
            writer.write(GOOD)
            assert await ended(reader)
        port.let.set()
        assert await asyncio.gather(*asked) == [200, 200]
        assert await port.status("/livez") == 200


async def test_a_connection_serves_several_requests():
    async with listening() as port, aiohttp.ClientSession() as session:
        for _ in range(5):
            async with session.get(f"http://127.0.0.1:{port.number}/livez") as answer:
                assert answer.status == 200
        assert port.open == 1


async def test_a_body_is_not_waited_for():
    async with listening() as port, attacks.connection(port.number) as (reader, writer):
        writer.write(b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\nx")
        assert (await asyncio.wait_for(reader.readline(), 30)).split()[1] == b"405"
        assert await ended(reader)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *((name, True) for name in ("localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:9", "[::1]", "[::1]:9", None)),
        *(
            (name, False)
            for name in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1", "@")
        ),
    ],
)
async def test_pages_are_shown_under_names_of_this_machine(host, local):
    async with listening() as port:
        port.let.set()
        assert [await port.status(path, host) for path in PAGES] == ([200, 200, 404] if local else [421, 421, 421])
        assert await port.status("/livez", host) == 200
        status, body = await port.answer("/readyz", host)
        assert (status, b"services" in body) == (503, local)


async def test_beyond_this_machine_any_name_is_good():
    async with listening("0.0.0.0") as port:
        port.let.set()
        assert await port.status("/metrics", "proxy.example") == 200


async def test_what_is_not_http_leaves_no_line_in_the_log(caplog):
    async with listening() as port:
        for data in (
            b"\x16\x03\x01\x02\x00\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"G\x00T / HTTP/1.1\r\nx\r\n\r\n",
            GOOD[:-2],
        ):
            async with attacks.connection(port.number) as (reader, writer):
                writer.write(data + b"a b c\r\n\r\n")
                writer.write_eof()
                assert await ended(reader)
    assert not [record for record in caplog.records if record.levelname in {"ERROR", "WARNING"}]


async def test_an_address_in_use_is_reported():
    async with listening() as port:
        with pytest.raises(Exception, match="DISCORDPROXY_HTTP_PORT"):
            await Port().ops.start("127.0.0.1", port.number)
