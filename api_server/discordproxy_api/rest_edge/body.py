"""The body of an HTTP request: read where the proxy must know it, sent as the bytes that came. Pure."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson

from discordproxy_api.access.targets import CHANNEL, GUILD
from discordproxy_api.contract.steps import is_nonce
from discordproxy_api.contract.translate import OutgoingFile
from discordproxy_api.discord.form import PAYLOAD
from discordproxy_api.discord.request import is_writable, read_json
from discordproxy_api.http.multipart import MultipartError, Part, boundary_of, parts_of
from discordproxy_api.rest_edge.head import JSON

_JSON = re.compile(r"application/(?:[a-z.+-]+\+)?json\s*(?:;.*)?", re.IGNORECASE)
_ENCODED_FORM = re.compile(r"application/x-www-form-urlencoded\s*(?:;.*)?", re.IGNORECASE)
UNREADABLE = "?"
"""Stands for a body whose targets cannot be found; no JSON."""

_NONCE_FIELDS = {"nonce", "enforce_nonce"}


@dataclass(slots=True)  # not frozen: that makes its creation five times as slow
class Body:
    """A request's body. Never changed. The repr shows nothing of it.

    Attributes:
        data: its bytes, or the JSON of a URL-encoded form without other fields.
        content_type: of `data`, "" without.
        document: its JSON, also that of a form; None if there is none or it cannot be read.
        json_at: where its JSON begins and ends, None if there is none.
        parts: of a form.
        readable: whether it is clear which JSON Discord will read.
    """

    data: bytes = field(repr=False)
    content_type: str = field(repr=False)
    document: Any = field(default=None, repr=False)
    json_at: tuple[int, int] | None = None
    parts: Sequence[Part] = field(default=(), repr=False)
    readable: bool = True

    @property
    def json_text(self) -> str:
        """The JSON in which targets are found; `UNREADABLE` if they might be elsewhere."""
        if not self.readable:
            return UNREADABLE
        if self.json_at is None:
            return ""
        return self.data[slice(*self.json_at)].decode("utf-8", "replace")

    @property
    def object(self) -> dict[str, Any]:
        """The JSON if it is an object, else an empty one."""
        return self.document if isinstance(self.document, dict) else {}

    @property
    def json_bytes(self) -> bytes | None:
        """The bytes of the JSON."""
        return None if self.json_at is None else self.data[slice(*self.json_at)]

    def files(self) -> list[OutgoingFile]:
        """Return the files of a form."""
        return [
            OutgoingFile(part.name, part.filename, self.data[part.start : part.end], part.content_type)
            for part in self.parts
            if part.filename is not None
        ]


def read_body(data: bytes, content_type: str) -> Body:
    """Return a body with what could be read of it."""
    if not data:
        return Body(data, content_type)
    if content_type == JSON or _JSON.fullmatch(content_type.strip()):
        return _with_json(data, content_type, (0, len(data)))
    payload = _encoded_payload(data, content_type)
    if payload is not None:
        return _with_json(payload, JSON, (0, len(payload)))
    boundary = boundary_of(content_type)
    return Body(data, content_type, readable=False) if boundary is None else _read_form(data, content_type, boundary)


def _read_form(data: bytes, content_type: str, boundary: bytes) -> Body:
    try:
        parts = parts_of(data, boundary)
    except MultipartError:
        return Body(data, content_type, readable=False)
    payloads = [part for part in parts if part.name == PAYLOAD]
    readable = len(payloads) <= 1 and not any(_is_unclear(part) for part in parts)
    if not payloads:
        return Body(data, content_type, parts=parts, readable=readable)
    return _with_json(data, content_type, (payloads[0].start, payloads[0].end), parts, readable=readable)


def _encoded_payload(data: bytes, content_type: str) -> bytes | None:
    """Return the JSON of a URL-encoded form without other fields, as py-cord sends it; None for any other body."""
    if not (_ENCODED_FORM.fullmatch(content_type.strip()) and data.startswith(PAYLOAD.encode() + b"=")):
        return None
    try:
        [(_, payload)] = parse_qsl(data.decode("ascii"), strict_parsing=True, errors="strict", max_num_fields=1)
    except ValueError:
        return None
    return payload.encode()


def _is_unclear(part: Part) -> bool:
    """Return whether a part may name a target outside of the JSON, or hold JSON that is not as it looks."""
    name = part.name.rstrip("]").lower()
    return name.endswith((GUILD, CHANNEL)) or (part.name == PAYLOAD and (part.encoded or part.filename is not None))


def _with_json(
    data: bytes, content_type: str, place: tuple[int, int], parts: Sequence[Part] = (), *, readable: bool = True
) -> Body:
    try:
        document = read_json(data[slice(*place)])
    except orjson.JSONDecodeError:
        return Body(data, content_type, None, place, parts, readable=False)
    return Body(data, content_type, document, place, parts, readable=readable)


def with_nonce(body: Body, nonce: str) -> bytes:
    """Return the bytes of a message with a nonce that Discord enforces, and otherwise as they came."""
    assert body.json_at is not None, "the message has a JSON object"  # noqa: S101 - for the type checker
    start, end = body.json_at
    document = body.document
    if _NONCE_FIELDS & document.keys():
        new = orjson.dumps({**document, "nonce": nonce, "enforce_nonce": True})
        return body.data[:start] + new + body.data[end:]
    at = body.data.index(b"{", start) + 1
    added = b'"nonce":' + orjson.dumps(nonce) + b',"enforce_nonce":true' + (b"," if document else b"")
    return b"".join((body.data[:at], added, memoryview(body.data)[at:]))  # a large body is copied once


def takes_nonce(body: Body) -> bool:
    """Return whether a message has no nonce of its caller, and one can be added."""
    document = body.document
    if not (isinstance(document, dict) and body.readable and document.get("nonce") in (None, "")):
        return False
    return not _NONCE_FIELDS & document.keys() or is_writable(document)


def enforced_nonce(body: Body) -> str | int | None:
    """Return the nonce of its caller that a message has and Discord enforces; None without one that is valid."""
    nonce = body.object.get("nonce")
    enforced = body.readable and body.object.get("enforce_nonce") is True
    return nonce if enforced and nonce and is_nonce(nonce) and is_writable(body.document) else None


def fingerprint_of(body: Body, *identity: str) -> str:
    """Return a one-way name of a request with this body; the boundary of a form does not count."""
    digest = hashlib.sha256("\0".join(identity).encode("utf-8", "replace"))
    if not body.parts:
        digest.update(b"\0")
        digest.update(body.data)
    for part in body.parts:
        digest.update(f"\0{part.name}\0{part.filename}\0{part.end - part.start}\0".encode("utf-8", "replace"))
        digest.update(memoryview(body.data)[part.start : part.end])
    return digest.hexdigest()
