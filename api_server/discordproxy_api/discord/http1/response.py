"""A response of an HTTP server as a value, and the errors that stand in its place."""

import zlib
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from discordproxy_ratelimit.process.redaction import HIDDEN

MAX_GZIP_MEMBERS = 16
"""Members that a gzip body may have; one is usual."""

WBITS_GZIP, WBITS_ZLIB, WBITS_RAW = 31, 15, -15

OK, MULTIPLE_CHOICES = int(HTTPStatus.OK), int(HTTPStatus.MULTIPLE_CHOICES)
"""Bounds of 2xx as plain numbers, since `HTTPStatus.OK` calls a function in Python 3.11."""

_HIDDEN = HIDDEN.encode()


CERTIFICATE_REFUSED = "certificate refused"
"""Begin of the text of a NoAnswerError."""


class NoAnswerError(Exception):
    """No response arrived. Whether the request may have arrived depends on whether its `before_write` was called."""


class UnreadableAnswerError(NoAnswerError):
    """The response is not HTTP within our bounds; a repeated request would get the same."""


class Headers(dict[str, str]):
    """Headers of a response: lower-case names, found in any case. Of a repeated header the first value is kept."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None, /) -> Any:
        """Return a header's value, or `default`."""
        return super().get(name.lower(), default)


@dataclass(slots=True)
class HttpResponse:
    """A response of any status. `cut` is why its body is missing: "lost", "large", "unreadable"; "" if it is there."""

    status: int
    headers: Headers = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    cut: str = ""


def without(secret: bytes, text: bytes) -> bytes:
    """Return `text` with `***` in place of a secret, which may be empty."""
    return text.replace(secret, _HIDDEN) if secret else text


def headers_of(raw: dict[bytes, bytes], secret: bytes = b"") -> Headers:
    """Return the headers that a parser has found, in their order, with `***` in place of a secret."""
    if not raw:
        return Headers()
    names = b"\n".join(raw).decode("utf-8", "surrogateescape").lower().split("\n")
    values = without(secret, b"\n".join(raw.values())).decode("utf-8", "surrogateescape").split("\n")
    return Headers(zip(reversed(names), map(str.strip, reversed(values)), strict=True))  # the first one wins


def decompressed(body: bytes, coding: str, limit: int) -> tuple[bytes, str]:
    """Return `body` without its content coding, and why it is missing: "", "large" or "unreadable".

    Args:
        body: at least one byte.
        coding: value of Content-Encoding, lower-case.
        limit: maximum length in bytes.
    """
    if coding in {"gzip", "x-gzip"}:
        wbits = WBITS_GZIP
    elif coding == "deflate":  # some servers omit zlib's header
        wbits = WBITS_ZLIB if body[0] & 0xF == zlib.DEFLATED else WBITS_RAW
    else:
        return (body, "") if coding == "identity" else (b"", "unreadable")
    text = b""
    for _ in range(MAX_GZIP_MEMBERS):
        inflater = zlib.decompressobj(wbits)
        try:
            text += inflater.decompress(body, limit + 1 - len(text))
        except zlib.error:
            break
        if len(text) > limit:
            return b"", "large"
        if not inflater.eof:
            break
        body = inflater.unused_data
        if not body:
            return text, ""
    return b"", "unreadable"
