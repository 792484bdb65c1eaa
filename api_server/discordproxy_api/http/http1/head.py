"""The head of an HTTP/1.1 request: read by httptools, within bounds, as strictly as servers on the way might. Pure."""

from itertools import repeat
from types import SimpleNamespace

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

MAX_TARGET, MAX_HEADER, MAX_HEADERS = 16_384, 8_190, 64
"""Bounds of the target, of a header's name or value, and of the number of headers."""

MAX_HEAD = 64 * 1024
"""Bound of a whole head in bytes."""

HEAD_END = b"\r\n\r\n"
LINE_END = b"\r\n"

_HTTP_1_1, _HTTP_1_0 = b"HTTP/1.1", b"HTTP/1.0"
_BLANKS = " \t"
_FRAMING = ("content-length", "transfer-encoding")
_MAX_LENGTH_DIGITS = 15
_START_PARTS = 3


class MalformedError(Exception):
    """The bytes are no HTTP request within the bounds. The text quotes none of them, since they may hold a key."""


class RequestHead:
    """What the head of a request states.

    Attributes:
        method: such as POST.
        target: as it was sent.
        version: "1.1" or "1.0"; "" for another one.
        headers: values by lower-case name.
        repeated: lower-case names that were given more than once.
        length: bytes of the body, 0 without one or if it is unknown.
        chunked: whether the body comes in chunks.
        keep_alive: whether another request may follow.
    """

    __slots__ = ("chunked", "headers", "keep_alive", "length", "method", "repeated", "target", "version")

    def __init__(self, data: bytes) -> None:
        raw: dict[bytes, bytes] = {}
        incomplete = [None]
        parser = HttpRequestParser(
            SimpleNamespace(on_header=raw.setdefault, on_headers_complete=incomplete.clear)  # C functions: no callback
        )
        try:
            parser.feed_data(data)
        except HttpParserUpgrade:  # ignored, as RFC 9110 permits
            pass
        except HttpParserError:
            raise MalformedError from None
        start = data[: data.find(LINE_END)].split(b" ")
        count = data.count(b"\n") - 2
        if incomplete or len(start) != _START_PARTS or count > MAX_HEADERS:
            raise MalformedError
        if len(data) > MAX_HEADER:
            _check_sizes(len(data), start[1], raw)
        self.method = start[0].decode()
        self.target = start[1].decode("utf-8", "surrogateescape")
        self.version = "1.1" if start[2] == _HTTP_1_1 else "1.0" if start[2] == _HTTP_1_0 else ""
        self.headers = headers = _decoded(raw) if raw else {}
        self.repeated = frozenset() if len(headers) == count else _repeated(data)
        self.keep_alive = self.version == "1.1"
        if "connection" in headers:
            self._read_connection(headers["connection"].lower())
        self.length, self.chunked = 0, False
        if "content-length" in headers or "transfer-encoding" in headers:
            self._read_framing()

    def _read_connection(self, value: str) -> None:
        options = {option.strip() for option in value.split(",")}
        if "close" in options or "connection" in self.repeated:
            self.keep_alive = False
        elif self.version == "1.0":
            self.keep_alive = "keep-alive" in options

    def _read_framing(self) -> None:
        """Read where the body ends. What servers on the way could understand differently is refused."""
        headers = self.headers
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if not self.repeated.isdisjoint(_FRAMING):
            raise MalformedError
        if coding is not None:
            if length is not None or coding.lower() != "chunked" or self.version != "1.1":
                raise MalformedError
            self.chunked = True
        elif length is not None:
            if not (length.isascii() and length.isdigit()) or len(length) > _MAX_LENGTH_DIGITS:
                raise MalformedError
            self.length = int(length)


def _decoded(raw: dict[bytes, bytes]) -> dict[str, str]:
    """Return headers by lower-case name; bytes that are no UTF-8 become surrogates."""
    names = b"\n".join(raw).decode("ascii").lower().split("\n")
    values = b"\n".join(raw.values()).decode("utf-8", "surrogateescape").split("\n")
    return dict(zip(names, map(str.strip, values, repeat(_BLANKS)), strict=True))


def _repeated(data: bytes) -> frozenset[str]:
    """Return the names that a valid head gives more than once."""
    names = [line.partition(b":")[0].decode().lower() for line in data.split(LINE_END)[1:-2]]
    return frozenset(name for name in names if names.count(name) > 1)


def _check_sizes(size: int, target: bytes, raw: dict[bytes, bytes]) -> None:
    largest = max(map(len, (*raw.keys(), *raw.values())), default=0)
    if size > MAX_HEAD or len(target) > MAX_TARGET or largest > MAX_HEADER:
        raise MalformedError


class PartialHead:
    """The beginning of a request whose head has not arrived whole."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._parser = HttpRequestParser(SimpleNamespace())

    def add(self, data: bytes) -> bytes | None:
        """Add bytes; return all of them once they contain the whole head, else None.

        Raises:
            MalformedError: they cannot become a head any more.
        """
        searched = max(0, len(self._data) - len(HEAD_END) + 1)
        self._data += data
        if self._data.find(HEAD_END, searched) >= 0:
            return bytes(self._data)
        if len(self._data) > MAX_HEAD:
            raise MalformedError
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            raise MalformedError from None
        return None
