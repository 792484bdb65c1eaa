"""A server's connection: the same bytes, cut anywhere, are the same requests, served one at a time and in order."""

import asyncio
import re
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discordproxy_api.http.http1.answer import HttpAnswer, encoded
from discordproxy_api.http.http1.connection import MAX_AHEAD, ServerConnection
from discordproxy_api.http.http1.head import MalformedError
from fakes.eventually import eventually

FIRST_LINE = re.compile(rb"HTTP/1\.1 (\d+) ")


@pytest.fixture(scope="module")
def runner():
    with asyncio.Runner() as runner:
        yield runner


@dataclass
class Transport:
    """What a connection writes to."""

    written: bytearray = field(default_factory=bytearray)
    is_closed: bool = False
    is_reading: bool = True
    has_ended: bool = False

    def get_extra_info(self, _name):
        return ("127.0.0.1", 1)

    def write(self, data):
        assert not self.is_closed
        self.written += data

    def pause_reading(self):
        assert self.is_reading
        self.is_reading = False

    def resume_reading(self):
        assert not self.is_reading
        self.is_reading = True

    def can_write_eof(self):
        return True

    def write_eof(self):
        self.has_ended = True

    def close(self):
        self.is_closed = True

    abort = close

    def is_closing(self):
        return self.is_closed


@dataclass
class Served:
    """A connection to a server that answers each request with what it has read."""

    at_once: int = 0
    requests: list = field(default_factory=list)
    hold: asyncio.Event | None = None

    def __post_init__(self):
        self.transport = Transport()
        self.connection = ServerConnection(self.serve, 75.0)
        self.connection.connection_made(self.transport)

    async def serve(self, request):
        self.at_once += 1
        assert self.at_once == 1, "one request at a time"
        if self.hold is not None:
            await self.hold.wait()
        try:
            body = await request.read(lambda _size: None)
        except MalformedError:
            answer = HttpAnswer(400, {})
        else:
            self.requests.append((request.method, request.target, body))
            answer = HttpAnswer(200, {}, body)
        self.at_once -= 1
        self.connection.respond(request, answer)

    async def receive(self, *pieces):
        for piece in pieces:
            if self.transport.is_closed:
                return
            self.connection.data_received(piece)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        for _ in range(200):
            await asyncio.sleep(0)

    @property
    def statuses(self):
        return [int(status) for status in FIRST_LINE.findall(bytes(self.transport.written))]


bodies = st.binary(max_size=60).filter(lambda body: not FIRST_LINE.search(body))
targets = st.integers(0, 99).map(lambda number: f"/t{number}")


@st.composite
def requests(draw):
    """Return a request as bytes, and what a server reads of it."""
    target, kind = draw(targets), draw(st.sampled_from(["none", "length", "chunks", "upgrade"]))
    lines = {"none": "", "upgrade": "Connection: Upgrade\r\nUpgrade: h2c\r\n"}.get(kind, "X-A: b\r\n")
    if kind == "none":
        return f"GET {target} HTTP/1.1\r\n{lines}\r\n".encode(), ("GET", target, b"")
    body = draw(bodies)
    if kind == "length" or (kind == "upgrade" and draw(st.booleans())):
        data = f"POST {target} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body
        return data, ("POST", target, body)
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n" + draw(st.sampled_from([b"", b"X: y\r\n"]))
    data = f"POST {target} HTTP/1.1\r\n{lines}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks + b"\r\n"
    return data, ("POST", target, body)


@given(
    st.lists(requests(), min_size=1, max_size=5),
    st.lists(st.integers(1, 80), max_size=40),
    st.sampled_from([b"", b"\r\n", b"\r\n\r\n"]),
)
def test_any_split_of_the_same_bytes_is_the_same_requests(runner, sent, sizes, between):
    data, start, pieces = b"".join(between + request for request, _ in sent), 0, []
    for size in sizes:
        pieces.append(data[start : start + size])
        start += size
    pieces = [piece for piece in (*pieces, data[start:]) if piece]

    async def run():
        served = Served()
        await served.receive(*pieces)
        return served

    served = runner.run(run())
    assert served.requests == [expected for _, expected in sent]
    assert served.statuses == [200] * len(sent)
    assert not served.transport.is_closed
    assert served.transport.is_reading


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=30))
def test_any_bytes_are_answered_or_waited_for(runner, data, sizes):
    """No exception leaves the protocol, and what cannot be read ends the connection with one answer."""

    async def run():
        served, start = Served(), 0
        for size in (*sizes, len(data)):
            if data[start : start + size]:
                await served.receive(data[start : start + size])
            start += size
        return served

    served = runner.run(run())
    assert served.statuses in ([], [400])
    assert served.transport.has_ended is (served.statuses == [400])


async def test_what_follows_the_last_request_is_not_served():
    served = Served()
    last = b"GET /a HTTP/1.1\r\nConnection: close\r\n\r\n"
    await served.receive(last + b"GET /b HTTP/1.1\r\n\r\n")
    assert [target for _, target, _ in served.requests] == ["/a"]
    assert b"Connection: close\r\n" in served.transport.written
    assert served.transport.has_ended


async def test_bytes_ahead_are_bounded():
    served = Served(hold=asyncio.Event())
    request = b"GET /a HTTP/1.1\r\n\r\n"
    many = 2 * MAX_AHEAD // len(request)
    await served.receive(request * many)
    assert not served.transport.is_reading
    served.hold.set()
    await eventually(lambda: len(served.requests) == many)
    assert served.transport.is_reading
    assert served.statuses == [200] * many


async def test_a_body_that_is_not_read_is_bounded():
    served = Served(hold=asyncio.Event())
    await served.receive(b"POST /a HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n", bytes(MAX_AHEAD + 1))
    assert not served.transport.is_reading
    served.hold.set()
    await served.receive()
    assert served.transport.is_reading
    await served.receive(bytes(1_000_000 - MAX_AHEAD - 1))
    assert [len(body) for _, _, body in served.requests] == [1_000_000]


async def test_a_refused_body_is_bounded_until_it_is_answered():
    served, answering = Served(), asyncio.Event()

    async def refusing(request):
        with pytest.raises(OverflowError):
            await request.read(refused_beyond(2 * MAX_AHEAD))
        await answering.wait()  # some refusals are held back
        served.connection.respond(request, HttpAnswer(429, {}))

    served.connection._serve = refusing
    await served.receive(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n")
    for _ in range(20):
        if served.transport.is_reading:
            await served.receive(bytes(MAX_AHEAD))
    assert served.connection._request.arrived <= 2 * MAX_AHEAD
    assert not served.transport.is_reading
    answering.set()
    await served.receive()
    assert served.statuses == [429]
    assert served.transport.is_reading, "the rest is received and dropped"


def refused_beyond(limit):
    """Return a check that refuses a larger body."""

    def check(size):
        if size > limit:
            raise OverflowError

    return check


async def test_who_does_not_read_answers_gets_no_further_ones():
    served = Served()
    served.connection.pause_writing()
    await served.receive(b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n")
    assert [target for _, target, _ in served.requests] == ["/a"]
    served.connection.resume_writing()
    await served.receive()
    assert [target for _, target, _ in served.requests] == ["/a", "/b"]


async def test_a_request_has_one_answer():
    async def waiting(_request):  # also after the answer, as a call that is still logged
        await asyncio.Event().wait()

    served = Served()
    served.connection._serve = waiting
    await served.receive(b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n")
    first = served.connection._request
    for status in (200, 500):
        served.connection.respond(first, HttpAnswer(status, {}))
    assert served.statuses == [200]
    assert served.connection._request.target == "/b"


async def test_a_call_ends_with_its_connection_and_is_late_at_its_deadline():
    ended = []

    async def serve(request):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append(request.connection.is_late)
            raise

    for late in (False, True):
        connection = ServerConnection(serve, 75.0)
        connection.connection_made(Transport())
        connection.data_received(b"GET / HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0)
        if late:
            connection.expire()
        else:
            connection.connection_lost(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert ended == [False, True]


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body(status):
    data = encoded(HttpAnswer(status, {}, b"x"), connection="", head_only=False)
    assert data.endswith(b"\r\n\r\n")
    assert b"Content-Length" not in data


def test_the_answer_to_a_head_request_states_the_length():
    data = encoded(HttpAnswer(200, {}, b"abc"), connection="", head_only=True)
    assert b"Content-Length: 3\r\n" in data
    assert data.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("value", ["a\r\nB: c", "a\nB: c", "a\rb"])
def test_no_line_is_smuggled_into_an_answer(value):
    with pytest.raises(ValueError, match="line break"):
        encoded(HttpAnswer(200, {"A": value}), connection="", head_only=False)


def test_a_date_of_discord_is_kept():
    sent = encoded(HttpAnswer(200, {"date": "then"}), connection="", head_only=False)
    assert sent.lower().count(b"date: ") == 1
    assert encoded(HttpAnswer(200, {}), connection="", head_only=False).count(b"Date: ") == 1
