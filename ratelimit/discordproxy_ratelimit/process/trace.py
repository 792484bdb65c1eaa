"""Interfaces of traces, independent of a tracing library; without one, spans are not recorded."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Fact = str | int | float


class Span(Protocol):
    """A timed operation."""

    def record(self, **facts: Fact) -> None:
        """Add attributes: no secrets and no content of messages."""


class Trace(Protocol):
    """Starts spans within the current one."""

    def __call__(self, name: str, /, **facts: Fact) -> AbstractContextManager[Span]:
        """Return the context manager of a span, which ends with the block."""


class _Silent:
    """A span that is not recorded."""

    def record(self, **facts: Fact) -> None:
        """Ignore the attributes."""


_NOTHING: AbstractContextManager[Span] = nullcontext(_Silent())


def no_trace(_name: str, /, **_facts: Fact) -> AbstractContextManager[Span]:
    """Return a span that is not recorded."""
    return _NOTHING
