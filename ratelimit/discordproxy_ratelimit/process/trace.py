"""How code says what takes its time, without knowing who listens; by default nobody does, which costs nothing."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Fact = str | int | float


class Span(Protocol):
    """A piece of work that is being timed."""

    def tell(self, **facts: Fact) -> None:
        """Note facts about it. Never secrets, never what a message says."""


class Trace(Protocol):
    """Starts spans inside of the one that is running."""

    def __call__(self, name: str, /, **facts: Fact) -> AbstractContextManager[Span]:
        """Return the context of a span; it ends with the block."""


class _Silent:
    """A span nobody listens to."""

    def tell(self, **facts: Fact) -> None:
        """Forget them."""


_NOTHING: AbstractContextManager[Span] = nullcontext(_Silent())


def no_trace(_name: str, /, **_facts: Fact) -> AbstractContextManager[Span]:
    """Time nothing."""
    return _NOTHING
