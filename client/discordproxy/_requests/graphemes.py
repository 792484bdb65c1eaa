"""Boundaries of extended grapheme clusters (user-perceived characters), to split text without breaking one. Pure.

Python's library does not contain Unicode's table of cluster boundaries. Categories and a few ranges approximate it.
"""

from __future__ import annotations

import unicodedata

_JOINER = "\u200d"
_MARKS = {"Mn", "Me", "Mc"}
# Other characters that extend the one before them: joiners, skin tones, tags of subdivision flags,
# Thai and Lao vowels, Japanese halfwidth voice marks.
_FOLLOWING = (
    ("\u200c", "\u200d"),
    ("\U0001f3fb", "\U0001f3ff"),
    ("\U000e0020", "\U000e007f"),
    ("\u0e33", "\u0e33"),
    ("\u0eb3", "\u0eb3"),
    ("\uff9e", "\uff9f"),
)
_REGIONAL = ("\U0001f1e6", "\U0001f1ff")
# Hangul, in the order in which its letters form a syllable.
_LEADING = (("\u1100", "\u115f"), ("\ua960", "\ua97c"))
_VOWELS = (("\u1160", "\u11a7"), ("\ud7b0", "\ud7c6"))
_TRAILING = (("\u11a8", "\u11ff"), ("\ud7cb", "\ud7fb"))
_SYLLABLES = (("\uac00", "\ud7a3"),)
_WITHOUT_TRAILING = 28  # every 28th syllable has no trailing consonant
_VIRAMA = 9  # combining class of signs that join two consonants


def joined(text: str, at: int) -> bool:
    """Return whether a cut before index `at` would break a grapheme cluster; `text` starts at a boundary."""
    if not 0 < at < len(text):
        return False
    before, after = text[at - 1], text[at]
    if before < "\u0300" and after < "\u0300":
        return before == "\r" and after == "\n"
    if before in "\r\n":
        return False
    return follows(after) or _pulls(before, after) or _one_flag(text, at) or _one_syllable(before, after)


def follows(character: str) -> bool:
    """Return whether a character extends any character before it."""
    return unicodedata.category(character) in _MARKS or _in(character, _FOLLOWING)


def _pulls(before: str, after: str) -> bool:
    if before == _JOINER:
        return True
    return unicodedata.combining(before) == _VIRAMA and unicodedata.category(after) == "Lo"


def _one_flag(text: str, at: int) -> bool:
    """Return whether a cut would break a flag: a pair of regional indicators, counted from the start of their run."""
    start = at
    while start and _REGIONAL[0] <= text[start - 1] <= _REGIONAL[1]:
        start -= 1
    return (at - start) % 2 == 1 and _REGIONAL[0] <= text[at] <= _REGIONAL[1]


def _one_syllable(before: str, after: str) -> bool:
    if _in(before, _LEADING):
        return _in(after, (*_LEADING, *_VOWELS, *_SYLLABLES))
    open_syllable = _in(before, _SYLLABLES) and (ord(before) - ord("\uac00")) % _WITHOUT_TRAILING == 0
    if _in(before, _VOWELS) or open_syllable:
        return _in(after, (*_VOWELS, *_TRAILING))
    return _in(before, (*_TRAILING, *_SYLLABLES)) and _in(after, _TRAILING)


def _in(character: str, ranges: tuple[tuple[str, str], ...]) -> bool:
    return any(first <= character <= last for first, last in ranges)
