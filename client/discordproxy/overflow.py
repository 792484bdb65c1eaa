"""Splits or truncates content that is too long for a message. Pure text functions.

A cut never breaks a mention, emoji, timestamp, link, inline code, spoiler or character of several code points, unless
that is longer than a message by itself. A code block is closed at the cut and reopened in the next part.

Lengths are counted in UTF-16 units, the stricter of the two ways in which Discord may count.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from discordproxy._requests.graphemes import follows, joined

if TYPE_CHECKING:
    from collections.abc import Iterator

ELLIPSIS = "…"
_FENCE = "```"
_SEPARATORS = ("\r\n\r\n", "\n\n", "\r\n", "\n", " ")  # in order of preference: paragraph, line, word
_BLANKS = "\r\n "
# Units of Discord's Markdown. Escaped characters come first, because they start no other token.
_TOKEN = re.compile(
    r"""
      \\[^\w\s]
    | (?P<fence>```(?:[a-z0-9_+\-.\#]{1,20}\n)?)
    | (?<!`)(?P<ticks>``?)(?!`).+?(?<!`)(?P=ticks)(?!`)                       # inline code
    | \|\|.+?\|\|                                                             # a spoiler
    | \[(?:[^\[\]\n]|\[[^\[\]\n]*\])+\]\((?:[^()\n]|\([^()\n]*\))+\)          # a masked link
    | <[@\#:/a-z][^<>\n]*>                                                    # mentions, emojis, times, commands, links
    | (?:https?|discord|mailto):[^\s<>]+
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)


class Block(NamedTuple):
    """An open code block, and the text that reopens it."""

    opening: str


class _Scan(NamedTuple):
    """The spans of a text that must not be broken, and the code block that is open at its end."""

    spans: list[tuple[int, int]]
    block: Block | None


def units(text: str) -> int:
    """Return the length of the text in UTF-16 units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def truncate(text: str, most: int) -> str:
    """Return the text, shortened to `most` units with an ellipsis at the end if it is longer."""
    if units(text) <= most:
        return text
    room = most - units(ELLIPSIS)
    head = text[: _cut(text, room, None, room)].rstrip()
    if _scan(head, None).block is not None:
        head = text[: _cut(text, room - len(_FENCE) - 1, None, room)].rstrip()
        closing = "" if _scan(head, None).block is None else f"\n{_FENCE}"
        return f"{head}{ELLIPSIS}{closing}"
    return head + ELLIPSIS


def split(text: str, most: int) -> list[str]:
    """Return the text in parts of at most `most` units, cut between paragraphs, lines or words, in this preference.

    A code block is closed at the end of a part and reopened in the next one, with its language.
    Blank parts are omitted, because Discord refuses them.
    """
    return [part for part in _parts(text, most) if part.strip()]


def _parts(text: str, most: int) -> Iterator[str]:
    block: Block | None = None
    while units(opening := _opening(block, most)) + units(text) > most:
        head = text[: _cut(text, most - units(opening), block, most)]
        if _scan(head, block).block is not None:
            head = text[: _cut(text, most - units(opening) - len(_FENCE) - 1, block, most)]
        text = text[len(head) :]
        block = _scan(head, block).block
        if block is None:
            yield opening + head.rstrip()
            text = _without_blanks(text)
        else:
            yield f"{opening}{head.rstrip()}\n{_FENCE}"
            text = text.removeprefix("\r").removeprefix("\n")
    yield opening + text


def _opening(block: Block | None, most: int) -> str:
    """Return the text that reopens a code block; without its language if that takes more than half of a part."""
    if block is None:
        return ""
    return block.opening if units(block.opening) * 2 <= most else f"{_FENCE}\n"


def _without_blanks(text: str) -> str:
    """Remove leading blanks, except one that a combining character extends."""
    rest = text.lstrip(_BLANKS)
    return text[len(text) - len(rest) - 1 :] if rest != text and rest and follows(rest[0]) else rest


def _cut(text: str, room: int, block: Block | None, most: int) -> int:
    """Return the index of the cut, for a head of at most `room` units.

    The cut is at a separator in the second half of the head, otherwise at the last place that breaks nothing. Spans of
    more than `most` units may be broken.
    """
    end = _fitting(text, room)
    spans = [span for span in _scan(text[: end + most], block).spans if units(text[slice(*span)]) <= most]
    for separator in _SEPARATORS:
        at = text.rfind(separator, end // 2, end + 1)
        while at > 0:
            if not _breaks(text, at, spans) and not joined(text, at + len(separator)):
                return at
            at = text.rfind(separator, end // 2, at)
    at = end
    while at > 0 and _breaks(text, at, spans):
        at = min([start for start, stop in spans if start < at < stop], default=at - 1)
    return at or _whole_character(text, end)


def _breaks(text: str, at: int, spans: list[tuple[int, int]]) -> bool:
    return joined(text, at) or any(start < at < stop for start, stop in spans)


def _whole_character(text: str, end: int) -> int:
    """Return the index of a cut inside a span that is longer than a part, between two characters if possible."""
    at = end
    while at > 0 and joined(text, at):
        at -= 1
    return at or end


def _fitting(text: str, room: int) -> int:
    """Return the number of characters that fit into `room` units."""
    if text[:room].isascii():
        return min(room, len(text))
    used = 0
    for index, character in enumerate(text[:room]):
        used += 1 + (character > "\uffff")
        if used > room:
            return max(index, 1)
    return min(room, len(text))


def _scan(text: str, block: Block | None) -> _Scan:
    """Find the spans that must not be broken; inside a code block only its closing fence is one."""
    spans: list[tuple[int, int]] = []
    position = 0
    while True:
        if block is not None:
            end = text.find(_FENCE, position)
            if end < 0:
                return _Scan(spans, block)
            position, block = end + len(_FENCE), None
            spans.append((end, position))
        found = _TOKEN.search(text, position)
        if found is None:
            return _Scan(spans, None)
        spans.append(found.span())
        position = found.end()
        if found["fence"]:
            block = Block(found["fence"] if found["fence"] != _FENCE else f"{_FENCE}\n")
