"""HTTP/2 frames as bytes, for requests that no library would send."""

import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
INITIAL_WINDOW_SIZE = 4


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0, length: int | None = None) -> bytes:
    """Return a frame; `length` overrides the length in its header."""
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def setting(identifier: int, value: int) -> bytes:
    """Return one entry of a SETTINGS frame."""
    return struct.pack(">HI", identifier, value)


HELLO = PREFACE + frame(SETTINGS)


def header(name: str, value: str) -> bytes:
    """Return a header in HPACK without tables and without compression."""
    return b"\x00" + _text(name) + _text(value)


def _text(text: str) -> bytes:
    data = text.encode()
    return _integer(len(data)) + data


def _integer(value: int) -> bytes:
    if value < 127:
        return bytes((value,))
    value, found = value - 127, bytearray((127,))
    while value >= 128:
        found.append(value % 128 + 128)
        value //= 128
    return bytes((*found, value))


def call_headers(rpc: str, *more: tuple[str, str]) -> bytes:
    """Return the header block of a call; `rpc` is one of ours, or the whole path of a method."""
    pairs = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", rpc if rpc.startswith("/") else f"/discord_api.DiscordApi/{rpc}"),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        *more,
    ]
    return b"".join(header(name, value) for name, value in pairs)


def call_start(rpc: str, stream: int, *more: tuple[str, str]) -> bytes:
    """Return the frame that begins a call."""
    return frame(HEADERS, call_headers(rpc, *more), flags=END_HEADERS, stream=stream)


def message(data: bytes, *, size: int | None = None, compressed: bool = False) -> bytes:
    """Return a gRPC message; `size` overrides the size in its prefix, `compressed` sets its flag."""
    return struct.pack(">BI", compressed, len(data) if size is None else size) + data


def call(rpc: str, stream: int, data: bytes) -> bytes:
    """Return a whole call."""
    return call_start(rpc, stream) + frame(DATA, message(data), flags=END_STREAM, stream=stream)
