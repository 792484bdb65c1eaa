"""Runs the commands of the test's runner with a Python library: one JSON object a line in, one out."""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

BASE, TOKEN = os.environ["BASE_URL"], os.environ["TOKEN"]
CHANNEL, GUILD = int(os.environ["CHANNEL"]), int(os.environ["GUILD"])
SNIPPET = os.environ.get("SNIPPET", "")
FILE = bytes(range(256)) * 12_288
REASON = "café ❤"

Command = dict[str, Any]
Action = Callable[[Command], Awaitable[dict[str, Any] | None]]


def run_snippet() -> dict[str, Any]:
    """Run the snippet of the documentation, and return its names; none without one."""
    names: dict[str, Any] = {}
    if SNIPPET:
        exec(compile(Path(SNIPPET).read_text(), SNIPPET, "exec"), names)
    return names


async def burst(number: int, send: Callable[[str], Awaitable[Any]], content: str) -> dict[str, Any]:
    """Send messages at once; return how many were sent, and the errors of the others."""
    calls = (send(f"{content} {position}") for position in range(number))
    found = await asyncio.gather(*calls, return_exceptions=True)
    failed = [each for each in found if isinstance(each, BaseException)]
    return {"sent": number - len(failed), "errors": Counter(map(described, failed))}


def described(error: BaseException) -> str:
    """Return class and status of an error."""
    status = getattr(error, "status", getattr(error, "code", ""))
    return f"{type(error).__name__} {getattr(status, 'value', status)}".strip()


async def serve(actions: dict[str, Action]) -> None:
    """Run commands until the input ends."""
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    _answer({"ready": True})
    async for line in reader:
        command = json.loads(line)
        try:
            _answer(await actions[command["do"]](command) or {})
        except Exception as error:  # noqa: BLE001 - the runner judges it
            _answer({"error": described(error), "text": str(error)[:500]})


def _answer(document: dict[str, Any]) -> None:
    print(json.dumps(document), flush=True)  # noqa: T201 - the answer
