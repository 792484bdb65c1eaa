"""The form that carries a request's files, as multipart/form-data. Pure."""

import secrets
from collections.abc import Iterator

import orjson

from discordproxy_api.discord.request import RestRequest

PAYLOAD = "payload_json"
"""The field that holds the JSON of a request with files."""

STICKER_FILE = "file"
"""The field of a sticker's file; a sticker's other fields are fields of the form, too."""

JSON, TEXT, BINARY = "application/json", "text/plain; charset=utf-8", "application/octet-stream"

_PLAIN = {code: f"%{code:02X}" for code in (*range(0x20), 0x7F)}
"""Servers refuse a form with control characters in its headers, or take them for the end of a line."""

_QUOTED = _PLAIN | str.maketrans({"\\": "\\\\", '"': '\\"'})
"""Discord takes other characters of file names as they are, in UTF-8."""


def form_of(request: RestRequest) -> tuple[str, list[bytes]]:
    """Return the form's Content-Type and its bytes in pieces; the files are not copied."""
    boundary = secrets.token_hex(16)
    pieces: list[bytes] = []
    for disposition, content_type, content in _parts(request):
        head = f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\nContent-Type: {content_type}\r\n\r\n"
        pieces += (head.encode("utf-8", "replace"), content, b"\r\n")
    pieces.append(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", pieces


def _parts(request: RestRequest) -> Iterator[tuple[str, str, bytes]]:
    """Yield disposition, type and content of each part."""
    if request.body is not None and [file.field for file in request.files] == [STICKER_FILE]:
        for name, text in _fields(request.body).items():
            yield _name(name), TEXT, text.encode()
    elif request.body is not None:
        yield _name(PAYLOAD), JSON, request.body
    for file in request.files:
        filename = file.filename.translate(_QUOTED)
        yield f'{_name(file.field)}; filename="{filename}"', file.content_type.translate(_PLAIN) or BINARY, file.content


def _name(name: str) -> str:
    return f'name="{name.translate(_QUOTED)}"'


def _fields(body: bytes) -> dict[str, str]:
    document = orjson.loads(body)
    if not isinstance(document, dict):
        return {PAYLOAD: body.decode()}
    return {name: each if isinstance(each, str) else orjson.dumps(each).decode() for name, each in document.items()}
