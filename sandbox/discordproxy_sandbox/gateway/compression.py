"""Transport compression of the gateway: one stream per connection, flushed after every payload."""

import importlib
import importlib.util
import zlib
from typing import Any, Protocol


class Compressor(Protocol):
    """Compresses payloads into chunks of one stream."""

    def compress(self, payload: bytes) -> bytes:
        """Return the chunk after which the reader has the whole payload."""


class ZlibStream:
    """The `compress=zlib-stream` of Discord: every message ends in 00 00 FF FF."""

    def __init__(self) -> None:
        self._stream = zlib.compressobj()

    def compress(self, payload: bytes) -> bytes:
        """Return the chunk after which the reader has the whole payload."""
        return self._stream.compress(payload) + self._stream.flush(zlib.Z_SYNC_FLUSH)


class ZstdStream:
    """The `compress=zstd-stream` of Discord. Needs the package `zstandard`."""

    def __init__(self) -> None:
        zstandard = _zstandard()
        self._flush = zstandard.COMPRESSOBJ_FLUSH_BLOCK
        self._stream: Any = zstandard.ZstdCompressor().compressobj()

    def compress(self, payload: bytes) -> bytes:
        """Return the chunk after which the reader has the whole payload."""
        return bytes(self._stream.compress(payload) + self._stream.flush(self._flush))


def zstd_available() -> bool:
    """Return whether the package that zstd-stream needs is installed."""
    return importlib.util.find_spec("zstandard") is not None


def compressor(name: str) -> Compressor | None:
    """Return the compressor of the query parameter `compress`; None for no compression."""
    if name == "zlib-stream":
        return ZlibStream()
    if name == "zstd-stream" and zstd_available():
        return ZstdStream()
    return None


def _zstandard() -> Any:
    return importlib.import_module("zstandard")
