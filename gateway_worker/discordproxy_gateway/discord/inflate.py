"""Decompresses and decodes websocket messages. Pure."""

import json
import zlib
from collections.abc import Callable
from typing import Any, Protocol

import orjson
import zstandard

_ZLIB = b"\x78"
_ZSTD = b"\x28\xb5\x2f\xfd"
_FLUSHED = b"\x00\x00\xff\xff"


class UnreadableError(Exception):
    """A message is no JSON object, or not compressed as the stream before it: the connection is unusable."""


class Decompressor(Protocol):
    """One compressed stream."""

    def decompress(self, data: bytes, /) -> str | bytes | None:
        """Return the message that ends with `data`; None when there is more to come."""


class Zlib:
    """A zlib-stream: each message ends with a flush (Discord: gateway, transport compression)."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj()
        self._parts = b""

    def decompress(self, data: bytes, /) -> bytes | None:
        """Return the message that ends with `data`; None when there is more to come."""
        self._parts += data
        if not data.endswith(_FLUSHED):
            return None
        parts, self._parts = self._parts, b""
        return self._stream.decompress(parts)


class Inflate:
    """Detects the compression by the first bytes: a gateway may send zlib although zstd was requested.

    Args:
        requested: for the requested compression.
    """

    def __init__(self, requested: Decompressor) -> None:
        self._requested = requested
        self._chosen: Callable[[bytes], str | bytes | None] | None = None

    def read(self, data: bytes | str) -> dict[str, Any] | None:
        """Return a message; None when the rest of it is still to come.

        Raises:
            UnreadableError: it is no JSON object, or has no opcode.
        """
        try:
            text = (self._chosen or self._choose(data))(data) if type(data) is bytes else data
            if text is None:
                return None
            message: dict[str, Any] = _loads(text)
            message["op"]
        except Exception as error:  # noqa: BLE001 - each compression has an exception of its own
            raise UnreadableError(f"unreadable message ({type(error).__name__})") from None
        return message

    def _choose(self, data: bytes) -> Callable[[bytes], str | bytes | None]:
        if data.startswith(_ZLIB):
            self._chosen = Zlib().decompress
        elif data.startswith(_ZSTD):  # the library's own decompressor decodes the text, which costs time
            self._chosen = zstandard.ZstdDecompressor().decompressobj().decompress
        else:
            self._chosen = self._requested.decompress
        return self._chosen


def _loads(text: str | bytes) -> Any:
    """Decode JSON; tolerate lone surrogates (discord-api-docs#6561) and NaN."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        loose = text if isinstance(text, str) else text.decode("utf-8", "replace")
        found = json.loads(loose, parse_constant=lambda _: None)
        whole = json.dumps(found, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return orjson.loads(whole)
