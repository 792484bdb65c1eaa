"""What the Python callers of the library benchmark share: reads a job and a start time, writes what was answered."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

Send = Callable[[int, str], Awaitable[int]]
"""Sends a text to a channel; returns the id of the message."""

Connect = Callable[[dict[str, Any]], Any]
"""Of a job; returns a context manager with a `Send`."""


class Answered(NamedTuple):
    """One message: its number, when it was submitted and answered (s, monotonic clock), its id, or the exception."""

    label: int
    submitted_at: float
    answered_at: float
    message_id: int
    error: str


async def serve(connect: Connect) -> None:
    """Take one job from stdin and do it."""
    loop = asyncio.get_running_loop()
    job = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    async with connect(job) as send:
        report("ready")
        begin_at = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
        sent = await asyncio.gather(*(_send(send, begin_at, *message) for message in job["messages"]))
    report(sent)


async def _send(send: Send, begin_at: float, label: int, channel: str, at: float) -> Answered:
    await asyncio.sleep(begin_at + at - time.monotonic())
    submitted_at, message_id, error = time.monotonic(), 0, ""
    try:
        message_id = await send(int(channel), f"message {label}")
    except Exception as raised:  # noqa: BLE001 - whatever a library raises is what is counted
        error = f"{type(raised).__name__}: {raised}"[:300]
    return Answered(label, submitted_at, time.monotonic(), message_id, error)


def report(news: Any) -> None:
    """Write a line to the parent process."""
    print(json.dumps(news), flush=True)  # noqa: T201 - stdout is the way back
