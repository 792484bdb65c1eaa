"""What is wrong with a request, in Discord's own codes and words, field by field. No value is ever repeated here."""

from collections.abc import Iterable
from dataclasses import dataclass

MOST_PROBLEMS = 25
"""More are not reported: the details of an error travel in a header of limited size."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: `path` like "embeds[0].fields[3].name", `code` as Discord names it."""

    path: str
    code: str
    message: str


class InvalidRequestError(Exception):
    """The request would be refused by Discord, or by us; it becomes Discord's error 50035. Nothing was sent."""

    def __init__(self, fields: Iterable[FieldError]) -> None:
        self.fields = tuple(fields)
        super().__init__(", ".join(problem.path for problem in self.fields))


class FieldErrors:
    """Collects what a validation finds."""

    def __init__(self) -> None:
        self.found: list[FieldError] = []

    def add(self, path: str, code: str, message: str) -> None:
        """Record a problem, as long as there is room."""
        if len(self.found) < MOST_PROBLEMS:
            self.found.append(FieldError(path, code, message))

    def required(self, path: str) -> None:
        """Record a missing field."""
        self.add(path, "BASE_TYPE_REQUIRED", "This field is required")

    def conflict(self, path: str, message: str) -> None:
        """Record a field that another one excludes."""
        self.add(path, "FIELD_CONFLICT", message)

    def length(self, path: str, length: int, least: int, most: int) -> None:
        """Record a text or list whose length lies outside the bounds; characters are code points."""
        if least <= length <= most:
            return
        if least:
            self.add(path, "BASE_TYPE_BAD_LENGTH", f"Must be between {least} and {most} in length.")
        else:
            self.add(path, "BASE_TYPE_MAX_LENGTH", f"Must be {most} or fewer in length.")

    def snowflake(self, path: str) -> None:
        """Record an id that is none."""
        self.add(path, "NUMBER_TYPE_COERCE", "Value is not snowflake.")

    def raise_if_any(self) -> None:
        """End the validation.

        Raises:
            InvalidRequest: something was recorded.
        """
        if self.found:
            raise InvalidRequestError(self.found)
