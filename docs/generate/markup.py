"""Helpers that write Markdown."""

import re
from collections.abc import Iterable, Sequence


def cell(text: str) -> str:
    """Return text for a cell of a table: one line, without a column's border or HTML."""
    return escaped(" ".join(text.split())).replace("|", "\\|")


def escaped(text: str) -> str:
    """Return text in which, outside of code, angle brackets are not HTML and addresses are links."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else _linked(part.replace("<", "&lt;")) for part in parts)


def _linked(text: str) -> str:
    return re.sub(r"https?://[\w./#%?=&-]*[\w/]", r"<\g<0>>", text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; its cells are Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def anchor(name: str) -> str:
    """Return the id of an element that other pages refer to."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def heading(level: int, text: str, name: str) -> str:
    """Return a heading with an explicit id."""
    return f"{'#' * level} {text} {{: #{anchor(name)} }}\n"
