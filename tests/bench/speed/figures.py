"""Medians with their spread, tables, and the JSON file of a benchmark."""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.speed.programs import ROOT


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return `median`, `min` and `max`."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def machine() -> dict[str, Any]:
    """Return what the figures depend on beside the code."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load_at_start": os.getloadavg()[0],
    }


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], check=False, capture_output=True, text=True, cwd=ROOT)
    return done.stdout.strip()


def with_spread(found: dict[str, float], digits: int) -> str:
    """Return a median, and in brackets the lowest and the highest value."""
    return "{median:.{d}f} ({min:.{d}f}-{max:.{d}f})".format(**found, d=digits)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return text in columns; the first is aligned left, the others right."""
    first, *others = (max(map(len, column)) for column in zip(head, *rows, strict=True))
    return "\n".join("  ".join([name.ljust(first), *map(str.rjust, cells, others)]) for name, *cells in (head, *rows))


def save(result: dict[str, Any], path: Path) -> None:
    """Write a result as JSON."""
    result["machine"]["load_at_end"] = os.getloadavg()[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")


def circumstances(result: dict[str, Any], path: Path) -> str:
    """Return one line about the machine, and where the JSON file is."""
    about = result["machine"]
    load = f"{about['load_at_start']:.1f} before, {about['load_at_end']:.1f} after"
    return f"{about['cores']} cores, load {load}, commit {about['commit'][:7]}; all figures: {path}"
