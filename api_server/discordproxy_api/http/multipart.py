"""Finds the parts of a multipart/form-data body without copying or changing it. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_PARTS = 1_000

_BOUNDARY = re.compile(
    r"multipart/form-data\s*;(?:.*;)?\s*boundary=(?:\"([^\"\r\n]{1,200})\"|([^\s;\",]{1,200}))", re.IGNORECASE
)
_PARAMETER = re.compile(r";\s*([A-Za-z*]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^;\s]*))")
_ESCAPED = re.compile(r"\\([\"\\])")
_LINE_END = b"\r\n"


class MultipartError(Exception):
    """The body is not readable; servers may understand different things."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a form.

    Attributes:
        name: of the field.
        filename: None for a part that is no file.
        content_type: "" if not given.
        start, end: place of its content in the body.
        encoded: its content is transfer-encoded.
    """

    name: str
    filename: str | None = field(repr=False)
    content_type: str
    start: int
    end: int
    encoded: bool = False


def boundary_of(content_type: str) -> bytes | None:
    """Return the boundary in the value of a Content-Type, None if it is not multipart/form-data."""
    if content_type.lower().count("boundary=") != 1:
        return None  # servers would choose different ones
    found = _BOUNDARY.match(content_type)
    return (found[1] or found[2]).encode("latin-1", "replace") if found else None


def parts_of(body: bytes, boundary: bytes) -> list[Part]:
    """Return the parts of a form.

    Raises:
        MultipartError: it does not follow the grammar.
    """
    delimiter = _LINE_END + b"--" + boundary
    if not body.startswith(delimiter[2:]):
        raise MultipartError("no boundary at the start")
    return list(_parts(body, delimiter))


def _parts(body: bytes, delimiter: bytes) -> Iterator[Part]:
    position = len(delimiter) - len(_LINE_END)
    for _ in range(MAX_PARTS):
        if body.startswith(b"--", position):
            return
        head_start = position
        if not body.startswith(_LINE_END, head_start):
            raise MultipartError("no line break after a boundary")
        head_end = body.find(b"\r\n\r\n", head_start)
        end = body.find(delimiter, head_start)
        if head_end < 0 or end < head_end + 2:
            raise MultipartError("a part without headers or end")
        yield _part(body[head_start + 2 : head_end], head_end + 4, max(end, head_end + 4))
        position = end + len(delimiter)
    raise MultipartError("too many parts")


def _part(head: bytes, start: int, end: int) -> Part:
    headers: dict[str, str] = {}
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, colon, value = line.partition(":")
        if not colon or name != name.strip() or name.lower() in headers:
            raise MultipartError("an invalid or repeated header of a part")
        headers[name.lower()] = value.strip()
    kind, _, _ = headers.get("content-disposition", "").partition(";")
    found = _PARAMETER.findall(headers.get("content-disposition", ""))
    parameters = {name.lower(): _ESCAPED.sub(r"\1", quoted) or plain for name, quoted, plain in found}
    if kind.strip().lower() != "form-data" or "name" not in parameters or len(found) != len(parameters):
        raise MultipartError("a part without one name")
    filename = parameters.get("filename", parameters.get("filename*"))
    encoded = headers.get("content-transfer-encoding", "binary").lower() not in {"binary", "8bit", "7bit"}
    return Part(parameters["name"], filename, headers.get("content-type", ""), start, end, encoded)
