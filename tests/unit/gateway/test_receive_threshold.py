"""The receive threshold on real connections, with and without TLS, on both event loops."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from discordproxy_gateway.receive_threshold import ReceiveThreshold
from fakes.certificates import Authority


class End(asyncio.Protocol):
    """One end of a connection, and what it has received."""

    def __init__(self) -> None:
        self.received = b""
        self.is_lost = False
        self._changed = asyncio.Event()

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def connection(contexts: tuple) -> AsyncIterator[tuple[End, End]]:
    """Both ends of a connection: the one with the threshold, and the sender."""
    accepted: asyncio.Queue[End] = asyncio.Queue()

    class Accepted(End):
        def connection_made(self, transport) -> None:
            super().connection_made(transport)
            accepted.put_nowait(self)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Accepted, "127.0.0.1", 0, ssl=contexts[0])
    port = server.sockets[0].getsockname()[1]
    _, receiver = await loop.create_connection(
        End, "127.0.0.1", port, ssl=contexts[1], server_hostname="localhost" if contexts[1] else None
    )
    sender = await accepted.get()
    sender.transport.write(b"hello")  # with TLS, the tickets of the session come first
    await receiver.until(lambda: receiver.received == b"hello")
    yield receiver, sender
    for end in (receiver, sender):
        end.transport.abort()
        await end.until(lambda end=end: end.is_lost)
    server.close()


@pytest.fixture(params=["tcp", "tls"])
def contexts(request, tmp_path) -> tuple:
    """TLS contexts of server and client."""
    if request.param == "tcp":
        return None, None
    authority = Authority(tmp_path)
    pair = authority.issue()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pair.cert, pair.key)
    return server, ssl.create_default_context(cafile=str(authority.path))


@pytest.fixture(params=[asyncio.run, uvloop.run])
def run(request) -> Callable:
    return request.param


def test_what_arrives_stays_unread_until_it_is_enough(run, contexts):
    async def story() -> None:
        async with connection(contexts) as (receiver, sender), connection(contexts) as (other, other_sender):
            threshold = ReceiveThreshold(receiver.transport)
            assert threshold.set(20_000)
            sender.transport.write(b"a" * 1_000)
            other_sender.transport.write(b"later")
            await other.until(lambda: other.received == b"hellolater")
            assert receiver.received == b"hello"
            sender.transport.write(b"b" * 20_000)
            await receiver.until(lambda: len(receiver.received) == 21_005)
            threshold.close()
            assert not threshold.set(20_000)

    run(story())


def test_the_least_threshold_reads_what_has_arrived(run, contexts):
    async def story() -> None:
        async with connection(contexts) as (receiver, sender):
            threshold = ReceiveThreshold(receiver.transport)
            assert threshold.set(20_000)
            sender.transport.write(b"some")
            assert threshold.set(1)
            await receiver.until(lambda: receiver.received == b"hellosome")
            threshold.close()

    run(story())


def test_the_end_of_the_connection_does_not_wait(run):
    async def story() -> None:
        async with connection((None, None)) as (receiver, sender):
            threshold = ReceiveThreshold(receiver.transport)
            assert threshold.set(20_000)
            sender.transport.write(b"last words")
            sender.transport.close()
            await receiver.until(lambda: receiver.is_lost)
            assert receiver.received == b"hellolast words"
            threshold.close()

    run(story())


def test_a_closed_connection_has_no_threshold(run, contexts):
    async def story() -> None:
        async with connection(contexts) as (receiver, _):
            threshold = ReceiveThreshold(receiver.transport)
            receiver.transport.abort()
            assert not threshold.set(20_000)
            threshold.close()

    run(story())


def test_without_a_socket_nothing_gathers():
    class Transport(asyncio.Transport):
        def is_closing(self) -> bool:
            return False

    threshold = ReceiveThreshold(Transport())
    assert not threshold.set(20_000)
    assert not threshold.set(1)
