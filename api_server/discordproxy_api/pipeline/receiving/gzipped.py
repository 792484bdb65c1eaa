"""Decompresses requests that a caller's gRPC library has compressed with gzip. Pure.

gRPC passes messages as they arrived, without the flag that marks compressed ones. Their first bytes are sufficient: a
protobuf message cannot begin like gzip data, which would be a field with an invalid wire type.
"""

import zlib

_MAGIC = b"\x1f\x8b"
_LENGTH_BYTES = 4
_MIN_BYTES = 18
_WBITS_GZIP = 31


class GzipError(ValueError):
    """The data is damaged or has another size than stated; the text is for the caller."""


def is_gzip(data: bytes) -> bool:
    """Return whether data looks like gzip."""
    return data.startswith(_MAGIC) and len(data) >= _MIN_BYTES


def inflated_size(data: bytes) -> int:
    """Return the decompressed size that the data states, in bytes; the size of the data if it is not compressed."""
    return int.from_bytes(data[-_LENGTH_BYTES:], "little") if is_gzip(data) else len(data)


def inflate(data: bytes, size: int) -> bytes:
    """Return the decompressed content of `size` bytes; memory is allocated for at most one byte more.

    Raises:
        GzipError: the content has another size, or is damaged.
    """
    stream = zlib.decompressobj(_WBITS_GZIP)
    try:
        content = stream.decompress(data, size + 1)
    except zlib.error:
        raise GzipError("The compressed request is damaged.") from None
    if len(content) != size or not stream.eof or stream.unused_data:
        raise GzipError("The compressed request does not have the size that it states.")
    return content
