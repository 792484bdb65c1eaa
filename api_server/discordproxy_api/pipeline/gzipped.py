"""Requests that a caller's gRPC library compressed with gzip: their size inflated, and inflating them. Pure.

gRPC hands over messages as they arrived, without the mark that tells whether they are compressed. The first bytes tell
it as well: no message of protobuf can begin like gzip data, since they would be a field of a type that does not exist.
"""

import zlib

_MAGIC = b"\x1f\x8b"
_LENGTH_BYTES = 4
_SHORTEST = 18
_GZIP_ONLY = 31


class GzipError(ValueError):
    """The data is damaged, or is larger than it says; the text is for the caller."""


def inflated_size(data: bytes) -> int:
    """Return how many bytes the data says it has inflated; its own size if it is not compressed."""
    if not data.startswith(_MAGIC) or len(data) < _SHORTEST:
        return len(data)
    return int.from_bytes(data[-_LENGTH_BYTES:], "little")


def inflate(data: bytes, size: int) -> bytes:
    """Return the content, which has `size` bytes; memory is never taken for more.

    Raises:
        BadGzip: it has another size, or is damaged.
    """
    stream = zlib.decompressobj(_GZIP_ONLY)
    try:
        content = stream.decompress(data, size + 1)
    except zlib.error:
        raise GzipError("The compressed request is damaged.") from None
    if len(content) != size or not stream.eof or stream.unused_data:
        raise GzipError("The compressed request does not have the size that it says.")
    return content
