"""Each decision changes exactly its own metric."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from discordproxy_ratelimit.headers import Answer
from discordproxy_ratelimit.metrics import Decisions


class Numbers:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.decisions = Decisions(self.registry)
        self.before = self._all()

    def _all(self) -> dict[tuple[str, str], float]:
        return {
            (sample.name, ",".join(sample.labels.values())): sample.value
            for metric in self.registry.collect()
            for sample in metric.samples
            if not sample.name.endswith(("_created", "_bucket"))
        }

    def moved(self) -> dict[tuple[str, str], float]:
        after = self._all()
        return {name: value for name, value in after.items() if value != self.before.get(name, 0)}


@pytest.fixture
def numbers() -> Numbers:
    return Numbers()


def test_granted(numbers: Numbers) -> None:
    numbers.decisions.granted(0.25)
    assert numbers.moved() == {
        ("discordproxy_permit_granted_total", ""): 1,
        ("discordproxy_permit_wait_seconds_count", ""): 1,
        ("discordproxy_permit_wait_seconds_sum", ""): 0.25,
    }


def test_waited_and_refused(numbers: Numbers) -> None:
    numbers.decisions.waited()
    numbers.decisions.refused("deadline")
    assert numbers.moved() == {
        ("discordproxy_permit_waited_total", ""): 1,
        ("discordproxy_permit_refused_total", "deadline"): 1,
    }


@pytest.mark.parametrize(
    ("outcome", "answer", "moved"),
    [
        ("answered", Answer(200), {}),
        ("answered", Answer(200, "h"), {("discordproxy_bucket_learned_total", ""): 1}),
        (
            "exhausted",
            Answer(429, scope="user"),
            {("discordproxy_rate_limited_total", "user"): 1, ("discordproxy_rate_limited_avoidable_total", ""): 1},
        ),
        ("paused", Answer(429, scope="shared"), {("discordproxy_rate_limited_total", "shared"): 1}),
        ("global", Answer(429, scope="global"), {("discordproxy_rate_limited_total", "global"): 1}),
        (
            "unknown",
            Answer(429, scope="user", from_discord=False),
            {("discordproxy_rate_limited_total", "cloudflare"): 1},
        ),
    ],
)
def test_answers(numbers: Numbers, outcome: str, answer: Answer, moved: dict[Any, float]) -> None:
    numbers.decisions.answered(outcome, answer)
    assert numbers.moved() == moved


def test_only_one_state_is_reported_at_a_time(numbers: Numbers) -> None:
    numbers.decisions.circuit("open")
    numbers.decisions.circuit("half_open")
    numbers.decisions.degraded(on=True)
    numbers.decisions.invalid_left(9_999)
    assert numbers.moved() == {
        ("discordproxy_circuit", "half_open"): 1,
        ("discordproxy_degraded", ""): 1,
        ("discordproxy_invalid_requests_left", ""): 9_999,
    }
    numbers.decisions.degraded(on=False)
    assert ("discordproxy_degraded", "") not in numbers.moved()


def test_no_label_holds_what_grows_without_bound(numbers: Numbers) -> None:
    for i in range(100):
        numbers.decisions.answered("exhausted", Answer(429, f"hash{i}", scope="user"))
    assert b"hash" not in generate_latest(numbers.registry)
