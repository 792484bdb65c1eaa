"""All workers behave like one well-paced client: no avoidable 429, no idle capacity, calls in order."""

import itertools

import pytest

from discordproxy_sandbox.limits.limits import FixedWindow, Gcra, GlobalLimit
from fakes.virtual_time import VirtualClock, run
from processes.fleet import fleet, send_in_turn
from strategies.discord_limits import FakeDiscord, WithoutReset, around, message_in, role_in

KINDS = {"fixed": FixedWindow, "leaky": Gcra}
JITTER = {
    "jitter 60 ms": around(0.13, 0.06),
    "2 % 300 ms more": around(0.13, 0.06, 0.02, 0.3),
    "2 % 2 s more": around(0.13, 0.06, 0.02, 2.0),
}


def saturations() -> list[tuple[str, int, float, str, int]]:
    """A half of the cases in which any three of kind, limit, jitter and number of workers still meet in every way."""
    limits = [(5, 5), (10, 15), (5, 2), (3, 1), (30, 120), (1, 0.25)]
    return [
        (list(KINDS)[(place + row + column) % 2], *limit, jitter, workers)
        for place, limit in enumerate(limits)
        for row, jitter in enumerate(JITTER)
        for column, workers in enumerate([1, 3, 8])
    ]


def inversions(discord: FakeDiscord) -> int:
    by_lane: dict[str, list[int]] = {}
    for arrival in discord.accepted():
        by_lane.setdefault(arrival.route.lane, []).append(arrival.label)
    return sum(a > b for labels in by_lane.values() for a, b in itertools.pairwise(labels))


@pytest.mark.parametrize(("kind", "limit", "window_s", "jitter", "workers"), saturations())
def test_saturated_bucket(valkey, kind, limit, window_s, jitter, workers):
    messages = max(40, 4 * limit)
    clock = VirtualClock()
    discord = FakeDiscord(latency=JITTER[jitter], limiter=lambda _: KINDS[kind](limit, window_s))
    elapsed_s = {}

    async def story() -> None:
        async with fleet(valkey, discord, workers, clock=clock) as workers_:
            for route in (message_in(1), role_in(1)):
                began = clock.now
                calls = [(route, number) for number in range(messages)]
                assert await send_in_turn(workers_, calls, apart_s=0.0001) == [200] * messages
                elapsed_s[route.ordered] = clock.now - began

    run(story(), clock)
    assert discord.too_many == []
    assert len(discord.accepted()) == 2 * messages
    assert inversions(FakeDiscordView(discord, ordered=True)) == 0
    if jitter == "jitter 60 ms" and window_s / limit > 0.3:
        least_s = (messages / limit - 1) * window_s if kind == "fixed" else (messages - limit) * window_s / limit
        windows = messages / limit
        # Each fixed window costs one way there and back, and nothing else.
        assert elapsed_s[False] <= least_s + (0.13 if kind == "fixed" else 0.0) * windows + 1.0


class FakeDiscordView:
    """The arrivals of ordered (or other) lanes only."""

    def __init__(self, discord: FakeDiscord, *, ordered: bool) -> None:
        self._discord, self._ordered = discord, ordered

    def accepted(self) -> list:
        return [arrival for arrival in self._discord.accepted() if arrival.route.ordered == self._ordered]


@pytest.mark.parametrize(("kind", "workers"), [("fixed", 1), ("leaky", 2), ("leaky", 4), ("fixed", 8)])
def test_four_channels_of_twenty_messages(valkey, kind, workers):
    clock = VirtualClock()
    discord = FakeDiscord(limiter=lambda _: KINDS[kind](5, 5.0), global_limit=GlobalLimit(50, "sliding"))

    async def story() -> float:
        async with fleet(valkey, discord, workers, clock=clock) as workers_:
            began = clock.now
            calls = [(message_in(channel), number) for number in range(20) for channel in range(4)]
            assert await send_in_turn(workers_, calls, apart_s=0.0005) == [200] * 80
            return clock.now - began

    elapsed_s = run(story(), clock)
    assert discord.too_many == []
    assert inversions(discord) == 0
    assert 15.0 / elapsed_s >= 0.97


@pytest.mark.parametrize(
    ("model", "workers"),
    [
        *(("sliding", 1), ("aligned", 1), ("gcra", 1)),
        *(("sliding", 3), ("first_request", 3)),
        *(("aligned", 8), ("first_request", 8), ("gcra", 8)),
    ],
)
def test_global_limit(valkey, model, workers):
    clock = VirtualClock()
    discord = FakeDiscord(limiter=lambda _: FixedWindow(5, 5.0), global_limit=GlobalLimit(50, model))

    async def story() -> tuple[float, float]:
        async with fleet(valkey, discord, workers, clock=clock) as workers_:
            began = clock.now
            calls = [(message_in(channel), number) for number in range(4) for channel in range(150)]
            assert await send_in_turn(workers_, calls) == [200] * 600
            return clock.now - began, workers_.script_calls / 600

    elapsed_s, calls_per_request = run(story(), clock)
    assert discord.too_many == []
    assert (11.0 + 0.03) / elapsed_s >= 0.95
    assert calls_per_request <= 1.2


@pytest.mark.parametrize("spike_s", [0.3, 2.0])
@pytest.mark.parametrize("model", ["sliding", "aligned", "first_request", "gcra"])
def test_global_limit_with_slow_answers(valkey, model, spike_s):
    clock = VirtualClock()
    discord = FakeDiscord(
        latency=around(0.2, 0.15, 0.02, spike_s), limiter=lambda _: None, global_limit=GlobalLimit(50, model)
    )

    async def story() -> None:
        async with fleet(valkey, discord, 3, clock=clock) as workers_:
            calls = [(role_in(number % 100), number) for number in range(600)]
            assert await send_in_turn(workers_, calls, apart_s=0.001) == [200] * 600

    run(story(), clock)
    assert discord.too_many == []


@pytest.mark.parametrize("kind", KINDS)
def test_burst_on_a_route_never_seen(valkey, kind):
    clock = VirtualClock()
    discord = FakeDiscord(limiter=lambda _: KINDS[kind](7, 3.0), latency=around(0.13, 0.06))

    async def story() -> None:
        async with fleet(valkey, discord, 4, clock=clock) as workers_:
            assert await send_in_turn(workers_, [(role_in(1), n) for n in range(100)]) == [200] * 100

    run(story(), clock)
    assert discord.too_many == []


def test_route_without_headers_is_not_serialized(valkey):
    clock = VirtualClock()
    discord = FakeDiscord(limiter=lambda _: None, global_limit=GlobalLimit(1000), latency=around(1.0, 0.01))

    async def story() -> float:
        async with fleet(valkey, discord, 2, clock=clock) as workers_:
            await workers_.send(0, role_in(1))
            began = clock.now
            await send_in_turn(workers_, [(role_in(n % 3), n) for n in range(40)])
            return clock.now - began

    assert run(story(), clock) < 2.2


@pytest.mark.parametrize("offset_s", [-600.0, 600.0])
def test_discords_clock_is_never_compared_with_ours(valkey, offset_s):
    clock = VirtualClock()
    discord = FakeDiscord(clock_offset_s=offset_s, limiter=lambda _: Gcra(5, 5.0), latency=around(0.13, 0.06))

    async def story() -> None:
        async with fleet(valkey, discord, 3, clock=clock) as workers_:
            await send_in_turn(workers_, [(message_in(1), n) for n in range(40)])

    run(story(), clock)
    assert discord.too_many == []


@pytest.mark.parametrize("jitter", JITTER)
@pytest.mark.parametrize("limit", [(5, 5.0), (5, 2.0), (1, 0.25)])
@pytest.mark.parametrize("kind", KINDS)
def test_answers_without_reset(valkey, kind, limit, jitter):
    """The way back of an answer then moves the end of its window."""
    clock = VirtualClock()
    discord = WithoutReset(limiter=lambda _: KINDS[kind](*limit), latency=JITTER[jitter])

    async def story() -> float:
        async with fleet(valkey, discord, 3, clock=clock) as workers_:
            began = clock.now
            calls = [(route, n) for n in range(40) for route in (role_in(1), message_in(1))]
            assert await send_in_turn(workers_, calls, apart_s=0.0001) == [200] * 80
            return clock.now - began

    elapsed_s = run(story(), clock)
    assert discord.too_many == []
    assert elapsed_s <= (40 / limit[0] + 1) * (limit[1] + 0.3) + 20


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("before", "after"), [(5, 2), (5, 10)])
def test_limit_changes_while_in_use(valkey, kind, before, after):
    clock = VirtualClock()
    discord = FakeDiscord(limiter=lambda _: KINDS[kind](before, 5.0), latency=around(0.1, 0.03))

    async def story() -> float:
        async with fleet(valkey, discord, 3, clock=clock) as workers_:
            await send_in_turn(workers_, [(role_in(1), n) for n in range(20)])
            for key in discord.buckets:
                discord.buckets[key] = KINDS[kind](after, 5.0)
            began = clock.now
            await send_in_turn(workers_, [(role_in(1), n) for n in range(40)])
            return clock.now - began

    elapsed_s = run(story(), clock)
    assert len(discord.too_many) <= before  # what was on its way when the limit fell
    assert elapsed_s <= (40 / after + 1) * 5.0 + 2
