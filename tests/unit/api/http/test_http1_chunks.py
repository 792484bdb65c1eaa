"""Bodies in chunks: cut anywhere, with and without extensions and trailers; what is accepted, httptools reads alike."""

from types import SimpleNamespace

import pytest
from httptools import HttpParserError, HttpRequestParser
from hypothesis import example, given
from hypothesis import strategies as st

from discordproxy_api.http.http1.chunks import FRAMING_PER_BYTE, MAX_FRAMING, MAX_LINE, ChunkDecoder
from discordproxy_api.http.http1.head import MalformedError

HEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
bodies = st.lists(st.binary(min_size=1, max_size=300), max_size=8)
extensions = st.sampled_from([b"", b";a", b";a=b", b';a="b c"', b";a;b=c"])
trailers = st.lists(st.sampled_from([b"X-Trailer: a", b"Y:", b"expires: now"]), max_size=3)


def encoded(pieces, extension=b"", lines=()):
    chunks = [b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces]
    return b"".join([*chunks, b"0%b\r\n" % extension, *(line + b"\r\n" for line in lines), b"\r\n"])


def decoded(data, sizes=()):
    """Return content and rest of bytes that come in pieces of these sizes; None as rest if the body is incomplete."""
    content, start = bytearray(), 0
    decoder = ChunkDecoder(content)
    for size in (*sizes, len(data)):
        rest = decoder.feed(data[start : start + size])
        start += size
        if rest is not None:
            return bytes(content), rest + data[start:]
    return bytes(content), None


@given(bodies, extensions, trailers, st.binary(max_size=20), st.lists(st.integers(1, 40), max_size=60))
def test_any_split_has_the_same_content_and_rest(pieces, extension, lines, rest, sizes):
    assert decoded(encoded(pieces, extension, lines) + rest, sizes) == (b"".join(pieces), rest)


@given(bodies)
def test_each_byte_by_itself(pieces):
    data = encoded(pieces)
    assert decoded(data, [1] * len(data)) == (b"".join(pieces), b"")


@pytest.mark.parametrize(
    "data",
    [
        *(b"-1\r\n", b"+1\r\n", b"0x2\r\n", b"zz\r\n", b" 2\r\n", b"2 \r\n", b"\r\n", b"2;\x00\r\n", b"2\n", b"2;a\n"),
        *(
            b"2 ;a=b\nc\r\n",
            b"2;a=\nb\r\n",
            b"2;a\rb\r\n",
            b"10000000000000000\r\n",
            b"2\r\n{}xx",
            b"2\r\n{}\n",
            b"2\rx",
        ),
        *(b"0\r\nX\r\n", b"0\r\n X: a\r\n", b"0\r\nX : a\r\n", b"0\r\nX: a\nY: b\r\n", b"0\r\n\n", b"0\r\nX: a\0\r\n"),
        b"2;" + b"a" * MAX_LINE,
        b"0\r\n" + b"X: a\r\n" * MAX_FRAMING,
        b"1;aaaaaaaaaaaaaaaa\r\nx\r\n" * MAX_FRAMING,
    ],
    ids=lambda data: repr(data)[:30],
)
def test_unclear_chunks_are_refused(data):
    with pytest.raises(MalformedError):
        decoded(data)
    with pytest.raises(MalformedError):
        decoded(data, [1] * len(data))


def test_chunks_of_one_byte_are_permitted():
    content = b"x" * 10 * MAX_FRAMING
    data = encoded([b"x"] * len(content))
    assert len(data) < FRAMING_PER_BYTE * len(content)
    assert decoded(data) == (content, b"")


LIKELY = st.sampled_from(
    [b"\r\n", b"\r", b"\n", b"0", b"1", b"2", b"a", b"{}", b";", b"=", b" ", b"x: y", b"\0", b"0\r\n\r\n"]
)


@given(st.lists(LIKELY, max_size=14).map(b"".join))
@example(b"0\r\nx: y\r\n\r\n")
def test_what_is_accepted_is_what_httptools_reads(data):
    try:
        content, rest = decoded(data)
    except MalformedError:
        return
    if rest is None:
        return
    whole = data[: len(data) - len(rest)]
    read, ended = bytearray(), []
    parser = HttpRequestParser(SimpleNamespace(on_body=read.extend, on_message_complete=lambda: ended.append(1)))
    try:
        parser.feed_data(HEAD + whole)
    except HttpParserError as error:
        pytest.fail(f"httptools refuses {whole!r}: {error}")
    assert (bytes(read), len(ended)) == (content, 1)
