"""The Lua code behaves like the model of `tests/model`, step by step: replies, permits, hints and counters."""

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from model.ratelimit_bucket import MINUTE, SECOND
from model.ratelimit_steps import (
    Acquire,
    Adopt,
    Again,
    Bury,
    Call,
    Cancel,
    Complete,
    Moves,
    Pass,
    Repeat,
    Restart,
    Restore,
    Returned,
    Says,
    Send,
    Serve,
    Sign,
)
from model.ratelimit_stories import STORIES
from model.ratelimit_story import HASHES, ROUTES, WORKERS, Story
from processes.redis_servers import blocking
from strategies.examples import examples


def often(times: int, strategy: st.SearchStrategy[Any]) -> list[st.SearchStrategy[Any]]:
    """The same strategy several times: `one_of` drops repetitions of one object."""
    return [strategy.map(lambda value: value) for _ in range(times)]


picks = st.integers(0, 7)
routes = st.integers(0, len(ROUTES) - 1)
durations = st.sampled_from([0, 1, 1000, 30_000, 250_000, SECOND, 3 * SECOND, 4 * SECOND, 31 * SECOND])
short = st.sampled_from([0, 1000, 20_000, 50_000])
odd = st.builds(
    Says,
    st.sampled_from(["answered", "unknown", "exhausted", "paused", "global"]),
    st.sampled_from([200, 401, 403, 404, 429]),
    st.none() | st.integers(0, len(HASHES) - 1),
    st.sampled_from([1, 2, 3, 4, 5, 6, 12]),
    st.integers(0, 12),
    st.integers(-4000, 9000),
    durations,
    durations,
    st.sampled_from(["", "", "yes"]),
)
another_limiter = st.builds(
    Says,
    st.just("paused"),
    st.just(429),
    st.sampled_from([None, None, 0, 1]),
    st.integers(1, 4),
    after_us=durations,
    retry_us=durations,
)
acquires = st.builds(
    Acquire,
    routes,
    st.integers(0, 1),
    st.sampled_from("ab"),
    st.sampled_from([1.0, 0.5, 4.0]),
    st.sampled_from(["normal", "high", "low"]),
    st.sampled_from([30 * SECOND, 0, 50_000, SECOND]),
    st.sets(st.sampled_from(["ordered", "exempt", "token", "refusal"])).map(lambda flags: tuple(sorted(flags))),
    st.sampled_from([True] * 7 + [False]),
)
items = st.one_of(
    *often(4, st.builds(Acquire, routes)),
    *often(5, st.builds(Complete, picks, st.none(), short, short)),
    *often(3, acquires),
    st.builds(Complete, picks, odd, durations, durations),
    *often(2, st.builds(Complete, picks, another_limiter, short, short)),
    *often(2, st.builds(Serve, picks, st.sampled_from([True] * 7 + [False]))),
    st.builds(Cancel, picks),
    st.builds(Returned, picks, st.sampled_from(["returned", "restored"])),
    st.builds(Repeat, picks),
    st.builds(Again, picks),
    st.builds(Restore, picks, durations),
    st.builds(Adopt, routes, st.integers(0, 1), st.booleans()),
    st.builds(Sign, st.sampled_from("nnnng")),
)
calls = st.builds(Call, st.integers(0, len(WORKERS) - 1), st.lists(items, min_size=1, max_size=5).map(tuple))
steps = st.one_of(
    *often(14, calls),
    *often(5, st.builds(Pass, durations)),
    *often(3, st.builds(Send, picks)),
    st.builds(Moves, routes, st.integers(0, len(HASHES) - 1), st.none() | st.integers(0, 1)),
    st.builds(Bury, st.integers(0, len(WORKERS) - 1)),
    st.one_of(
        st.builds(Pass, st.sampled_from([-SECOND, -20 * SECOND, MINUTE, 11 * MINUTE])),
        st.builds(Restart, st.booleans(), st.booleans()),
    ),
)

numbers = itertools.count(1)


class Server(NamedTuple):
    """A connection, and a subscription that hears every hint of a story with one of the names."""

    client: Any
    inbox: Any
    names: Iterator[str]

    def story(self, limit: int, *, leaky: bool, functions: bool) -> Story:
        """Return a new story; in a Cluster no script is a function."""
        functions = functions and not hasattr(self.client, "get_primaries")
        return Story(self.client, self.inbox, next(self.names), limit, leaky, functions)


@pytest.fixture(scope="module")
def server(valkey: str) -> Iterator[Server]:
    with blocking(valkey) as client, contextlib.ExitStack() as stack:
        names, options = (f"model{number}" for number in numbers), {}
        if hasattr(client, "get_primaries"):  # a node of a Cluster knows its own listeners only
            node = options["node"] = client.get_primaries()[0]
            names = (name for name in names if client.get_node_from_key(f"{{{name}}}") == node)
        inbox = stack.enter_context(client.pubsub(ignore_subscribe_messages=True, **options))
        inbox.psubscribe("model*:in:*")
        inbox.get_message(timeout=5)
        yield Server(client, inbox, names)


@pytest.mark.hypothesis
def test_the_script_does_what_the_model_does(server: Server) -> None:
    class Stories(RuleBasedStateMachine):
        @initialize(limit=st.sampled_from([50, 1, 2, 5]), leaky=st.booleans(), functions=st.booleans())
        def begin(self, *, limit: int, leaky: bool, functions: bool) -> None:
            self.story = server.story(limit, leaky=leaky, functions=functions)

        @rule(step=steps)
        def then(self, step: Any) -> None:
            self.story.follow(step)

        def teardown(self) -> None:
            if hasattr(self, "story"):
                self.story.clean_up()

    run_state_machine_as_test(
        Stories,
        settings=examples(
            40, stateful_step_count=60, report_multiple_bugs=False, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.mark.parametrize("limit", [50, 5, 1])
@pytest.mark.parametrize("leaky", [False, True], ids=["fixed", "leaky"])
@pytest.mark.parametrize("title", STORIES)
def test_stories_that_once_went_wrong(server: Server, title: str, *, leaky: bool, limit: int) -> None:
    story = server.story(limit, leaky=leaky, functions=leaky)
    try:
        for step in STORIES[title]:
            story.follow(step)
    finally:
        story.clean_up()
