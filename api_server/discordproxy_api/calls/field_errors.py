"""Errors of a request's fields, with Discord's codes and texts. They never contain the fields' values."""

from collections.abc import Iterable
from dataclasses import dataclass

MOST_PROBLEMS = 25
"""Further ones are not reported: the details of an error are a header of limited size."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """The error of one field: `path` like "embeds[0].fields[3].name", `code` one of Discord's codes."""

    path: str
    code: str
    message: str


class InvalidRequestError(Exception):
    """The request is invalid and was not sent. It becomes Discord's error 50035."""

    def __init__(self, fields: Iterable[FieldError]) -> None:
        self.fields = tuple(fields)
        super().__init__(", ".join(field.path for field in self.fields))


class FieldErrors:
    """Collects the errors that a validation finds."""

    def __init__(self) -> None:
        self.found: list[FieldError] = []

    def add(self, path: str, code: str, message: str) -> None:
        """Record an error, up to the maximum number."""
        if len(self.found) < MOST_PROBLEMS:
            self.found.append(FieldError(path, code, message))

    def required(self, path: str) -> None:
        """Record a missing field."""
        self.add(path, "BASE_TYPE_REQUIRED", "This field is required")

    def conflict(self, path: str, message: str) -> None:
        """Record a field that must not be used together with another one."""
        self.add(path, "FIELD_CONFLICT", message)

    def length(self, path: str, length: int, minimum: int, maximum: int) -> None:
        """Record a text or list whose length is out of bounds; the length of a text is in code points."""
        if minimum <= length <= maximum:
            return
        if minimum:
            self.add(path, "BASE_TYPE_BAD_LENGTH", f"Must be between {minimum} and {maximum} in length.")
        else:
            self.add(path, "BASE_TYPE_MAX_LENGTH", f"Must be {maximum} or fewer in length.")

    def snowflake(self, path: str) -> None:
        """Record an invalid id."""
        self.add(path, "NUMBER_TYPE_COERCE", "Value is not snowflake.")

    def raise_if_any(self) -> None:
        """Raise the recorded errors as one exception.

        Raises:
            InvalidRequestError: at least one error was recorded.
        """
        if self.found:
            raise InvalidRequestError(self.found)
