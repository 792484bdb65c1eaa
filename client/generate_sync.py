"""Make the synchronous calls (`discordproxy/_sync`) from the asynchronous ones; `make protos` runs it.

Both differ in a few words only, so a few substitutions are the whole translation; ruff tidies the result.
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
    (r"\bAwaitable\[(.*?\])\]", r"\1"),
    (r"\bgrpc\.aio\b", "grpc"),
    (r"\bDiscordApiAsyncStub\b", "DiscordApiStub"),
    (r"\bStopAsyncIteration\b", "StopIteration"),
    (r"\b__a(iter|next|enter|exit)__", r"__\1__"),
    (r"\ba(iter|next)\(", r"\1("),
    (r"\bAsync([A-Z]\w+)", r"\1"),
    (r"\b_async\b", "_sync"),
)
# I: sorted imports; F401: names only coroutines need; UP028: a loop that only yields is `yield from` in a function.
TIDY = ("check", "--quiet", "--fix-only", "--unsafe-fixes", "--select", "I,F401,UP028"), ("format", "--quiet")


def translate(source: str) -> str:
    """Return the synchronous form of a module."""
    source = _without_parentheses_of_await(source)
    for pattern, replacement in SUBSTITUTIONS:
        source = re.sub(pattern, replacement, source)
    return source


def _without_parentheses_of_await(source: str) -> str:
    """Turn `(await call(x)).item` into `await call(x).item`: only coroutines need the parentheses."""
    before, opening, rest = source.partition("(await ")
    if not opening:
        return source
    depth, end = 1, 0
    while depth:
        depth += {"(": 1, ")": -1}.get(rest[end], 0)
        end += 1
    return f"{before}await {rest[: end - 1]}" + _without_parentheses_of_await(rest[end:])


def generate(out: Path) -> None:
    """Write the synchronous form of every module below `out`."""
    for path in sorted((PACKAGE / "_async").glob("*.py")):
        header = HEADER.format(source=f"_async/{path.name}")
        (out / path.name).write_text(header + translate(path.read_text()))
    for command in TIDY:
        subprocess.run([sys.executable, "-m", "ruff", *command, out], check=True, cwd=PACKAGE)  # noqa: S603 -- our own words


if __name__ == "__main__":
    generate(PACKAGE / "_sync")
