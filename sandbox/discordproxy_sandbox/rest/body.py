"""Reads request bodies: JSON, or a form with fields or `payload_json`, and files. File bytes are hashed and dropped."""

from hashlib import blake2b
from typing import Any
from urllib.parse import parse_qs

import orjson
from aiohttp import BodyPartReader, web

from discordproxy_sandbox.errors import DiscordError, discord_error
from discordproxy_sandbox.messages.uploads import Upload

MAX_REQUEST = 25 * 1024 * 1024
MAX_FILE = 10 * 1024 * 1024
CONTENT_TYPES = "{'application/x-www-form-urlencoded', 'multipart/form-data', 'application/json'}"


class Body:
    """A request body: `content` is the JSON value or the form's fields, None without either."""

    def __init__(self) -> None:
        self.content: Any = None
        self.uploads: list[Upload] = []
        self.error: DiscordError | None = None  # raised when the request is processed, after its latency
        self._hash = blake2b(digest_size=8)
        self._size = 0

    @property
    def digest(self) -> str:
        """A short hash of the whole body; "" for an empty one."""
        return self._hash.hexdigest() if self._size else ""

    def feed(self, chunk: bytes) -> None:
        """Count and hash some bytes."""
        self._size += len(chunk)
        self._hash.update(chunk)
        if self._size > MAX_REQUEST:
            self.error = discord_error(40005)


async def read_body(request: web.Request) -> Body:
    """Read a request's body to its end."""
    body = Body()
    if request.content_type == "multipart/form-data":
        await _read_multipart(request, body)
        return body
    raw = bytearray()
    async for chunk in request.content.iter_any():
        body.feed(chunk)
        if not body.error:
            raw += chunk
    if raw and not body.error:
        _parse(bytes(raw), request.content_type, body)
    return body


def _parse(raw: bytes, content_type: str, body: Body) -> None:
    if content_type == "application/x-www-form-urlencoded":
        fields = parse_qs(raw.decode(errors="replace"), keep_blank_values=True)
        _parse_form({name: values[-1].encode() for name, values in fields.items()}, body)
    elif content_type == "application/json":
        _parse_json(raw, body)
    else:
        text = f'Expected "Content-Type" header to be one of {CONTENT_TYPES}.'
        error = {"code": "CONTENT_TYPE_INVALID", "message": text}
        body.error = DiscordError(400, 50035, "Invalid Form Body", {"_errors": [error]})


def _parse_form(fields: dict[str, bytes], body: Body) -> None:
    """Take the content from `payload_json`, otherwise from the other fields."""
    if payload := fields.pop("payload_json", None):
        _parse_json(payload, body)
    else:
        body.content = {name: raw.decode(errors="replace") for name, raw in fields.items()}


def _parse_json(raw: bytes, body: Body) -> None:
    try:
        body.content = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body.error = discord_error(50109)


async def _read_multipart(request: web.Request, body: Body) -> None:
    fields: dict[str, bytes] = {}
    reader = await request.multipart()
    while part := await reader.next():
        if not isinstance(part, BodyPartReader):
            body.error = discord_error(50109)
            return
        if part.name == "payload_json" or part.filename is None:
            raw = bytes(await part.read())
            body.feed(raw)
            fields[part.name or ""] = raw
        else:
            body.uploads.append(await _read_file(part, body))
    _parse_form(fields, body)


async def _read_file(part: BodyPartReader, body: Body) -> Upload:
    size, digest = 0, blake2b(digest_size=8)
    while chunk := await part.read_chunk(1 << 18):
        size += len(chunk)
        digest.update(chunk)
        body.feed(chunk)
    if size > MAX_FILE:
        body.error = discord_error(40005)
    kind = part.headers.get("Content-Type", "application/octet-stream")
    return Upload(part.name or "", part.filename or "", kind, size, digest.hexdigest())
