"""Decodes a body in chunks (RFC 9112, section 7.1), and finds its end: bytes behind it are the next request. Pure.

httptools does not report where a message ends. This decoder accepts less than it: no blanks around sizes.
"""

import re

from discordproxy_api.http.http1.head import LINE_END, MalformedError

MAX_LINE = 4_096
"""Bound of a line with the size of a chunk and its extensions, or of a trailer, in bytes."""

MAX_FRAMING, FRAMING_PER_BYTE = 16 * 1024, 8
"""Bytes that are no content: so many altogether, and so many more for each byte of the content."""

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t -~\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*")
_SIZE_BEGUN = re.compile(rb"(?:[0-9A-Fa-f]{1,16}(?:;[\t -~\x80-\xff]*)?\r?)?")
_TRAILER_BEGUN = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+(?::[\t -~\x80-\xff]*)?)?\r?")


class ChunkDecoder:
    """Decodes one body.

    Args:
        content: takes what the chunks contain.
    """

    def __init__(self, content: bytearray) -> None:
        self._content = content
        self._begun = b""  # of a line
        self._left = 0  # bytes of the present chunk
        self._in_chunk = self._in_trailers = False
        self._size = self._framing = 0

    def feed(self, data: bytes) -> bytes | None:
        """Decode received bytes; return those that follow the body, None as long as it is incomplete.

        Raises:
            MalformedError: they are no chunks within the bounds.
        """
        data = self._begun + data
        at = 0
        while True:
            if self._left:
                piece = data[at : at + self._left]
                self._content += piece
                self._left -= len(piece)
                self._size += len(piece)
                at += len(piece)
            end = data.find(LINE_END, at, at + MAX_LINE)
            if self._left or end < 0:
                self._begun = data[at:]
                self._check_begun()
                return None
            line = data[at:end]
            self._count(end + len(LINE_END) - at)
            at = end + len(LINE_END)
            if self._in_trailers and not line:
                return data[at:]
            self._read(line)

    def _read(self, line: bytes) -> None:
        """Read a whole line: the end of a chunk, a size, or a trailer."""
        if self._in_chunk:
            if line:
                raise MalformedError
            self._in_chunk = False
        elif self._in_trailers:
            if not _TRAILER.fullmatch(line):
                raise MalformedError
        elif found := _SIZE.fullmatch(line):
            self._left = int(found[1], 16)
            self._in_chunk = self._left > 0
            self._in_trailers = not self._in_chunk
        else:
            raise MalformedError

    def _check_begun(self) -> None:
        """Refuse the beginning of a line that cannot become a valid one."""
        if len(self._begun) >= MAX_LINE:
            raise MalformedError
        if self._in_chunk:
            if self._begun not in {b"", b"\r"}:
                raise MalformedError
        elif not (_TRAILER_BEGUN if self._in_trailers else _SIZE_BEGUN).fullmatch(self._begun):
            raise MalformedError

    def _count(self, size: int) -> None:
        self._framing += size
        if self._framing > MAX_FRAMING + FRAMING_PER_BYTE * self._size:
            raise MalformedError
