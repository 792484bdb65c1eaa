"""Make the synchronous calls (`discordproxy/_sync`) from the asynchronous ones; `make protos` runs it.

Both differ in a few words only, so a few substitutions are the whole translation; ruff formats the result.
"""

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent / "discordproxy"
HEADER = "# Generated from {source} by client/generate_sync.py; edit that file and run it again.\n"
SUBSTITUTIONS = (
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bgrpc\.aio\b", "grpc"),
    (r"\bDiscordApiAsyncStub\b", "DiscordApiStub"),
    (r"\bAsync([A-Z]\w+)", r"\1"),
    (r"\b_async\b", "_sync"),
)


def translate(source: str) -> str:
    """Return the synchronous form of a module."""
    for pattern, replacement in SUBSTITUTIONS:
        source = re.sub(pattern, replacement, source)
    return source


def generate(out: Path) -> None:
    """Write the synchronous form of every module below `out`."""
    for path in sorted((PACKAGE / "_async").glob("*.py")):
        header = HEADER.format(source=f"_async/{path.name}")
        (out / path.name).write_text(header + translate(path.read_text()))
    # UP028: a loop that only yields is `yield from`, which coroutines do not have.
    for command in (["check", "--quiet", "--fix-only", "--unsafe-fixes", "--select", "I,UP028"], ["format", "--quiet"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, out], check=True, cwd=PACKAGE)  # noqa: S603 -- our own words


if __name__ == "__main__":
    generate(PACKAGE / "_sync")
