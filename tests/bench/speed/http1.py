"""HTTP/1.1 for the stand-in and the load generator: bodies by length or in chunks, connections that stay open."""

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpMessage:
    """A request or an answer: its first line, split at spaces, and its body without chunks."""

    start: list[str]
    headers: dict[str, str]
    body: bytes

    @property
    def status(self) -> int:
        """Status of an answer."""
        return int(self.start[1])


async def read(reader: asyncio.StreamReader) -> HttpMessage:
    """Read one message.

    Raises:
        asyncio.IncompleteReadError: the other side closed the connection.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head[:-4].split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _chunks(reader)
    else:
        length = int(headers.get("content-length", "0"))
        body = await reader.readexactly(length) if length else b""
    return HttpMessage(first.split(" "), headers, body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # trailers
    return b"".join(parts)


def write(start: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Return a message in bytes; the length of the body is added."""
    lines = [start, *(f"{name}: {value}" for name, value in headers.items()), f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body
