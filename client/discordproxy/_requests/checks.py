"""Checks of what a program gives: each error names the argument and says what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

WRONG = (TypeError, ValueError, ArithmeticError, AttributeError, LookupError, RecursionError)
"""What Python and protobuf raise for values that do not fit."""

Parameters = ParamSpec("Parameters")
Made = TypeVar("Made")

_ENDLESS_S = 365 * 86400.0  # gRPC takes times beyond some years for times in the past
_MARKS = "\ufeff\u200b"  # editors put them into files, and nobody sees them


def make(kind: Callable[Parameters, Made], *args: Parameters.args, **fields: Parameters.kwargs) -> Made:
    """Return a message of protobuf with these fields.

    Raises:
        ValueError: a value does not fit into its field; names the field.
    """
    values: dict[str, Any] = {
        name: list(value) if isinstance(value, Iterator) else value for name, value in fields.items()
    }
    maker: Callable[..., Made] = kind
    try:
        _check_texts(values)
        return maker(*args, **values)
    except WRONG as error:
        raise ValueError(f"{_culprit(maker, values)}: {cause_of(error)}") from error


def _check_texts(values: dict[str, Any]) -> None:
    """Raise UnicodeEncodeError; protobuf 5 crashes instead where the field is an enum."""
    for value in values.values():
        if isinstance(value, str) and not value.isascii():
            value.encode()


def _culprit(maker: Callable[..., object], values: dict[str, Any]) -> str:
    """Return the name of the value that does not fit."""
    return next((name for name, value in values.items() if not _fits(maker, name, value)), ", ".join(values))


def _fits(maker: Callable[..., object], name: str, value: object) -> bool:
    try:
        _check_texts({name: value})
        maker(**{name: value})
    except WRONG:
        return False
    return True


def cause_of(error: Exception) -> str:
    """Return what is wrong, in words about the value."""
    if isinstance(error, UnicodeEncodeError):
        found = f"U+{ord(error.object[error.start]):04X}"
        return f"half of a surrogate pair ({found}) at position {error.start}: not valid Unicode, cannot be sent"
    return str(error)


def convert(name: str, conversion: Callable[[Any], Made], value: object) -> Made:
    """Return a converted argument.

    Raises:
        ValueError: it cannot be converted; names the argument.
    """
    try:
        return conversion(value)
    except WRONG as error:
        raise ValueError(f"{name}: {cause_of(error)}") from error


def items(name: str, values: Any) -> list[Any]:
    """Return a list of what an argument holds.

    Raises:
        ValueError: it is no collection; a text or bytes are none, although Python can iterate over them.
    """
    if isinstance(values, (str, bytes)):
        raise ValueError(f"{name}: a list is needed, not a single {type(values).__name__}")  # noqa: TRY004 -- one kind of error for all wrong arguments
    return convert(name, list, values)


def seconds(name: str, value: Any) -> float | None:
    """Return a time span in seconds, None for one without end.

    Raises:
        ValueError: it is no number.
    """
    if value is None:
        return None
    found = value.total_seconds() if isinstance(value, timedelta) else convert(name, _number, value)
    if found != found:  # noqa: PLR0124 -- that is how NaN is recognised
        raise ValueError(f"{name}: a number of seconds is needed, not NaN")
    return None if found > _ENDLESS_S else found


def _number(value: Any) -> float:
    if isinstance(value, (str, bytes)):
        raise ValueError(f"a number of seconds is needed, not the text {value!r}")  # noqa: TRY004 -- as above
    try:
        return float(value)
    except OverflowError:  # an integer beyond all floats
        return float("inf") if value > 0 else float("-inf")


def whole_number(name: str, value: Any) -> int | None:
    """Return a number, or None.

    Raises:
        ValueError: it is no whole number.
    """
    if value is not None and not isinstance(value, int):
        raise ValueError(f"{name}: a whole number is needed, not {type(value).__name__}")
    return value


def choice(name: str, enum: Any, value: Any, prefix: str = "") -> Any:
    """Return the number of an enum's value that is given by its name, in any case.

    Raises:
        ValueError: there is no such value; names those there are.
    """
    names = [known.removeprefix(prefix).lower() for known in list(enum.keys())]
    if not isinstance(value, str) or value.lower() not in names:
        given = repr(value) if isinstance(value, str) else type(value).__name__
        raise ValueError(f"{name}: must be one of {', '.join(names)}; not {given}")
    return enum.Value(f"{prefix}{value.upper()}")


def to_json(name: str, value: Any) -> str:
    """Return a value as JSON.

    Raises:
        ValueError: JSON or UTF-8 cannot carry it.
    """
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name}: in its JSON, {cause_of(error)}") from error
    except WRONG as error:
        raise ValueError(f"{name}: {error}") from error
    return text


def header_text(name: str, value: Any) -> str:
    """Return a text that travels in a header, without the blanks, line breaks and marks around it.

    Raises:
        ValueError: it is no text, or no header can carry it. The text itself, a key maybe, is not shown.
    """
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text, not {type(value).__name__}")  # noqa: TRY004 -- as above
    text = trimmed(value)
    if not (text.isascii() and text.isprintable()):
        raise ValueError(f"{name} must consist of printable ASCII characters")
    return text


def trimmed(text: str) -> str:
    """Return a text without what editors, shells and secret stores leave around it: blanks, line breaks, marks."""
    return text.strip().strip(_MARKS).strip()
