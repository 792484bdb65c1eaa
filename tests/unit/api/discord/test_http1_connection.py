"""Responses as they come from the network: cut anywhere, framed in any way, well-formed or not."""

import asyncio
import gzip
import itertools
import socket
import zlib
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discordproxy_api.discord.http1.connection import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_INTERIM_RESPONSES,
    MAX_WRITE_BYTES,
    Connection,
)
from discordproxy_api.discord.http1.response import NoAnswerError, UnreadableAnswerError, decompressed

LIMIT = 10_000
TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
FRAMING = {"content-length", "transfer-encoding", "connection", "upgrade", "content-encoding", "trailer", "keep-alive"}
OK = b"HTTP/1.1 200 OK\r\n"

loop = asyncio.new_event_loop()
names = st.text(TOKEN, min_size=1, max_size=20).filter(lambda name: name.lower() not in FRAMING)
values = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0", exclude_categories=("Cc",)), max_size=40)
headers = st.dictionaries(names, values.map(str.strip), max_size=20)
bodies = st.binary(max_size=2_000)


@pytest.fixture(scope="module", autouse=True)
def _loop_is_closed():
    yield
    loop.close()


@pytest.fixture(scope="module")
def sock():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours


@dataclass
class Transport:
    """What a connection writes to; its socket is idle."""

    sock: socket.socket
    written: bytearray = field(default_factory=bytearray)
    calls: int = 0
    unsent: int = 0
    aborted: bool = False

    def get_extra_info(self, _name):
        return self.sock

    def write(self, data):
        self.written += data
        self.calls += 1

    def writelines(self, pieces):
        self.write(b"".join(pieces))

    def get_write_buffer_size(self):
        return self.unsent

    def abort(self):
        self.aborted = True

    def is_closing(self):
        return self.aborted


def started(sock, *, head_only=False, limit=LIMIT):
    connection = Connection(loop, limit)
    connection.connection_made(Transport(sock))
    return connection, connection.exchange(b"request", head_only=head_only)


def received(sock, *pieces, end=False, **kind):
    """Return the response to what comes in `pieces`, and the connection."""
    connection, response = started(sock, **kind)
    for piece in pieces:
        if not connection.transport.aborted:
            connection.data_received(piece)
    if end and not connection.transport.aborted:
        connection.eof_received()
        connection.connection_lost(None)
    return response, connection


def as_seen(response):
    return response.status, dict(response.headers), response.body, response.cut


def pieces_of(data, cuts):
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(places) if a < b]


@st.composite
def framings(draw, content):
    """Return header lines, the body as it is sent, and whether the end of the connection ends it."""
    kind = draw(st.sampled_from(["length", "chunked", "close"]))
    if kind == "length":
        return f"Content-Length: {len(content)}\r\n".encode(), content, False
    if kind == "close":
        return b"", content, True
    sent = b""
    for piece in pieces_of(content, draw(st.lists(st.integers(0, 5_000), max_size=8))):
        extension = draw(st.sampled_from([b"", b";a=b", b';q="x y";r', b" "]))
        size = draw(st.sampled_from(["%x", "%X", "00%x"])) % len(piece)
        sent += size.encode() + extension + b"\r\n" + piece + b"\r\n"
    trailers = draw(st.dictionaries(names, values.map(str.strip), max_size=3))
    lines = "".join(f"{name}: {value}\r\n" for name, value in trailers.items()).encode()
    return b"Transfer-Encoding: chunked\r\n", sent + b"0\r\n" + lines + b"\r\n", False


@given(
    data=st.data(),
    status=st.integers(200, 999).filter(lambda status: status not in {204, 304}),
    fields=headers,
    body=bodies,
    packed=st.sampled_from(["", "gzip", "x-GZip", "deflate", "raw"]),
    interim=st.lists(st.sampled_from([100, 102, 103, 110]), max_size=3),
    cuts=st.lists(st.integers(0, 5_000), max_size=10),
)
def test_a_response_reads_the_same_wherever_it_is_cut(sock, data, status, fields, body, packed, interim, cuts):
    content, coding = _packed(body, packed)
    framing, sent, until_end = data.draw(framings(content))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode()
    before = b"".join(b"HTTP/1.1 %d Wait\r\nLink: </a>\r\n\r\n" % each for each in interim)
    wire = before + b"HTTP/1.1 %d Any Reason\r\n" % status + lines + framing + coding + b"\r\n" + sent
    response, connection = received(sock, *pieces_of(wire, cuts), end=until_end)
    got = response.result()
    first = {}
    for name, value in fields.items():
        first.setdefault(name.lower(), value)
    assert (got.status, got.body, got.cut) == (status, body, "")
    assert {name: got.headers[name] for name in first} == first
    assert set(got.headers) - set(first) <= FRAMING
    assert connection.reusable is not until_end
    whole, _ = received(sock, wire, end=until_end)
    assert as_seen(whole.result()) == as_seen(got)


def _packed(body, packed):
    if not packed:
        return body, b""
    if packed == "raw":
        return zlib.compress(body, wbits=-15), b"Content-Encoding: deflate\r\n"
    content = zlib.compress(body) if packed == "deflate" else gzip.compress(body)
    return content, b"Content-Encoding: " + packed.encode() + b"\r\n"


@given(
    data=st.data(),
    body=bodies.filter(bool),
    cuts=st.lists(st.integers(0, 5_000), max_size=5),
    missing=st.integers(1, 3_000),
)
def test_a_response_that_breaks_off_is_never_taken_as_whole(sock, data, body, cuts, missing):
    framing, sent, until_end = data.draw(framings(body))
    wire = OK + framing + b"\r\n" + sent
    rest = wire[: -min(missing, len(wire) - 1)]
    response, connection = received(sock, *pieces_of(rest, cuts), end=True)
    assert not connection.reusable
    head_came = b"\r\n\r\n" in rest
    if until_end and head_came:
        assert body.startswith(response.result().body)
    elif head_came:
        assert (response.result().body, response.result().cut) == (b"", "lost")
    else:
        with pytest.raises(NoAnswerError, match="connection closed"):
            response.result()


@given(
    noise=st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.sampled_from(
                [
                    *(
                        OK,
                        b"\r\n",
                        b"\n",
                        b"HTTP/1.1 100 x\r\n\r\n",
                        b"Content-Length: 3\r\n",
                        b"Connection: close\r\n",
                    ),
                    *(b"Transfer-Encoding: chunked\r\n", b"Content-Encoding: gzip\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n"),
                    *(b"abc", b"HTTP/1.0 204 x\r\n", b"X: y\r\n", b"Upgrade: h2c\r\nConnection: upgrade\r\n"),
                ]
            ),
        ),
        max_size=14,
    )
)
def test_no_bytes_leave_a_request_without_an_end(sock, noise):
    response, connection = received(sock, *noise, end=True)
    assert response.done()
    if response.exception() is None:
        assert len(response.result().body) <= LIMIT
    else:
        assert isinstance(response.exception(), NoAnswerError)
        assert connection.transport.aborted


@given(data=st.data(), body=bodies, extra=st.binary(min_size=1, max_size=50))
def test_whatever_follows_a_response_ends_the_connection(sock, data, body, extra):
    framing, sent, until_end = data.draw(framings(body))
    if until_end:
        return
    wire = OK + framing + b"\r\n" + sent
    response, connection = received(sock, wire + extra)
    assert response.result().body == body
    assert connection.transport.aborted == (not connection.reusable)
    assert connection.reusable == (not extra.strip(b"\r\n"))  # blank lines between responses are forgiven
    response, connection = received(sock, wire)
    connection.data_received(extra)  # while idle
    assert connection.transport.aborted


def test_trailers_do_not_reach_the_next_response(sock):
    connection, response = started(sock)
    connection.data_received(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Trailer: 1\r\nDate: x\r\n\r\n")
    assert dict(response.result().headers) == {"transfer-encoding": "chunked"}
    response = connection.exchange(b"request")
    connection.data_received(OK + b"Content-Length: 1\r\nA: b\r\n\r\n!")
    assert as_seen(response.result()) == (200, {"content-length": "1", "a": "b"}, b"!", "")


def test_a_second_response_reaches_nobody(sock):
    one = OK + b"Content-Length: 1\r\n\r\n1"
    response, connection = received(sock, one + one)
    assert response.result().body == b"1"
    assert (connection.reusable, connection.transport.aborted) == (False, True)


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("framing", [b"", b"Content-Length: 4\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_statuses_without_a_body(sock, status, framing):
    response, connection = received(sock, b"HTTP/1.1 %d x\r\n%b\r\n" % (status, framing))
    assert (response.result().status, response.result().body) == (status, b"")
    assert connection.reusable
    response, connection = received(sock, b"HTTP/1.1 %d x\r\n%b\r\ntest" % (status, framing))
    assert (response.result().body, connection.reusable) == (b"", False)


@pytest.mark.parametrize("framing", [b"", b"Content-Length: 4\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_the_response_to_head_ends_with_its_headers(sock, framing):
    response, connection = received(sock, OK + framing + b"\r\n", head_only=True)
    assert (response.result().body, response.result().cut, connection.reusable) == (b"", "", False)
    response, _ = received(sock, OK + framing + b"\r\ntest", head_only=True)
    assert response.result().body == b""


@pytest.mark.parametrize(
    ("head", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: Keep-Alive, Close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n", True),  # an offer
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", True),
    ],
)
def test_whether_the_connection_may_be_used_again(sock, head, reusable):
    response, connection = received(sock, head + b"Content-Length: 2\r\n\r\nhi")
    assert (response.result().body, connection.reusable) == (b"hi", reusable)


def test_a_response_that_overtakes_its_request_is_taken_and_ends_the_connection(sock):
    connection, response = started(sock)
    connection.transport.unsent = 1
    connection.data_received(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
    assert (response.result().status, connection.reusable) == (413, False)


def turn():
    """Run what the loop has to run now."""
    loop.call_soon(loop.stop)
    loop.run_forever()


def uploading(sock, *pieces):
    """Return a connection that writes a request in pieces, and its response."""
    connection = Connection(loop, LIMIT)
    connection.connection_made(Transport(sock))
    return connection, connection.exchange(list(pieces))


@given(
    sizes=st.lists(st.sampled_from([0, 1, 40, MAX_WRITE_BYTES - 1, MAX_WRITE_BYTES, 700_000]), min_size=1, max_size=6)
)
def test_a_large_request_is_written_in_parts(sock, sizes):
    pieces = [bytes([number]) * size for number, size in enumerate(sizes)]
    connection, _ = uploading(sock, *pieces)
    for calls in range(1, sum(sizes) // MAX_WRITE_BYTES + 2):
        assert connection.transport.calls <= calls
        assert len(connection.transport.written) <= calls * MAX_WRITE_BYTES
        turn()
    assert connection.transport.written == b"".join(pieces)
    assert not connection.has_unsent()


def test_a_full_transport_gets_nothing_more(sock):
    connection, _ = uploading(sock, bytes(3 * MAX_WRITE_BYTES))
    connection.pause_writing()
    turn()
    assert len(connection.transport.written) == MAX_WRITE_BYTES
    connection.resume_writing()
    turn()
    connection.pause_writing()
    turn()
    assert len(connection.transport.written) == 2 * MAX_WRITE_BYTES
    connection.resume_writing()
    turn()
    assert len(connection.transport.written) == 3 * MAX_WRITE_BYTES


def test_what_has_arrived_is_read_before_more_is_written():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection, _ = uploading(ours, bytes(2 * MAX_WRITE_BYTES))
        theirs.send(b"H")
        turn()
        assert len(connection.transport.written) == MAX_WRITE_BYTES
        ours.recv(1)
        turn()
        assert len(connection.transport.written) == 2 * MAX_WRITE_BYTES


@pytest.mark.parametrize("end", ["answer", "timeout", "loss"])
def test_after_the_end_of_an_exchange_nothing_more_is_written(sock, end):
    connection, response = uploading(sock, bytes(3 * MAX_WRITE_BYTES))
    if end == "answer":
        connection.data_received(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
    elif end == "timeout":
        connection.expire()
    else:
        connection.connection_lost(None)
    turn()
    assert len(connection.transport.written) == MAX_WRITE_BYTES
    assert not connection.reusable
    assert response.done()
    assert end == "answer" or isinstance(response.exception(), NoAnswerError)


def test_bytes_that_wait_beneath_tls_are_unsent(sock):
    outer, _ = started(sock)
    connection = Connection(loop, LIMIT, outer=outer)
    connection.connection_made(Transport(sock))
    response = connection.exchange(b"request")
    outer.transport.unsent = 1
    connection.data_received(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
    assert (response.result().status, connection.reusable) == (413, False)


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 x\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INTERIM_RESPONSES + 1) + OK + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/3.7 200 OK\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16",  # a TLS alert
        OK + b"no colon\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 0x2\r\n\r\nhi",
        OK + b"Content-Length: 99999999999999999999\r\n\r\nhi",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nhi",
        OK + b"X: " + b"x" * MAX_HEAD_BYTES + b"\r\nContent-Length: 0\r\n\r\n",
        OK + b"".join(b"X-%d: y\r\n" % number for number in range(MAX_HEADERS + 1)) + b"Content-Length: 0\r\n\r\n",
    ],
)
def test_what_is_no_response_is_refused(sock, wire):
    for pieces in ([wire], pieces_of(wire, range(0, len(wire), 1_000))):
        response, connection = received(sock, *pieces)
        with pytest.raises(UnreadableAnswerError):
            response.result()
        assert connection.transport.aborted


@pytest.mark.parametrize("wire", [OK + b"X: " + b"x" * 10 * MAX_HEAD_BYTES, b"HTTP/1.1 200 " + b"x" * MAX_HEAD_BYTES])
def test_headers_are_refused_before_they_end(sock, wire):
    response, _ = received(sock, *pieces_of(wire, range(0, len(wire), 1_000)))
    with pytest.raises(UnreadableAnswerError, match="too large"):
        response.result()


def test_endless_trailers_and_interim_headers_are_refused(sock):
    chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n"
    response, connection = received(sock, chunked, *([b"X: " + b"x" * 1_000 + b"\r\n"] * 100))
    assert (response.result().cut, connection.transport.aborted) == ("lost", True)
    response, _ = received(sock, *([b"HTTP/1.1 103 x\r\nLink: " + b"x" * 10_000 + b"\r\n\r\n"] * 10))
    with pytest.raises(UnreadableAnswerError, match="too large"):
        response.result()


def test_a_head_of_nearly_the_bound_is_read(sock):
    wire = OK + b"X: " + b"x" * 60_000 + b"\r\nContent-Length: 70000\r\n\r\n" + b"y" * 70_000
    for pieces in ([wire], pieces_of(wire, range(0, len(wire), 10_000))):
        response, _ = received(sock, *pieces, limit=80_000)
        assert (len(response.result().headers["x"]), len(response.result().body)) == (60_000, 70_000)


def test_tiny_chunks_are_not_taken_for_large_headers(sock):
    wire = OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n"
    response, _ = received(sock, *pieces_of(wire, range(0, len(wire), 1_000)), limit=50_000)
    assert response.result().body == b"x" * 50_000


@pytest.mark.parametrize("framing", [b"Content-Length: 100001\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n186a1\r\n"])
def test_a_body_over_the_limit_is_not_kept(sock, framing):
    wire = OK + framing + b"x" * 100_001 + b"\r\n0\r\n\r\n"
    for pieces in ([wire], pieces_of(wire, range(0, len(wire), 5_000))):
        response, _ = received(sock, *pieces)
        assert (response.result().status, response.result().body, response.result().cut) == (200, b"", "large")
    response, _ = received(sock, OK + b"Content-Length: 10000\r\n\r\n" + b"x" * LIMIT)
    assert len(response.result().body) == LIMIT


@pytest.mark.parametrize(
    ("wire", "cut"),
    [
        (b"Transfer-Encoding: gzip\r\n\r\n", "unreadable"),
        (b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "unreadable"),
        (b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", "lost"),
        (b"Transfer-Encoding: chunked\r\n\r\n2\r\nhiii\r\n", "lost"),
        (b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain", "unreadable"),
        (b"Content-Encoding: br\r\nContent-Length: 5\r\n\r\nplain", "unreadable"),
        (b"Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n", ""),
        (b"Content-Encoding: identity\r\nContent-Length: 0\r\n\r\n", ""),
    ],
)
def test_bodies_that_cannot_be_read_leave_status_and_headers(sock, wire, cut):
    response, _ = received(sock, OK + b"X-RateLimit-Bucket: b\r\n" + wire)
    assert (response.result().status, response.result().body, response.result().cut) == (200, b"", cut)
    assert response.result().headers["X-RateLimit-Bucket"] == "b"


@given(text=st.binary(min_size=1, max_size=3_000), limit=st.integers(0, 3_000), members=st.integers(1, 4))
def test_decompression_is_bounded(text, limit, members):
    packed, whole = gzip.compress(text) * members, text * members
    assert decompressed(packed, "gzip", limit) == ((whole, "") if len(whole) <= limit else (b"", "large"))


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data + b"x", lambda data: data * 100])
def test_damaged_gzip_is_unreadable(damage):
    assert decompressed(damage(gzip.compress(b"text")), "gzip", LIMIT) == (b"", "unreadable")


def test_a_small_body_that_would_inflate_to_much_is_not_inflated():
    bomb = gzip.compress(bytes(50_000_000))
    assert decompressed(bomb, "gzip", LIMIT) == (b"", "large")


def test_headers_are_found_in_any_case(sock):
    response, _ = received(sock, OK + b"X-RateLimit-Limit: 5\r\nx-ratelimit-limit: 6\r\nContent-Length: 0\r\n\r\n")
    found = response.result().headers
    assert found["X-Ratelimit-LIMIT"] == found.get("x-ratelimit-limit") == "5"
    assert "X-RateLimit-Limit" in found
    assert found.get("Retry-After") is None
    assert found.get("Retry-After", "0") == "0"
    assert 5 not in found


def test_nothing_of_a_response_is_in_its_repr(sock):
    response, _ = received(sock, OK + b"Secret: canary\r\nContent-Length: 6\r\n\r\ncanary")
    assert "canary" not in repr(response.result())


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\nA: b\nContent-Length: 2\n\nhi",
        b"HTTP/1.1 200 OK\r\nA: b\r\nX: \x01\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nA:b  \r\nTransfer-Encoding: chunked\r\n\r\n2  \r\nhi\r\n0\r\n\r\n",
    ],
)
def test_what_browsers_forgive_is_forgiven(sock, wire):
    response, connection = received(sock, wire)
    assert (response.result().body, response.result().headers["a"], connection.reusable) == (b"hi", "b", True)
