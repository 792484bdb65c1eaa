"""Discord's form validation: small checks that compose to the nested `errors` object of code 50035.

A check takes a value and returns its error tree, empty for a valid value. Discord ignores unknown keys; the sandbox
collects their paths, since they are always a mistake of the caller.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from discordproxy_sandbox.errors import Json

Check = Callable[[Any, str, list[str]], Json]
"""Takes a value, its path in the request, and the list that gets the paths of unknown keys; returns the error tree."""


def failure(code: str, message: str) -> Json:
    """Return the error tree of one field."""
    return {"_errors": [{"code": code, "message": message}]}


REQUIRED = failure("BASE_TYPE_REQUIRED", "This field is required")
MAX_SNOWFLAKE = 2**63 - 1


def text(max_length: int | None = None, min_length: int = 0, *, trimmed: bool = False) -> Check:
    """Check a string by its length in code points; `trimmed`: without whitespace at both ends."""

    def check(value: Any, _path: str, _unknown: list[str]) -> Json:
        if not isinstance(value, str):
            return failure("STRING_TYPE_CONVERT", "Could not interpret the value as string.")
        length = len(value.strip() if trimmed else value)
        if min_length and max_length is not None and not min_length <= length <= max_length:
            return failure("BASE_TYPE_BAD_LENGTH", f"Must be between {min_length} and {max_length} in length.")
        if max_length is not None and length > max_length:
            return failure("BASE_TYPE_MAX_LENGTH", f"Must be {max_length} or fewer in length.")
        return {}

    return check


def integer(minimum: int = -(2**53), maximum: int = 2**53) -> Check:
    """Check a whole number and its bounds, both inclusive."""

    def check(value: Any, _path: str, _unknown: list[str]) -> Json:
        if isinstance(value, bool) or not isinstance(value, int):
            return failure("NUMBER_TYPE_COERCE", "Value is not int.")
        if value < minimum:
            return failure("NUMBER_TYPE_MIN", f"int value should be greater than or equal to {minimum}.")
        if value > maximum:
            return failure("NUMBER_TYPE_MAX", f"int value should be less than or equal to {maximum}.")
        return {}

    return check


def one_of(choices: Collection[object]) -> Check:
    """Check that a value is one of a few."""

    def check(value: Any, _path: str, _unknown: list[str]) -> Json:
        if isinstance(value, bool) or not isinstance(value, (int, str)) or value not in choices:
            listed = ", ".join(str(choice) for choice in choices)
            return failure("BASE_TYPE_CHOICES", f"Value must be one of {{{listed}}}.")
        return {}

    return check


def boolean(value: Any, _path: str, _unknown: list[str]) -> Json:
    """Check true or false."""
    return {} if isinstance(value, bool) else failure("BOOLEAN_TYPE_CONVERT", "Must be either true or false.")


def snowflake(value: Any, _path: str, _unknown: list[str]) -> Json:
    """Check an id: a decimal string, or a number as Discord also accepts."""
    number = value if isinstance(value, int) and not isinstance(value, bool) else None
    if isinstance(value, str) and value.isascii() and value.isdigit():
        number = int(value)
    if number is None or not 0 <= number <= MAX_SNOWFLAKE:
        return failure("NUMBER_TYPE_COERCE", "Value is not snowflake.")
    return {}


def permissions(value: Any, path: str, unknown: list[str]) -> Json:
    """Check a permission set: a decimal string or a number."""
    return {} if not snowflake(value, path, unknown) else failure("NUMBER_TYPE_COERCE", "Value is not int.")


def timestamp(value: Any, _path: str, _unknown: list[str]) -> Json:
    """Check an ISO 8601 time."""
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return failure("DATE_TIME_TYPE_PARSE", "Could not parse the value. Should be ISO8601.")
    return {}


def url(value: Any, path: str, unknown: list[str]) -> Json:
    """Check an http(s) URL, or a reference to a file of the same request."""
    wrong = text(2048)(value, path, unknown)
    if wrong or value.startswith(("http://", "https://", "attachment://", "discord://")):
        return wrong
    return failure("URL_TYPE_INVALID_URL", "Not a well formed URL.")


def anything(_value: Any, _path: str, _unknown: list[str]) -> Json:
    """Accept every JSON value."""
    return {}


def items(check_item: Check, maximum: int | None = None, minimum: int = 0) -> Check:
    """Check a list and each of its items."""

    def check(value: Any, path: str, unknown: list[str]) -> Json:
        if not isinstance(value, list):
            return failure("LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
        if maximum is not None and not minimum <= len(value) <= maximum:
            bounds = f"between {minimum} and {maximum}" if minimum else f"{maximum} or fewer"
            return failure(
                "BASE_TYPE_BAD_LENGTH" if minimum else "BASE_TYPE_MAX_LENGTH", f"Must be {bounds} in length."
            )
        checked = ((str(n), check_item(item, f"{path}[{n}]", unknown)) for n, item in enumerate(value))
        return {key: errors for key, errors in checked if errors}

    return check


def form(fields: Mapping[str, Check], required: Collection[str] = ()) -> Check:
    """Check an object: its known keys, and that the required ones are present; null is accepted for the others."""

    def check(value: Any, path: str, unknown: list[str]) -> Json:
        if not isinstance(value, dict):
            return failure("DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
        errors: Json = {key: REQUIRED for key in required if value.get(key) is None}
        for key, item in value.items():
            inner = f"{path}.{key}" if path else key
            if key not in fields:
                unknown.append(inner)
            elif item is not None and (wrong := fields[key](item, inner, unknown)):
                errors[key] = wrong
        return errors

    return check


def every(*checks: Check) -> Check:
    """Apply checks in order; return the errors of the first one that fails."""

    def check(value: Any, path: str, unknown: list[str]) -> Json:
        for one in checks:
            if wrong := one(value, path, unknown):
                return wrong
        return {}

    return check
