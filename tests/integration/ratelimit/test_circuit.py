"""One address's circuit, shared by several workers on a real server; in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from prometheus_client import CollectorRegistry

from discordproxy_ratelimit.circuit import BUDGET, PROBE_S, STOP, Circuit
from discordproxy_ratelimit.errors import CircuitOpenError, ShareUsedError
from discordproxy_ratelimit.headers import Answer
from discordproxy_ratelimit.metrics import Decisions
from discordproxy_ratelimit.process.tasks import cancel
from discordproxy_ratelimit.redis.client import connect
from discordproxy_ratelimit.redis.link import RedisLink
from fakes.virtual_time import VirtualClock, WatchedRedis, run

OK = Answer(200)
FORBIDDEN, UNAUTHORIZED = Answer(403), Answer(401)
PAGE = Answer(429, from_discord=False)


class Workers:
    """Several workers behind one address, each with its own circuit and inbox."""

    def __init__(self, url: str, prefix: str, clock: VirtualClock, count: int) -> None:
        self.clock, self.registries = clock, [CollectorRegistry() for _ in range(count)]
        home = f"{{{prefix}:ip:x}}"
        self.links = [RedisLink(WatchedRedis(connect(url, timeout_s=5.0), clock, url), home=home) for _ in range(count)]
        self.circuits = [
            Circuit(link, home, channel=f"{prefix}:all", decisions=Decisions(registry), clock=clock.us)
            for link, registry in zip(self.links, self.registries, strict=True)
        ]
        self._channel = f"{prefix}:all"
        self._inboxes = [asyncio.create_task(self._listen(i)) for i in range(count)]

    async def _listen(self, i: int) -> None:
        async for message in self.links[i].messages(self._channel):
            name, (kind, _, open_for_us) = orjson.loads(message)
            assert (name, kind) == (self.circuits[i].name, "C")
            self.circuits[i].on_change(int(open_for_us))

    async def settle(self) -> None:
        """Let reports reach Redis and hints reach everybody; virtual time stands still meanwhile."""
        await asyncio.sleep(0.001)
        for circuit in self.circuits:
            await circuit.close()
        await asyncio.sleep(0.001)

    async def passes(self, worker: int, app: str = "") -> bool:
        try:
            await self.circuits[worker].check(app)
        except (CircuitOpenError, ShareUsedError):
            return False
        return True

    def metric(self, worker: int, name: str, **labels: str) -> float | None:
        return self.registries[worker].get_sample_value(name, labels)

    @property
    def states(self) -> list[str]:
        return [circuit.state for circuit in self.circuits]


@asynccontextmanager
async def workers(url: str, prefix: str, clock: VirtualClock, count: int = 2) -> AsyncIterator[Workers]:
    them = Workers(url, prefix, clock, count)
    await asyncio.sleep(0.001)
    try:
        yield them
    finally:
        await them.settle()
        for inbox in them._inboxes:
            await cancel(inbox)
        for link in them.links:
            await link.close()


Story = Callable[[Workers], Coroutine[Any, Any, None]]


@pytest.fixture
def tell(valkey: str, key_prefix: str) -> Callable[[Story], None]:
    """Run a story about two workers in virtual time."""

    def test(story: Story) -> None:
        async def main(clock: VirtualClock) -> None:
            async with workers(valkey, key_prefix, clock) as them:
                await story(them)

        clock = VirtualClock()
        run(main(clock), clock)

    return test


def test_a_cloudflare_page_closes_the_address_for_every_worker(tell: Any) -> None:
    async def story(them: Workers) -> None:
        assert await them.passes(0)
        them.circuits[0].observe(Answer(429, retry_after_s=120.0, from_discord=False))
        assert them.states[0] == "open", "the worker itself stops before Redis has answered"
        await them.settle()
        assert them.states == ["open", "open"]
        with pytest.raises(CircuitOpenError) as refusal:
            await them.circuits[1].check()
        assert refusal.value.retry_after_s == pytest.approx(120, abs=1)
        assert them.metric(1, "discordproxy_circuit", state="open") == 1
        await asyncio.sleep(119)
        assert them.states == ["open", "open"]
        await asyncio.sleep(2)
        assert them.states == ["half_open", "half_open"]

    tell(story)


def test_one_call_finds_out_and_everybody_learns(tell: Any) -> None:
    async def story(them: Workers) -> None:
        them.circuits[0].observe(PAGE)
        await them.settle()
        await asyncio.sleep(61)
        assert await them.passes(1)
        assert not await them.passes(0)
        assert not await them.passes(1)
        them.circuits[1].observe(OK)
        await them.settle()
        assert them.states == ["closed", "closed"]
        assert await them.passes(0)
        assert await them.passes(1)

    tell(story)


def test_a_probe_that_never_ends_gives_way_to_another(tell: Any) -> None:
    async def story(them: Workers) -> None:
        them.circuits[0].observe(PAGE)
        await them.settle()
        await asyncio.sleep(61)
        assert await them.passes(0)
        await asyncio.sleep(PROBE_S - 1)
        assert not await them.passes(1)
        await asyncio.sleep(1)
        assert await them.passes(1)

    tell(story)


def test_each_block_is_twice_as_long_up_to_an_hour(tell: Any) -> None:
    async def story(them: Workers) -> None:
        lasted = []
        for _ in range(8):
            them.circuits[0].observe(PAGE)
            await them.settle()
            began = them.clock.now
            while not await them.passes(0):  # noqa: ASYNC110 - the pauses are virtual, and nothing announces the end
                await asyncio.sleep(5)
            lasted.append(them.clock.now - began)
        assert lasted == pytest.approx([60, 120, 240, 480, 960, 1920, 3600, 3600], abs=6)

    tell(story)


def test_a_page_that_states_a_short_block_opens_the_circuit_for_a_whole_one(tell: Any) -> None:
    async def story(them: Workers) -> None:
        them.circuits[0].observe(Answer(429, retry_after_s=1.0, from_discord=False))
        with pytest.raises(CircuitOpenError) as refusal:
            await them.circuits[0].check()
        assert refusal.value.retry_after_s == pytest.approx(60, abs=1)

    tell(story)


def test_calls_in_flight_when_the_page_comes_do_not_lengthen_the_block(tell: Any) -> None:
    async def story(them: Workers) -> None:
        for _ in range(10):
            them.circuits[0].observe(Answer(429, retry_after_s=30.0, from_discord=False))
            them.circuits[1].observe(PAGE)
        await them.settle()
        await asyncio.sleep(62)
        assert them.states == ["half_open", "half_open"]

    tell(story)


@pytest.mark.parametrize(
    ("answer", "counts"),
    [
        (FORBIDDEN, 1),
        (UNAUTHORIZED, 1),
        (Answer(429, scope="user"), 1),
        (Answer(429, scope="global"), 1),
        (Answer(429, scope="shared"), 0),
        (Answer(404), 0),
        (Answer(500), 0),
        (OK, 0),
        (Answer(0), 0),
    ],
)
def test_what_counts(tell: Any, answer: Answer, counts: int) -> None:
    async def story(them: Workers) -> None:
        for _ in range(3):
            them.circuits[0].observe(answer)
        await them.settle()
        await them.circuits[1].inspect()
        assert them.metric(1, "discordproxy_invalid_requests_left") == BUDGET - 3 * counts

    tell(story)


async def spend(them: Workers, worker: int, number: int, app: str = "") -> None:
    await them.circuits[worker]._run_script("count", number, app)


def test_the_budget_is_one_for_all_workers_and_stops_them_before_it_is_spent(tell: Any, caplog: Any) -> None:
    async def story(them: Workers) -> None:
        await spend(them, 0, 4_000)
        await spend(them, 1, 4_000)
        assert "Half of the invalid requests" in caplog.text
        assert them.circuits[1].is_careful
        assert await them.passes(1)
        await spend(them, 0, 1_500)
        await spend(them, 1, 0)
        assert not await them.passes(0)
        assert not await them.passes(1)
        assert them.metric(1, "discordproxy_invalid_requests_left") == 500

    tell(story)


def test_what_is_ten_minutes_old_is_forgiven(tell: Any) -> None:
    async def story(them: Workers) -> None:
        await spend(them, 0, 9_600)
        assert not await them.passes(0)
        await asyncio.sleep(589)
        assert not await them.passes(0)
        await asyncio.sleep(12)
        assert await them.passes(0)
        assert them.metric(0, "discordproxy_invalid_requests_left") == BUDGET

    tell(story)


def test_two_addresses_do_not_meet(valkey: str, key_prefix: str) -> None:
    async def main(clock: VirtualClock) -> None:
        async with workers(valkey, f"{key_prefix}a", clock) as one, workers(valkey, f"{key_prefix}b", clock) as other:
            one.circuits[0].observe(PAGE)
            await one.settle()
            assert (one.states[1], other.states) == ("open", ["closed", "closed"])

    clock = VirtualClock()
    run(main(clock), clock)


def test_an_application_that_floods_is_stopped_alone(tell: Any, caplog: Any) -> None:
    async def story(them: Workers) -> None:
        for worker in (0, 1):
            for _ in range(2_400):
                them.circuits[worker].observe(FORBIDDEN, "flood")
            await them.settle()
        assert not await them.passes(1, "flood")
        with pytest.raises(ShareUsedError, match="The application flood has used up its share") as refusal:
            await them.circuits[1].check("flood")
        assert refusal.value.retry_after_s == 60
        assert "flood has used up its share" in caplog.text
        for worker in (0, 1):
            assert await them.passes(worker, "other")
            assert them.circuits[worker].state == "closed"
        state = await them.circuits[0].inspect()
        assert (state.state, state.reason) == ("closed", "")
        assert [(share.app, share.invalid, share.stopped) for share in state.apps] == [("flood", 4_800, True)]
        assert them.metric(1, "discordproxy_permit_refused_total", why="share") == 2

    tell(story)


def test_many_floods_one_after_the_other_never_spend_what_the_others_need(tell: Any) -> None:
    async def story(them: Workers) -> None:
        for number in range(8):
            app = f"flood{number}"
            while await them.passes(0, app):
                them.circuits[0].observe(FORBIDDEN, app)
                await them.settle()
                await spend(them, 0, 24, app)
        state = await them.circuits[1].inspect()
        assert (state.state, len(state.apps)) == ("closed", 8)
        assert state.invalid < BUDGET * STOP
        assert await them.passes(1, "well-behaved")

    tell(story)


def test_a_share_has_room_again_once_answers_are_ten_minutes_old(tell: Any) -> None:
    async def story(them: Workers) -> None:
        await spend(them, 0, 3_000, "flood")
        await asyncio.sleep(300)
        await spend(them, 0, 2_000, "flood")
        assert not await them.passes(0, "flood")
        await asyncio.sleep(280)
        assert not await them.passes(0, "flood")
        await asyncio.sleep(25)
        assert await them.passes(0, "flood")
        assert (await them.circuits[0].inspect()).apps[0].stopped is False
        await asyncio.sleep(600)
        assert (await them.circuits[0].inspect()).apps == ()

    tell(story)


def test_what_is_shown_comes_from_what_decides(tell: Any) -> None:
    async def story(them: Workers) -> None:
        await spend(them, 0, 5_000, "a")
        await spend(them, 0, 4_600, "b")
        assert not await them.passes(0, "c")
        for circuit in them.circuits:
            await circuit.inspect()
        assert them.states == ["open", "open"]
        assert them.metric(1, "discordproxy_circuit", state="open") == 1
        await asyncio.sleep(100)
        state = await them.circuits[1].inspect()
        assert (state.state, state.reason, [share.app for share in state.apps]) == ("open", "spent", ["a", "b"])
        assert state.since_s == pytest.approx(100, abs=1)
        assert state.open_for_s == pytest.approx(500, abs=11)
        await asyncio.sleep(state.open_for_s + 1)
        assert await them.passes(1, "c")
        assert (await them.circuits[1].inspect()).since_s == 0

    tell(story)


def test_a_block_is_reported_with_its_beginning(tell: Any) -> None:
    async def story(them: Workers) -> None:
        for _ in range(2):
            them.circuits[0].observe(PAGE, "a")
            await them.settle()
            await asyncio.sleep(130)
            await them.passes(0)
        state = await them.circuits[1].inspect()
        assert (state.state, state.reason) == ("half_open", "blocked")
        assert state.since_s == pytest.approx(260, abs=1)

    tell(story)


def test_a_call_that_waited_for_its_permit_is_looked_at_again(tell: Any) -> None:
    async def story(them: Workers) -> None:
        circuit = them.circuits[0]
        assert await circuit.check("flood") is False
        await spend(them, 0, 5_000, "flood")
        with pytest.raises(ShareUsedError):
            circuit.check_again("flood", probing=False)
        circuit.check_again("other", probing=False)
        circuit.observe(PAGE, "other")
        with pytest.raises(CircuitOpenError):
            circuit.check_again("other", probing=False)
        await them.settle()
        await asyncio.sleep(61)
        assert await circuit.check("other") is True
        circuit.check_again("other", probing=True)
        with pytest.raises(CircuitOpenError):
            circuit.check_again("other", probing=False)

    tell(story)
