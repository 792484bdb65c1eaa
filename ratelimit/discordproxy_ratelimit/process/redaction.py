"""Removes secrets from text that leaves the process, in addition to code that never writes them. Pure."""

import re
from collections.abc import Iterable

HIDDEN = "***"

MIN_SECRET = 6
"""A shorter secret would remove ordinary words from every line."""

# A pattern is only tried on lines that contain one of its words in lower case, because every line is searched.
_BY_WORD = (
    (("://",), re.compile(r"(?<=://)[^\s/@]*:[^\s/@]+(?=@)"), HIDDEN),  # user and password in a URL
    (("/webhooks/", "/interactions/"), re.compile(r"(/(?:webhooks|interactions)/\d+/)[\w.~=%-]{16,}"), rf"\1{HIDDEN}"),
    (("dpk_",), re.compile(r"dpk_[\w-]{16,}"), HIDDEN),  # a key of an application
    (("bot ", "bearer ", "basic "), re.compile(r"\b(Bot|Bearer|Basic) (?=\S*[A-Za-z])[\w.~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    (
        ("token", "passw", "secret", "api_key", "api-key", "apikey", "authorization"),
        re.compile(
            r"""((?:token|password|passwd|secret|api[_-]?key|authorization)["']?(?:=|["']?: ?["']))[^\s"',;&]{6,}""",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
)
_SIGNED = r"[MNO][\w-]{22,31}\.[\w-]{5,8}\.[\w-]{20,}"  # a bot token: an id in base64, a time, a signature
_INTERACTION = r"aW50ZXJhY3Rpb246[\w+/=-]+"  # its token: base64 of "interaction:..."
_WEBHOOK_LENGTH = 60
_MIN_TOKEN = 40
_LONG = re.compile(rf"[\w+/=.-]{{{_MIN_TOKEN},}}")
_TOKENS = re.compile(rf"{_SIGNED}|{_INTERACTION}|[\w-]{{{_WEBHOOK_LENGTH},}}")


class Redaction:
    """Replaces secrets by `***`: known ones everywhere, unknown ones by their shape or the word before them.

    Args:
        known: secrets of this process; empty and very short ones are ignored.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        longest_first = sorted({secret for secret in known if len(secret) >= MIN_SECRET}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __repr__(self) -> str:
        return "<Redaction>"

    def __call__(self, text: str) -> str:
        """Return `text` without secrets."""
        if self._known:
            text = self._known.sub(HIDDEN, text)
        holds = text.lower().__contains__
        for words, pattern, instead in _BY_WORD:
            if any(map(holds, words)):
                text = pattern.sub(instead, text)
        if max(map(len, text.split()), default=0) < _MIN_TOKEN:  # as in most lines
            return text
        return _LONG.sub(lambda found: _TOKENS.sub(_unless_ordinary, found[0]), text)


def _unless_ordinary(found: re.Match[str]) -> str:
    """Keep digests and long names: a token mixes cases and digits."""
    text = found[0]
    return text if text.islower() or text.isupper() or not any(map(str.isdigit, text)) else HIDDEN
