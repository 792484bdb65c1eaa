"""The loop of the Python callers: reads a job, then start times and loads, and writes what was answered."""

import asyncio
import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, NamedTuple

from bench.speed.orders import Load, Outcome

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
    """Take one job from stdin and do it.

    A number in a line is the time at which the job's messages are sent; an object is a `Load` of messages to channels
    from `first_channel` on, and is followed by further lines.
    """
    logging.disable(logging.WARNING)  # libraries write a line for each 429
    job = await _line()
    async with connect(job) as send:
        report("ready")
        while isinstance(news := await _line(), dict):
            report(asdict(await _load(send, job["first_channel"], Load(**news))))
        if news is not None:
            within_s = job.get("within_s")
            report(await asyncio.gather(*(_send(send, news, within_s, *message) for message in job["messages"])))


async def _line() -> Any:
    line = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    return json.loads(line or "null")


async def _send(send: Send, begin_at: float, within_s: float | None, label: int, channel: str, at: float) -> Answered:
    await asyncio.sleep(begin_at + at - time.monotonic())
    submitted_at, message_id, error = time.monotonic(), 0, ""
    try:
        async with asyncio.timeout(within_s):
            message_id = await send(int(channel), f"message {label}")
    except Exception as raised:  # noqa: BLE001 - whatever a library raises is what is counted
        error = f"{type(raised).__name__}: {raised}"[:300]
    return Answered(label, submitted_at, time.monotonic(), message_id, error)


async def _load(send: Send, first_channel: int, load: Load) -> Outcome:
    """Send messages one after another in each of the callers, until the time is over or the limit is reached."""
    began = time.perf_counter()
    until, started, took, errors = began + load.seconds, 0, list[float](), list[str]()

    async def calls(caller: int) -> None:
        nonlocal started
        while (now := time.perf_counter()) < until and (not load.limit or started < load.limit):
            channel = started % load.channels if load.channels else caller
            started += 1
            try:
                await send(first_channel + channel, "")
            except Exception as raised:  # noqa: BLE001 - whatever it is, the call was not answered
                errors.append(f"{type(raised).__name__}: {raised}"[:300])
            else:
                took.append(time.perf_counter() - now)

    await asyncio.gather(*map(calls, range(load.callers)))
    seconds = time.perf_counter() - began
    took.sort()
    p50, p99 = (took[int(len(took) * place / 100)] * 1000 if took else 0.0 for place in (50, 99))
    return Outcome(len(took), len(errors), (errors or [""])[0], seconds, p50, p99)


def report(news: Any) -> None:
    """Write a line to the parent process."""
    print(json.dumps(news), flush=True)  # noqa: T201 - stdout is the way back
