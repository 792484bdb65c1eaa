"""A decorator that runs all cases of a table in one test: large tables of small cases cost a fraction that way."""

import functools
import inspect
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

Test = Callable[..., Any]

MAX_LENGTH = 80
"""Of the name of a case."""


def every_case(
    names: str | tuple[str, ...], cases: Iterable[Any], ids: Callable[[Any], object] = str
) -> Callable[[Test], Test]:
    """Like `pytest.mark.parametrize`, but as one test, whose cases share their fixtures.

    All cases run; if some fail, the test fails with one message that names each of them.

    Args:
        names: the argument of the test that a case is, or the arguments if each case is a tuple.
        cases: at least one.
        ids: returns the name of a case.
    """
    table = [(_identifier(names, case, ids), _arguments(names, case)) for case in cases]
    assert table, "the table has no cases"

    def decorate(test: Test) -> Test:
        def run(**fixtures: Any) -> None:
            with _failures() as failures:
                for identifier, arguments in table:
                    with failures(identifier):
                        test(**fixtures, **arguments)

        async def run_async(**fixtures: Any) -> None:
            with _failures() as failures:
                for identifier, arguments in table:
                    with failures(identifier):
                        await test(**fixtures, **arguments)

        made = functools.wraps(test)(run_async if inspect.iscoroutinefunction(test) else run)
        signature = inspect.signature(test)
        fixtures = [each for name, each in signature.parameters.items() if name not in table[0][1]]
        made.__signature__ = signature.replace(parameters=fixtures)
        return made

    return decorate


def _arguments(names: str | tuple[str, ...], case: Any) -> dict[str, Any]:
    return {names: case} if isinstance(names, str) else dict(zip(names, case, strict=True))


def _identifier(names: str | tuple[str, ...], case: Any, ids: Callable[[Any], object]) -> str:
    return "-".join(str(ids(value))[:MAX_LENGTH] for value in ([case] if isinstance(names, str) else case))


@contextmanager
def _failures() -> Iterator[Callable[[str], Any]]:
    """Yield a context for each case; at the end, fail if one of them has failed."""
    failed: list[str] = []
    count = 0

    @contextmanager
    def case(identifier: str) -> Iterator[None]:
        nonlocal count
        count += 1
        try:
            yield
        except (Exception, pytest.fail.Exception) as failure:
            if "pytest-timeout" in str(failure):  # it ends the whole test
                raise
            failed.append(f"[{identifier}] {traceback.format_exc()}")

    yield case
    if failed:
        pytest.fail("\n".join([f"{len(failed)} of {count} cases failed:", *failed]), pytrace=False)
