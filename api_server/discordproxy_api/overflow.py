"""What to do with content that is longer than a message: cut it into parts, or shorten it. Pure text functions.

Lengths are UTF-16 units, the stricter of the two ways Discord may count, so that no part is ever too long.
"""

import unicodedata
from collections.abc import Iterator

ELLIPSIS = "…"
_FENCE = "```"
_SEPARATORS = ("\n\n", "\n", " ")  # paragraph, line, word: the best place that is left
_JOINERS = frozenset("\u200d\ufe0f\u20e3")  # they belong to the character before them
_LONGEST_LANGUAGE = 20


def units(text: str) -> int:
    """Return the length of the text in UTF-16 units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


def truncate(text: str, most: int) -> str:
    """Return the text with at most `most` units, ending in an ellipsis when something is missing."""
    if units(text) <= most:
        return text
    room = most - units(ELLIPSIS)
    head = text[: _cut(text, room)].rstrip()
    if _open_fence(head) is not None:
        head = text[: _cut(text, room - len(_FENCE) - 1)].rstrip()
        return f"{head}{ELLIPSIS}\n{_FENCE}" if _open_fence(head) is not None else f"{head}{ELLIPSIS}"
    return head + ELLIPSIS


def split(text: str, most: int) -> list[str]:
    """Return the text in parts of at most `most` units, cut at a paragraph, else a line, else a word.

    A code block that is cut is closed at the end of the part and opened again in the next one, with its language.
    Parts that would be empty are left out: Discord refuses them.
    """
    return [part for part in _parts(text, most) if part.strip()]


def _parts(text: str, most: int) -> Iterator[str]:
    opening = ""
    while units(opening + text) > most:
        room = most - units(opening) - len(_FENCE) - 1  # the closing fence must fit, whether it is needed or not
        cut = _cut(text, room)
        head, text = text[:cut], text[cut:]
        language = _open_fence(opening + head)
        if language is None:
            yield opening + head.rstrip()
            opening, text = "", text.lstrip("\n ")
        else:
            yield f"{opening}{head.rstrip()}\n{_FENCE}"
            opening, text = f"{_FENCE}{language}\n", text.removeprefix("\n")
    yield opening + text


def _open_fence(text: str) -> str | None:
    """Return the language of the code block that is open at the end of the text, None when there is none."""
    pieces = text.split(_FENCE)
    if len(pieces) % 2:
        return None
    language, newline, _rest = pieces[-1].partition("\n")
    return language if newline and len(language) <= _LONGEST_LANGUAGE and language.isalnum() else ""


def _cut(text: str, room: int) -> int:
    """Return where to cut so that the head has at most `room` units: at a separator in its second half, else hard."""
    end = _fitting(text, room)
    for separator in _SEPARATORS:
        at = text.rfind(separator, end // 2, end + 1)
        if at > 0:
            return at
    return _whole_character(text, end)


def _fitting(text: str, room: int) -> int:
    """Return how many characters fit into `room` units."""
    if text[:room].isascii():
        return min(room, len(text))
    used = 0
    for index, character in enumerate(text[:room]):
        used += 1 + (character > "\uffff")
        if used > room:
            return index
    return min(room, len(text))


def _whole_character(text: str, end: int) -> int:
    """Move the cut to the left while it would tear an emoji or a letter from its accents."""
    at = end
    while 0 < at < len(text) and (_continues(text[at]) or text[at - 1] == "\u200d"):
        at -= 1
    return at or end


def _continues(character: str) -> bool:
    return character in _JOINERS or unicodedata.combining(character) > 0 or "\U0001f3fb" <= character <= "\U0001f3ff"
