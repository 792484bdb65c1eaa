"""Parses ids and numbers of events and records. Pure."""

from typing import Any

MAX_ID = 2**64 - 1
MAX_DIGITS = 20
"""Digits of 64 bits."""

MAX_SHARDS = 16_000
"""Upper bound of the setting; larger numbers in records and answers are ignored."""


def number_of(value: Any, *, maximum: int = MAX_ID) -> int | None:
    """Return a whole number from 0 to `maximum`, given as a number or in ASCII digits; None for anything else."""
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdecimal() and len(value) <= MAX_DIGITS else None
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= maximum else None


def text_of(value: bytes | None) -> str:
    """Return the text of a record's field, "" for none; invalid UTF-8 is replaced."""
    return value.decode("utf-8", "replace") if value else ""


def id_of(value: Any) -> str:
    """Return an id as Discord writes it, "" if it is none. Keys and fields are built of nothing else."""
    # An id as Discord writes it; numbers of fewer digits than the largest id are below it.
    if type(value) is str and value.isdecimal() and value.isascii() and len(value) < MAX_DIGITS and value[0] != "0":
        return value
    number = number_of(value)
    return str(number) if number else ""


def require_id(value: Any) -> str:
    """Return an id as `id_of`.

    Raises:
        ValueError: it is none.
    """
    found = id_of(value)
    if not found:
        raise ValueError("not an id of Discord")
    return found
