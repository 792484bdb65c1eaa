"""Checks and conversions of arguments. Each error names the argument and the problem."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable

_CONVERSION_ERRORS = (TypeError, ValueError, ArithmeticError, AttributeError, LookupError, RecursionError)
"""The exceptions that Python and protobuf raise for invalid values."""

Parameters = ParamSpec("Parameters")
Made = TypeVar("Made")

_ENDLESS_S = 365 * 86400.0  # gRPC misreads deadlines of many years as times in the past
_MARKS = "\ufeff\u200b"  # invisible characters that editors write into files


def make(kind: Callable[Parameters, Made], *args: Parameters.args, **fields: Parameters.kwargs) -> Made:
    """Return a protobuf message with these fields.

    Raises:
        ValueError: a value does not fit its field; the error names the field.
    """
    values: dict[str, Any] = {
        name: list(value) if isinstance(value, Iterator) and name in _lists_of(kind) else value
        for name, value in fields.items()
    }
    maker: Callable[..., Made] = kind
    try:
        _check_texts(values)
        _check_lists(maker, values)
        return maker(*args, **values)
    except _CONVERSION_ERRORS as error:
        name = _invalid_field(maker, values)
        raise ValueError(f"{name}: {_wrong_type(maker, name, values.get(name)) or cause_of(error)}") from error


def _check_texts(values: dict[str, Any]) -> None:
    """Raise UnicodeEncodeError for invalid Unicode; protobuf 5 crashes on it in an enum field."""
    for value in values.values():
        if isinstance(value, str) and not value.isascii():
            value.encode()


def _check_lists(maker: Any, values: dict[str, Any]) -> None:
    """Raise ValueError for a single text in place of a list: protobuf would take each character as an element."""
    for name, value in values.items():
        if isinstance(value, (str, bytes)) and name in _lists_of(maker):
            raise ValueError(f"must be a list, not a single {type(value).__name__}")


@cache
def _lists_of(maker: Any) -> frozenset[str]:
    """Return the names of the repeated fields of a message class."""
    return frozenset(field.name for field in maker.DESCRIPTOR.fields if field.default_value == [])


def _wrong_type(maker: Any, name: str, value: Any) -> str:
    """Return the problem of a value of a wrong type, where protobuf's own words are about its internals."""
    field = maker.DESCRIPTOR.fields_by_name.get(name)
    elements = value if name in _lists_of(maker) and isinstance(value, Iterable) else [value]
    for each in elements if field is not None else ():
        if field.type == FieldDescriptor.TYPE_STRING and not isinstance(each, (str, bytes)):
            return f"must be a text, not {type(each).__name__}"
        if field.type == FieldDescriptor.TYPE_BYTES and not isinstance(each, bytes):
            return f"must be bytes, not {type(each).__name__}"
        if field.type == FieldDescriptor.TYPE_MESSAGE and not isinstance(each, (Message, Mapping)):
            return f"must be a message {field.message_type.name} or a dictionary, not {type(each).__name__}"
    return ""


def _invalid_field(maker: Callable[..., object], values: dict[str, Any]) -> str:
    """Return the name of the field whose value does not fit."""
    return next((name for name, value in values.items() if not _fits(maker, name, value)), ", ".join(values))


def _fits(maker: Callable[..., object], name: str, value: object) -> bool:
    try:
        _check_texts({name: value})
        _check_lists(maker, {name: value})
        maker(**{name: value})
    except _CONVERSION_ERRORS:
        return False
    return True


def cause_of(error: Exception) -> str:
    """Return the problem as text about the value."""
    if isinstance(error, UnicodeEncodeError):
        found = f"U+{ord(error.object[error.start]):04X}"
        return f"the unpaired surrogate {found} at position {error.start} is not valid Unicode"
    return str(error)


def convert(name: str, conversion: Callable[[Any], Made], value: object) -> Made:
    """Return the converted argument.

    Raises:
        ValueError: the conversion fails; the error names the argument.
    """
    try:
        return conversion(value)
    except _CONVERSION_ERRORS as error:
        raise ValueError(f"{name}: {cause_of(error)}") from error


def items(name: str, values: Any) -> list[Any]:
    """Return the elements of an argument as a list.

    Raises:
        ValueError: the argument is not iterable, or is a single str or bytes.
    """
    if isinstance(values, (str, bytes)):
        raise ValueError(f"{name}: must be a list, not a single {type(values).__name__}")  # noqa: TRY004 -- ValueError for every invalid argument
    return convert(name, list, values)


def seconds(name: str, value: Any) -> float | None:
    """Return a duration in seconds; None for None and for durations of more than a year.

    Raises:
        ValueError: the value is not a number.
    """
    if value is None:
        return None
    found = value.total_seconds() if isinstance(value, timedelta) else convert(name, _number, value)
    if found != found:  # noqa: PLR0124 -- only NaN differs from itself
        raise ValueError(f"{name}: must be a number of seconds, not NaN")
    return None if found > _ENDLESS_S else found


def _number(value: Any) -> float:
    if isinstance(value, (str, bytes)):
        raise ValueError(f"must be a number of seconds, not the text {value!r}")  # noqa: TRY004 -- as above
    try:
        return float(value)
    except OverflowError:  # an integer above the range of float
        return float("inf") if value > 0 else float("-inf")


def whole_number(name: str, value: Any) -> int | None:
    """Return the value, an int or None.

    Raises:
        ValueError: the value is neither.
    """
    if value is not None and not isinstance(value, int):
        raise ValueError(f"{name}: must be an integer, not {type(value).__name__}")
    return value


def choice(name: str, enum: Any, value: Any, prefix: str = "") -> Any:
    """Return the number of the enum value with this name, case-insensitive and without `prefix`.

    Raises:
        ValueError: there is no such value; the error lists the valid names.
    """
    names = [known.removeprefix(prefix).lower() for known in list(enum.keys())]
    if not isinstance(value, str) or value.lower() not in names:
        given = repr(value) if isinstance(value, str) else type(value).__name__
        raise ValueError(f"{name}: must be one of {', '.join(names)}; not {given}")
    return enum.Value(f"{prefix}{value.upper()}")


def to_json(name: str, value: Any) -> str:
    """Return a value as JSON.

    Raises:
        ValueError: the value cannot be represented in JSON or UTF-8.
    """
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name}: in its JSON, {cause_of(error)}") from error
    except _CONVERSION_ERRORS as error:
        raise ValueError(f"{name}: {error}") from error
    return text


def header_text(name: str, value: Any) -> str:
    """Return a header value without surrounding whitespace and invisible marks.

    Raises:
        ValueError: it is not a str, or not printable ASCII. The error does not contain the value, which may be a key.
    """
    if not isinstance(value, str):
        raise ValueError(f"{name}: must be a text, not {type(value).__name__}")  # noqa: TRY004 -- as above
    text = trimmed(value)
    if not (text.isascii() and text.isprintable()):
        raise ValueError(f"{name}: must consist of printable ASCII characters")
    return text


def trimmed(text: str) -> str:
    """Return a text without surrounding whitespace and invisible marks, which editors and secret stores add."""
    return text.strip().strip(_MARKS).strip()
