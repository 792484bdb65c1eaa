"""Heads of requests: what httptools reads, within bounds; nothing that servers on the way could read differently."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discordproxy_api.http.http1.head import (
    HEAD_END,
    MAX_HEAD,
    MAX_HEADER,
    MAX_HEADERS,
    MAX_TARGET,
    MalformedError,
    PartialHead,
    RequestHead,
)

TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
FRAMING = {"content-length", "transfer-encoding", "connection", "upgrade"}
names = st.text(TOKEN, min_size=1, max_size=20).filter(lambda name: name.lower() not in FRAMING)
values = st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)), max_size=40).map(
    lambda text: text.strip(" ")
)
headers = st.lists(st.tuples(names, values), max_size=20)
targets = st.text("!$&'()*+,-./0123456789:;=?@ABCZ_abcz~%", max_size=60).map("/".__add__)


def head(*lines, start="POST /x HTTP/1.1"):
    return "\r\n".join([start, *lines, "", ""]).encode()


@given(st.sampled_from(["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD"]), targets, headers)
def test_a_valid_head_is_read(method, target, pairs):
    read = RequestHead(head(*(f"{name}: {value}" for name, value in pairs), start=f"{method} {target} HTTP/1.1"))
    assert (read.method, read.target, read.version, read.keep_alive) == (method, target, "1.1", True)
    lower = [name.lower() for name, _ in pairs]
    assert set(read.headers) == set(lower)
    assert read.repeated == {name for name in lower if lower.count(name) > 1}
    for name, value in pairs:
        if name.lower() not in read.repeated:
            assert read.headers[name.lower()] == value


@given(st.integers(min_value=0, max_value=10**15 - 1))
def test_a_length(length):
    read = RequestHead(head(f"content-Length:{length}"))
    assert (read.length, read.chunked) == (length, False)


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 2", "Content-Length: 2"],
        ["Content-Length: 2", "content-length: 3"],
        ["Content-Length: 2", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 2"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
        *(
            [f"Transfer-Encoding: {coding}"]
            for coding in ("gzip, chunked", "identity", "xchunked", "chunked, chunked", "\x0bchunked", "chun\u212aed")
        ),
        *([f"Transfer-Encoding: {edge}chunked{edge}"] for edge in ("\xa0", "\x85", "\u2003", "\x1c")),
        *([f"Content-Length: {length}"] for length in ("", "-1", "+2", "0x2", "2 3", "2,2", "2_0", "\u0662", "9" * 16)),
        ["X: a", " folded"],
        ["X: a", "\tfolded"],
        ["X : a"],
        ["X\xa0: a"],
        [": a"],
        ["X"],
        ["X: a\rY: b"],
        ["X:\rY: b"],
        ["X: a\nY: b"],
        ["X: a\0b"],
        ["X: a\x7fb"],
        [f"X: {'a' * (MAX_HEADER + 1)}"],
        [f"{'a' * (MAX_HEADER + 1)}: x"],
        [f"X-{number}: a" for number in range(MAX_HEADERS + 1)],
        [f"X-{number}: {'a' * 8_000}" for number in range(9)],
    ],
    ids=lambda lines: repr(lines)[:60],
)
def test_unclear_heads_are_refused(lines):
    with pytest.raises(MalformedError) as refused:
        RequestHead(head(*lines))
    assert not str(refused.value), "what was sent may be a key"


@pytest.mark.parametrize(
    "start",
    [
        *("GET /", "GET /x HTTP/1.1 ", "GET  /x HTTP/1.1", "GET\t/x HTTP/1.1", "GET /x y HTTP/1.1", "get /x HTTP/1.1"),
        *(
            "GET /x HTTP/1.2",
            "GET /x HTTP/11",
            "GET /x XTTP/1.1",
            "/x HTTP/1.1",
            "PRI * HTTP/2.0",
            "GET /\x80 HTTP/1.1",
        ),
        f"GET /{'x' * MAX_TARGET} HTTP/1.1",
        "",
    ],
    ids=lambda start: start[:30],
)
def test_first_lines_that_are_none(start):
    with pytest.raises(MalformedError):
        RequestHead(head(start=start))


@pytest.mark.parametrize("version", ["HTTP/2.0", "HTTP/0.9", "RTSP/1.0"])
def test_another_version_is_named(version):
    assert RequestHead(head(start=f"GET /x {version}")).version == ""


@pytest.mark.parametrize(
    ("version", "connection", "stays"),
    [
        ("1.1", None, True),
        ("1.1", "close", False),
        ("1.1", "Keep-Alive, Close", False),
        ("1.1", "keep-alive", True),
        ("1.0", None, False),
        ("1.0", "Keep-Alive", True),
        ("1.0", "close", False),
    ],
)
def test_how_long_a_connection_stays(version, connection, stays):
    lines = [] if connection is None else [f"Connection: {connection}"]
    assert RequestHead(head(*lines, start=f"GET /x HTTP/{version}")).keep_alive is stays


def test_chunks_in_http_1_0_are_refused():
    with pytest.raises(MalformedError):
        RequestHead(head("Transfer-Encoding: chunked", start="POST /x HTTP/1.0"))


def test_two_headers_for_the_connection_end_it():
    assert not RequestHead(head("Connection: keep-alive", "connection: x")).keep_alive


@pytest.mark.parametrize("body", ["Content-Length: 5", "Transfer-Encoding: chunked"])
def test_an_offered_upgrade_is_ignored(body):
    """As the default client of Java offers it with each request."""
    read = RequestHead(head("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAM", body))
    assert (read.length, read.chunked, read.keep_alive) == (5 * (not read.chunked), "chunked" in body, True)


@given(headers, st.data())
def test_a_head_in_pieces_is_the_same_head(pairs, data):
    whole = head(*(f"{name}: {value}" for name, value in pairs))
    partial, found, start = PartialHead(), None, 0
    while start < len(whole):
        assert found is None
        size = data.draw(st.integers(1, len(whole) - start))
        found = partial.add(whole[start : start + size])
        start += size
    assert found == whole


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\nHost: x\n\n", b"\x16\x03\x01\x02", b"garbage\r\n", b"GET / HTTP/1.1\r\nX : a\r\n"]
)
def test_bytes_that_cannot_become_a_head_are_refused_at_once(data):
    assert HEAD_END not in data
    with pytest.raises(MalformedError):
        PartialHead().add(data)


def test_a_head_that_does_not_end_is_refused():
    partial = PartialHead()
    partial.add(b"GET / HTTP/1.1\r\n")
    partial.add(b"X: a\r\n" * (MAX_HEAD // 6 - 10))
    with pytest.raises(MalformedError):
        partial.add(b"X: a\r\n" * 10)
