"""A file of a multipart request."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Upload:
    """A file's name, type, size in bytes and digest; its bytes are not kept."""

    field: str  # files[0], file ...
    filename: str
    content_type: str
    size: int
    digest: str
