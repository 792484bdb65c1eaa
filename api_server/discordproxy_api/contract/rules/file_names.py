"""The name under which Discord stores a file, and what refers to it. Pure.

Discord cleans the names of uploads (discord-api-docs#2102, #4847, #7754): blanks become underscores, accents go, and so
does whatever is not a letter, a digit, "_", "-" or "."; "_" and "." go at both ends. It cleans the name in
`attachment://` alike. For a name with nothing left it makes one by chance, which nothing could refer to.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

ATTACHMENT = "attachment://"
SPOILER = "SPOILER_"
_DROPPED = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True, slots=True)
class Named:
    """A file as it is sent.

    Attributes:
        given: the caller's name for it.
        sent: the name it is uploaded under: the same, or that of a spoiler.
        stored: what Discord makes of it; a name that is safe to upload where Discord would invent one.
        lost: Discord would invent one.
    """

    given: str
    sent: str
    stored: str
    lost: bool


def cleaned(filename: str) -> str:
    """Return what Discord makes of a file name; "" where it has to invent one."""
    plain = unicodedata.normalize("NFKD", filename).encode("ascii", "ignore").decode()
    joined = "_".join(plain.replace("/", " ").replace("\\", " ").split())
    name = _DROPPED.sub("", joined).strip("._")
    has_ending = "." in filename.strip("._")
    return "" if has_ending and "." not in name else name


def named(files: Iterable[Any]) -> list[Named]:
    """Return the names of the files of a request, in order."""
    return [_named(file, index) for index, file in enumerate(files)]


def _named(file: Any, index: int) -> Named:
    given: str = file.filename
    mark = SPOILER if file.spoiler and not given.startswith(SPOILER) else ""
    if cleaned(given):
        return Named(given, mark + given, cleaned(mark + given), lost=False)
    ending = cleaned(f"x.{given.rpartition('.')[2]}")[1:]
    return Named(given, mark + given, f"{mark}file{index}{ending}", lost=True)


def meant(name: str, files: Sequence[Named]) -> int | None:
    """Return the place of the file that `attachment://name` refers to, by its given name or one that is cleaned."""
    exact = (place for place, file in enumerate(files) if name in {file.given, file.sent})
    clean = cleaned(name)
    alike = (place for place, file in enumerate(files) if clean and clean in {cleaned(file.given), file.stored})
    return next(exact, next(alike, None))


def references(value: Any) -> Iterator[str]:
    """Yield the names that stand in `attachment://` addresses of embeds or components."""
    if isinstance(value, str) and value.startswith(ATTACHMENT):
        yield value.removeprefix(ATTACHMENT)
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from references(inner)


def with_stored_names(value: Any, files: Sequence[Named]) -> Any:
    """Return embeds or components in which each `attachment://` address names a file as Discord stores it."""
    if isinstance(value, str) and value.startswith(ATTACHMENT):
        place = meant(value.removeprefix(ATTACHMENT), files)
        return value if place is None else ATTACHMENT + files[place].stored
    if isinstance(value, dict):
        return {key: with_stored_names(inner, files) for key, inner in value.items()}
    return [with_stored_names(inner, files) for inner in value] if isinstance(value, list) else value
