"""File names as Discord stores them, and references to them (discord-api-docs#2102, #7754)."""

import re
import secrets
import unicodedata

from discordproxy_sandbox.errors import Json

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_.-]")
_SPOILER = "SPOILER_"


def clean(filename: str) -> str:
    """Return a file name with "_" for blanks that holds only ASCII letters, digits, "_", "-" and "."."""
    text = unicodedata.normalize("NFKD", filename).encode("ascii", "ignore").decode()
    return _FORBIDDEN.sub("", "_".join(re.split(r"[\s/\\\\]+", text.strip()))).strip("._")


def stored(filename: str) -> Json:
    """Return the stored `filename`, and the original as `title` if it differs; an empty name becomes a random one."""
    stem, dot, ending = filename.rpartition(".")
    name = clean(filename)
    if dot and not clean(stem.removeprefix(_SPOILER)) and stem.strip("._"):
        name = f"{secrets.token_hex(4)}.{clean(ending)}".rstrip(".")
    name = name or secrets.token_hex(4)
    return {"filename": name} | ({"title": stem if dot else filename} if name != filename else {})
