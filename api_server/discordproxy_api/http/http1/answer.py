"""An answer to an HTTP request as a value, and as bytes."""

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

TEXT = "text/plain; charset=utf-8"

_LINES = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n" for each in HTTPStatus}
_SERVER = "Server: discordproxy\r\n"
_BODILESS = frozenset({204, 304})
_date = lru_cache(maxsize=1)(formatdate)


class HttpAnswer:
    """An answer.

    Attributes:
        status: HTTP status.
        headers: beside Server, Date, Content-Length and Connection.
        body: empty for none.
        closes: whether the connection ends with it.
    """

    __slots__ = ("body", "closes", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes = b"", *, closes: bool = False) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.closes = closes


def text_answer(status: int, text: str, headers: dict[str, str] | None = None, *, closes: bool = False) -> HttpAnswer:
    """Return an answer for people."""
    return HttpAnswer(status, {"Content-Type": TEXT, **(headers or {})}, text.encode(), closes=closes)


def encoded(answer: HttpAnswer, *, connection: str, head_only: bool) -> bytes:
    """Return an answer as it is sent.

    Args:
        answer: the answer.
        connection: value of that header, "" for none.
        head_only: whether the request was HEAD.

    Raises:
        ValueError: a header would not be the same on the wire.
    """
    status, headers, body = answer.status, answer.headers, answer.body
    head = (_LINES.get(status) or f"HTTP/1.1 {status} \r\n") + _SERVER
    lines = len(headers) + 2
    for name, value in headers.items():
        head += f"{name}: {value}\r\n"
    if "date" not in headers:
        head += f"Date: {_date(int(time.time()), usegmt=True)}\r\n"
        lines += 1
    if connection:
        head += f"Connection: {connection}\r\n"
        lines += 1
    if status not in _BODILESS:
        head += f"Content-Length: {len(body)}\r\n"
        lines += 1
    if head.count("\n") != lines or head.count("\r") != lines:  # another line is smuggled in
        raise ValueError("a line break in a header of an answer")
    head += "\r\n"
    return head.encode() if head_only or status in _BODILESS else head.encode() + body
