"""When a worker publishes its status: every time if there is news, every second time otherwise."""

import orjson
import pytest

from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.status.reporter import Reporter
from discordproxy_ratelimit.errors import BrokerUnavailableError


class Broker:
    """A broker that keeps the states that a worker publishes, unless it is away."""

    worker, waiting, is_up = "w", 0, True

    def __init__(self) -> None:
        self.registry = self
        self.away = False
        self.states: list[str] = []

    async def circuit(self) -> None:
        """Be closed."""

    async def publish(self, _worker: str, document: bytes, _counted: object) -> None:
        if self.away:
            raise BrokerUnavailableError("away")
        self.states.append(orjson.loads(document)["state"])

    def lanes(self, _credential: str, *, limit: int) -> list[object]:
        return []


@pytest.fixture
def broker():
    return Broker()


@pytest.fixture
def state():
    return ["serving"]


@pytest.fixture
def reporter(broker, state):
    return Reporter({"bot": broker}, Metrics(), number=0, state=lambda: state[0])


async def test_an_idle_worker_publishes_every_second_time(reporter, broker):
    for _ in range(6):
        await reporter.report()
    assert broker.states == ["serving"] * 3


async def test_another_state_is_published_at_once(reporter, broker, state):
    await reporter.report()
    state[0] = "draining"
    await reporter.report()
    assert broker.states == ["serving", "draining"]


async def test_what_could_not_be_published_is_published_the_next_time(reporter, broker, state):
    await reporter.report()
    state[0], broker.away = "draining", True
    await reporter.report()
    broker.away = False
    await reporter.report()
    assert broker.states == ["serving", "draining"]
