"""Generates the synchronous calls (`discordproxy/_sync`) from the asynchronous ones. Run by `make protos`.

The two differ in a few words only, so a few substitutions translate one into the other. ruff formats the result.
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
# I: sort imports; F401: remove names that only coroutines use; UP028: replace a loop that only yields by `yield from`.
RUFF_COMMANDS = ("check", "--quiet", "--fix-only", "--unsafe-fixes", "--select", "I,F401,UP028"), ("format", "--quiet")


def translate(source: str) -> str:
    """Return the synchronous version of a module's source."""
    source = _without_await_parentheses(source)
    for pattern, replacement in SUBSTITUTIONS:
        source = re.sub(pattern, replacement, source)
    return source


def _without_await_parentheses(source: str) -> str:
    """Turn `(await call(x)).item` into `await call(x).item`: only coroutines require the parentheses."""
    before, opening, rest = source.partition("(await ")
    if not opening:
        return source
    depth, end = 1, 0
    while depth:
        depth += {"(": 1, ")": -1}.get(rest[end], 0)
        end += 1
    return f"{before}await {rest[: end - 1]}" + _without_await_parentheses(rest[end:])


def generate(out: Path) -> None:
    """Write the synchronous version of every module to `out`."""
    for path in sorted((PACKAGE / "_async").rglob("*.py")):
        name = path.relative_to(PACKAGE / "_async")
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(HEADER.format(source=f"_async/{name}") + translate(path.read_text()))
    for command in RUFF_COMMANDS:
        subprocess.run([sys.executable, "-m", "ruff", *command, out], check=True, cwd=PACKAGE)  # noqa: S603 -- the command is a constant of this module


if __name__ == "__main__":
    generate(PACKAGE / "_sync")
