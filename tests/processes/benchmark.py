"""Runs a benchmark as its own process and reads the figures that it writes."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]


async def result_of(program: str, *arguments: str, folder: Path) -> dict[str, Any]:
    """Return the JSON of `bench/PROGRAM.py`, which it writes to `result.json` in `folder`.

    Raises:
        AssertionError: the program failed; the text is its output.
    """
    output = folder / "result.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"bench.{program}", *arguments, "--output", str(output)),
        cwd=TESTS,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    text, _ = await process.communicate()
    assert process.returncode == 0, text.decode()
    result: dict[str, Any] = json.loads(output.read_text())
    return result
