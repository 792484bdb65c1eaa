"""The names under which Discord stores files, and the references to them. Pure.

Discord cleans the names of uploads and in `attachment://` (discord-api-docs#2102, #4847, #7754): spaces become
underscores; accents, other characters than letters, digits, "_", "-" and ".", and "_" and "." at both ends are removed.
A name with nothing left is replaced by a random one, which cannot be referenced.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

ATTACHMENT = "attachment://"
_DROPPED = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True, slots=True)
class UploadName:
    """The names of an uploaded file.

    Attributes:
        given: name in the request.
        stored: name at Discord; a replacement if Discord would use a random one.
        lost: whether Discord would use a random name.
    """

    given: str
    stored: str
    lost: bool


def cleaned(filename: str) -> str:
    """Return the name that Discord stores; "" if it would use a random one."""
    plain = unicodedata.normalize("NFKD", filename).encode("ascii", "ignore").decode()
    joined = "_".join(plain.replace("/", " ").replace("\\", " ").split())
    name = _DROPPED.sub("", joined).strip("._")
    has_ending = "." in filename.strip("._")
    return "" if has_ending and "." not in name else name


def upload_names(files: Iterable[Any]) -> list[UploadName]:
    """Return the names of the files of a request, in order."""
    return [_upload_name(file, index) for index, file in enumerate(files)]


def _upload_name(file: Any, index: int) -> UploadName:
    given: str = file.filename
    if stored := cleaned(given):
        return UploadName(given, stored, lost=False)
    ending = cleaned(f"x.{given.rpartition('.')[2]}")[1:]
    return UploadName(given, f"file{index}{ending}", lost=True)


def referenced_index(name: str, files: Sequence[UploadName]) -> int | None:
    """Return the index of the file for `attachment://name`, by its given or its cleaned name; None if there is none."""
    exact = (place for place, file in enumerate(files) if name == file.given)
    clean = cleaned(name)
    alike = (place for place, file in enumerate(files) if clean and clean in {cleaned(file.given), file.stored})
    return next(exact, next(alike, None))


def references(value: Any) -> Iterator[str]:
    """Yield the names in `attachment://` URLs of embeds or components."""
    if isinstance(value, str) and value.startswith(ATTACHMENT):
        yield value.removeprefix(ATTACHMENT)
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from references(inner)


def with_stored_names(value: Any, files: Sequence[UploadName]) -> Any:
    """Return embeds or components with the stored names in their `attachment://` URLs."""
    if isinstance(value, str) and value.startswith(ATTACHMENT):
        place = referenced_index(value.removeprefix(ATTACHMENT), files)
        return value if place is None else ATTACHMENT + files[place].stored
    if isinstance(value, dict):
        return {key: with_stored_names(inner, files) for key, inner in value.items()}
    return [with_stored_names(inner, files) for inner in value] if isinstance(value, list) else value
