"""Reads files and streams up to a limit: some have no end, such as a pipe from a program that does not stop."""

from __future__ import annotations

from typing import Any

MAX_FILE_BYTES = 100 * 1024 * 1024
"""The largest file of the contract, and Discord's limit in a guild of the highest boost level."""

_PIECE = 1024 * 1024


def read_within(stream: Any, limit: int, excess: str, *, expected: int = 0) -> Any:
    """Return the rest of an open file, or of any object with such a method `read`: bytes, or a text.

    Args:
        stream: It is read in pieces until there are no more: a file allocates as much as it is asked for.
        limit: Maximum length, in what the stream is made of.
        excess: Text of the error for a longer content.
        expected: Length of a content that is read in one piece, without a copy.

    Raises:
        ValueError: The content is longer.
    """
    pieces: list[Any] = []
    left = limit + 1
    while left > 0 and (piece := stream.read(min(left, max(_PIECE, expected + 1)))):
        pieces.append(piece)
        left -= len(piece)
    if left <= 0:
        raise ValueError(excess)
    return type(pieces[0])().join(pieces) if pieces else b""
