"""Second limiters, known only from 429s: the broker stores them as a rate."""

import asyncio
import itertools
from statistics import median

import pytest

from discordproxy_ratelimit.route import Route, route_of
from discordproxy_sandbox.limits.limits import FixedWindow, Gcra
from fakes.virtual_time import VirtualClock, run
from processes.fleet import fleet
from strategies.discord_limits import FakeDiscord, Hidden, around

WINDOW_S = 5.0
KINDS = {"fixed": FixedWindow, "leaky": Gcra}
MANY = 1000  # tries: a call fails by its deadline alone


def reads_of(channel: int) -> Route:
    return route_of("GET", "/channels/{channel_id}/messages", {"channel_id": str(channel)})


def discord_with(*hidden: Hidden, **options: object) -> FakeDiscord:
    """Successes show a bucket of 50,000 that never binds."""
    options = {"limiter": lambda _: FixedWindow(50_000, 60.0), "latency": around(0.1, 0.04)} | options
    return FakeDiscord(hidden=list(hidden), **options)


def send_all(valkey: str, discord: FakeDiscord, routes: list[Route], deadline_s: float = 200.0) -> float:
    """Send everything at once by two workers; every call must succeed. Returns the seconds it took."""
    clock = VirtualClock()

    async def story() -> float:
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            began = clock.now
            calls = [workers.send(n % 2, route, n, deadline_s=deadline_s, tries=MANY) for n, route in enumerate(routes)]
            assert await asyncio.gather(*calls) == [200] * len(routes)
            return clock.now - began

    return run(story(), clock)


def refusals_by_window(discord: FakeDiscord, window_s: float = WINDOW_S) -> list[int]:
    """How many 429s there were in each window, counted from the first request."""
    first = discord.arrivals[0].at
    windows = [int((arrival.at - first) / window_s) for arrival in discord.too_many]
    return [windows.count(window) for window in range(max(windows, default=0) + 1)]


@pytest.mark.parametrize("scope", ["user", "shared"])
@pytest.mark.parametrize("shows", [True, False], ids=["shows its numbers", "shows nothing"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_hidden_limiter_becomes_a_rate(valkey, kind, shows, scope):
    discord = discord_with(Hidden(KINDS[kind](5, WINDOW_S), hash="another" if shows else "", scope=scope))
    elapsed_s = send_all(valkey, discord, [reads_of(1)] * 100)
    first, *later = refusals_by_window(discord)
    assert first <= (3 if kind == "leaky" else 2)  # a leaky one gives tokens back before its window ends
    assert max(later, default=0) <= 2
    assert sum(refusals_by_window(discord)[4:]) <= (0 if shows else 4), "once known, it needs no 429 any more"
    assert elapsed_s <= 130


def test_two_hidden_limiters_at_once(valkey):
    small, large = Hidden(FixedWindow(5, WINDOW_S), hash="small"), Hidden(FixedWindow(30, 60.0), hash="large")
    discord = discord_with(small, large)
    elapsed_s = send_all(valkey, discord, [reads_of(1)] * 100, deadline_s=400.0)
    assert max(refusals_by_window(discord)) <= 2
    assert len(discord.too_many) <= 8
    assert elapsed_s <= 220


def test_two_hidden_limiters_that_show_nothing(valkey):
    discord = discord_with(Hidden(FixedWindow(5, WINDOW_S)), Hidden(FixedWindow(30, 60.0), scope="shared"))
    elapsed_s = send_all(valkey, discord, [reads_of(1)] * 100, deadline_s=600.0)
    assert max(refusals_by_window(discord)) <= 2
    assert len(discord.too_many) <= 12
    assert elapsed_s <= 300


@pytest.mark.parametrize(
    ("shows", "after", "calls"), [(True, 2, 30), (False, 2, 30), (False, 12, 400)], ids=["less, shown", "less", "more"]
)
def test_a_hidden_limiter_changes_its_size(valkey, shows, after, calls):
    clock = VirtualClock()
    discord = discord_with(Hidden(FixedWindow(5, WINDOW_S), hash="another" if shows else ""))

    async def story() -> float:
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            await asyncio.gather(*(workers.send(n % 2, reads_of(1), n, tries=MANY) for n in range(30)))
            discord.hidden[0].limiter.limit = after
            began = clock.now
            sending = [workers.send(n % 2, reads_of(1), n, tries=MANY, deadline_s=400.0) for n in range(calls)]
            assert await asyncio.gather(*sending) == [200] * calls
            return clock.now - began

    elapsed_s = run(story(), clock)
    assert max(refusals_by_window(discord)) <= 2
    assert elapsed_s <= (90 if after == 2 else 330)  # it may take a minute to find out that there is more


@pytest.mark.parametrize(
    "remaining", [6, 0, None], ids=["shows the route's bucket", "shows it as exhausted", "shows nothing"]
)
def test_a_sub_limit_is_kept_as_a_rate(valkey, remaining):
    """A channel's name and topic, twice in ten minutes; its 429s show the bucket of the whole route."""
    name = route_of("PATCH", "/channels/{channel_id}", {"channel_id": "1"}, body_keys={"name"})
    other = route_of("PATCH", "/channels/{channel_id}", {"channel_id": "1"}, body_keys={"position"})
    sub_limit = Hidden(FixedWindow(2, 600.0), applies=lambda route: route == name)
    if remaining is not None:
        sub_limit.shown = ("edit", 10, remaining, 1, 5.0)
    discord = discord_with(sub_limit, limiter=lambda _: FixedWindow(10, 15.0), hash_of=lambda _: "edit")
    clock = VirtualClock()

    async def story() -> list[float]:
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            await workers.send(0, name)
            names = [asyncio.create_task(workers.send(n % 2, name, n, deadline_s=1799.0, tries=MANY)) for n in range(5)]
            await asyncio.sleep(1.0)
            began = clock.now
            assert await workers.send(0, other) == 200
            assert clock.now - began < 1.0
            assert await asyncio.gather(*names) == [200] * 5
            assert (
                await asyncio.gather(*(workers.send(0, name, n, deadline_s=1799.0, tries=MANY) for n in range(4)))
                == [200] * 4
            )
            return clock.now

    run(story(), clock)
    began = discord.arrivals[0].at
    assert len([arrival for arrival in discord.too_many if arrival.at > began + 300]) <= 1


def test_a_hidden_limiter_of_two_routes_is_shared(valkey):
    one_message = route_of(
        "GET", "/channels/{channel_id}/messages/{message_id}", {"channel_id": "1", "message_id": "2"}
    )
    routes = [route for _ in range(60) for route in (reads_of(1), one_message)]
    late_refusals, took_s = [], []
    for seed in range(7):  # two rates learned side by side: a millisecond here or there changes single runs
        discord = discord_with(Hidden(FixedWindow(6, WINDOW_S), hash="another"), seed=seed)
        took_s.append(send_all(valkey, discord, routes, deadline_s=300.0))
        windows = refusals_by_window(discord)
        assert max(windows) <= 6
        late_refusals.append(sum(windows[6:]) / max(1, len(windows[6:])))
    assert median(late_refusals) <= 0.75
    assert median(took_s) <= 230


def test_a_hidden_limiter_beside_answers_without_headers(valkey):
    discord = discord_with(Hidden(FixedWindow(5, WINDOW_S)), limiter=lambda _: None)
    elapsed_s = send_all(valkey, discord, [reads_of(1)] * 60)
    _, *later = refusals_by_window(discord)
    assert max(later) <= 2
    assert sum(later[4:]) <= 2
    assert elapsed_s <= 75


def test_a_hidden_limiter_holds_back_its_own_channel_only(valkey):
    discord = discord_with(Hidden(FixedWindow(5, WINDOW_S), applies=lambda route: route.major == "channel_id=1"))
    clock = VirtualClock()

    async def story() -> float:
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            slow = [asyncio.create_task(workers.send(n % 2, reads_of(1), n, tries=MANY)) for n in range(30)]
            await asyncio.sleep(7.0)
            began = clock.now
            assert await asyncio.gather(*(workers.send(n % 2, reads_of(2), n) for n in range(60))) == [200] * 60
            took_s = clock.now - began
            await asyncio.gather(*slow)
            return took_s

    assert run(story(), clock) < 3.0


def test_other_bots_use_up_a_shared_limiter(valkey):
    """What is left for us changes from window to window; every call comes through, and few are refused."""
    clock = VirtualClock()
    hidden = Hidden(FixedWindow(10, WINDOW_S), scope="shared")
    discord = discord_with(hidden)

    async def story() -> None:
        async with fleet(valkey, discord, 2, clock=clock) as workers:

            async def others() -> None:
                for used in itertools.cycle([3, 8, 10, 0]):
                    for _ in range(used):
                        hidden.limiter.hit(clock.now)
                    await asyncio.sleep(WINDOW_S * 0.9)

            noise = asyncio.create_task(others())
            calls = [workers.send(n % 2, reads_of(1), n, deadline_s=1000.0, tries=MANY) for n in range(60)]
            assert await asyncio.gather(*calls) == [200] * 60
            noise.cancel()

    run(story(), clock)
    assert len(discord.too_many) <= 40
