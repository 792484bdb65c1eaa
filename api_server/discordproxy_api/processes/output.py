"""The output of a child: a pipe that is read in large pieces, at most ten times a second."""

import asyncio
import fcntl
import os
import sys
from collections.abc import Callable
from contextlib import suppress

MAX_LINE_BYTES = 8192
GATHER_S = 0.1
"""Pause after each piece: a busy child writes many lines in this time, which are then read together."""

_PIPE_BYTES = 262_144
"""Capacity of a pipe, so that a child that writes less than 2.6 MB/s never waits for the supervisor."""

OnLines = Callable[[str, list[bytes]], str]
"""Receives a child's name and lines of its output; returns the last one that is no log line, or ""."""


def open_output() -> tuple[int, int]:
    """Return the descriptors of a new pipe: for reading, without blocking, and for writing."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    if sys.platform == "linux":
        with suppress(OSError):  # the user has too many large pipes
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return reading, writing


async def read_lines(output: int, receive: Callable[[list[bytes]], None]) -> None:
    """Pass the lines of `output` to `receive` until its end, then close it.

    Empty lines are skipped. Lines are cut after `MAX_LINE_BYTES`.
    """
    unfinished = b""
    try:
        while piece := await _read(output):
            *lines, unfinished = (unfinished + piece).split(b"\n")
            unfinished = unfinished[:MAX_LINE_BYTES]
            _pass_on(lines, receive)
            await asyncio.sleep(GATHER_S)
        _pass_on([unfinished], receive)
    finally:
        os.close(output)


def _pass_on(lines: list[bytes], receive: Callable[[list[bytes]], None]) -> None:
    if lines := [line for each in lines if (line := each[:MAX_LINE_BYTES].rstrip())]:
        receive(lines)


async def _read(output: int) -> bytes:
    """Return what `output` contains, as soon as it contains something; b"" at its end."""
    while True:
        with suppress(BlockingIOError):
            return os.read(output, _PIPE_BYTES)
        loop = asyncio.get_running_loop()
        readable = loop.create_future()
        loop.add_reader(output, readable.set_result, None)
        try:
            await readable
        finally:
            loop.remove_reader(output)
