"""Redis refuses commands for a while or drops the connection at any moment; then calls are served again."""

import asyncio
import functools
from typing import Any

import orjson
import pytest
import redis
from redis import exceptions

from discordproxy_ratelimit.broker import Limits
from discordproxy_ratelimit.errors import BrokerError, BrokerUnavailableError
from discordproxy_ratelimit.limiter.acquiring import REDIS_GRACE_S
from discordproxy_ratelimit.permit import Permit
from discordproxy_ratelimit.redis.link import PROBE
from discordproxy_sandbox.limits.limits import Gcra
from fakes.eventually import eventually
from fakes.tapped_pipeline import TappedPipeline
from fakes.virtual_time import VirtualClock, WatchedRedis, run
from model.packed_state import bucket_state, lane_state
from processes.fleet import Fleet, fleet
from strategies.discord_limits import FakeDiscord, around, message_in, role_in

CHANNELS = 6
AWAY_S, BACK_WITHIN_S = 10.0, 2.0
IN_FLIGHT = 1e17

ERRORS = {
    "READONLY": exceptions.ReadOnlyError("You can't write against a read only replica."),
    "LOADING": exceptions.BusyLoadingError("Redis is loading the dataset in memory"),
    "MASTERDOWN": exceptions.MasterDownError("Link with MASTER is down"),
    "OOM": exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
    "CLUSTERDOWN": exceptions.ClusterDownError("The cluster is down"),
    "TRYAGAIN": exceptions.TryAgainError("Multiple keys request during rehashing of slot"),
    "NOPERM": exceptions.NoPermissionError("User discordproxy has no permissions to run the 'evalsha' command"),
    "NOREPLICAS": exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."),
    "cut": exceptions.ConnectionError("Connection closed by server."),
    "no answer": exceptions.TimeoutError("Timeout reading from socket"),
}


class Refusing(WatchedRedis):
    """A client whose scripts fail as `judge` says: it gets the kinds of a call's items, and whether it has run."""

    def __init__(self, client: Any, clock: VirtualClock, url: str) -> None:
        super().__init__(client, clock, url)
        self.judge: Any = lambda _, *, has_run: None

    def __getattr__(self, name: str) -> Any:
        attribute = super().__getattr__(name)
        if name == "open_pipeline":
            return functools.partial(self._open, attribute)
        return functools.partial(self._judged, attribute) if name in {"evalsha", "eval"} else attribute

    async def _open(self, open_pipeline: Any, **options: Any) -> TappedPipeline:
        pipeline = await open_pipeline(**options)

        async def judged(run_it: Any, *arguments: Any) -> Any:
            try:
                return await self._judged(run_it, *arguments)
            except (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.ReadOnlyError):
                pipeline.close()
                raise

        return TappedPipeline(pipeline, judged, names=("EVALSHA", "EVAL", "FCALL"))

    async def _judged(self, run_it: Any, *arguments: Any) -> Any:
        kinds = {"probe"} if arguments[0] == PROBE else _kinds(arguments[-1])
        if error := self.judge(kinds, has_run=False):
            raise error
        reply = await run_it(*arguments)
        if error := self.judge(kinds, has_run=True):
            raise error
        return reply


def _kinds(body: Any) -> set[str]:
    try:
        return {item[0] for item in orjson.loads(body)}
    except (ValueError, TypeError, IndexError):
        return {"another script"}


class Outage:
    """Away for `AWAY_S` from the first call with an item of this kind on; the first one may have run."""

    def __init__(self, clock: VirtualClock, kind: str, error: Exception, *, ran: bool, probe_passes: bool) -> None:
        self.clock, self.kind, self.error = clock, kind, error
        self.ran, self.probe_passes = ran, probe_passes
        self.until: float | None = None
        self.armed = False

    def __call__(self, kinds: set[str], *, has_run: bool) -> Exception | None:
        if self.until is None:
            if not self.armed or self.kind not in kinds or has_run != self.ran:
                return None
            self.until = self.clock.now + AWAY_S
        away = self.clock.now < self.until and not (self.probe_passes and kinds == {"probe"})
        return self.error if away else None


async def keep_sending(workers: Fleet, channel: int, number: int) -> None:
    """Send one after the other in one lane, whatever happens, as an application does."""
    route = message_in(channel) if channel % 2 else role_in(channel)
    while True:
        try:
            await workers.send(number % len(workers.brokers), route, workers.clock.now, deadline_s=20)
        except BrokerError:  # noqa: PERF203 - it is what the loop is about
            await asyncio.sleep(0.1)


def left_behind(url: str, workers: Fleet) -> dict[str, Any]:
    """Whatever Redis still counts as waiting or in flight."""
    tag = f"{{{workers.prefix}:{workers.bot_id}}}:rl3:"
    with redis.Redis.from_url(url) as client:
        lanes = {key: lane_state(client.get(key)).infl for key in client.scan_iter(f"{tag}l:*")}
        buckets = {key: bucket_state(client.get(key)).infl for key in client.scan_iter(f"{tag}b:*")}
        slots = client.zrangebyscore(f"{tag}slots", IN_FLIGHT, "+inf") + client.zrangebyscore(
            f"{tag}paced", IN_FLIGHT, "+inf"
        )
        found = {key: infl for key, infl in (lanes | buckets).items() if infl}
        return found | ({"slots": slots} if slots else {}) | dict(client.hgetall(f"{tag}held"))


def outages() -> list[Any]:
    """Every error, each at another moment, with and without a server that runs the trivial script all the same."""
    moments = {"a": "acquire", "c": "complete", "x": "leave"}
    cases = []
    for number, name in enumerate(ERRORS):
        for place, kind in enumerate(moments):
            if name in {"READONLY", "cut"} or (number + place) % 3 == 0:
                passes = bool(number % 2) != (name == "READONLY" and place == 1)
                title = f"{name} on {moments[kind]}{', though a probe passes' if passes else ''}"
                cases.append(pytest.param(name, kind, passes, id=title))
    return cases


@pytest.mark.parametrize(("name", "kind", "probe_passes"), outages())
def test_every_channel_sends_again_soon_after_a_refusing_server(valkey, monkeypatch, name, kind, probe_passes):
    monkeypatch.setattr("processes.fleet.WatchedRedis", Refusing)
    clock = VirtualClock()
    discord = FakeDiscord(limiter=lambda _: Gcra(8, 1.0), latency=around(0.1, 0.05))
    outage = Outage(clock, kind, ERRORS[name], ran=name in {"cut", "no answer"}, probe_passes=probe_passes)

    async def story() -> dict[str, Any]:
        async with fleet(valkey, discord, 2, clock=clock, limits=Limits(global_limit=1000)) as workers:
            for client in workers.clients:
                client.judge = outage
            calls = [
                asyncio.create_task(keep_sending(workers, number % CHANNELS, number)) for number in range(4 * CHANNELS)
            ]
            await asyncio.sleep(1.0)
            outage.armed = True
            await asyncio.sleep(0.05)
            for call in calls[CHANNELS : 2 * CHANNELS]:  # in every moment of a call, and in each channel
                call.cancel()
                await asyncio.sleep(0.02)
            assert outage.until is not None
            await asyncio.sleep(4.0)
            for call in calls[2 * CHANNELS : 3 * CHANNELS]:
                call.cancel()
            await asyncio.sleep(outage.until + BACK_WITHIN_S - clock.now)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            await asyncio.sleep(1.0)
            return left_behind(valkey, workers)

    left = run(story(), clock)
    assert outage.until is not None
    again = {a.route.lane for a in discord.accepted() if outage.until < a.at < outage.until + BACK_WITHIN_S}
    assert len(again) == CHANNELS
    assert left == {}
    assert discord.too_many == []


async def waiting_call(workers: Fleet) -> tuple[Permit, asyncio.Task[Permit]]:
    """Return the permit that another call waits for, and that call; neither needs Redis for now."""
    held = await workers.brokers[0].acquire(message_in(1), workers.clock.now + 60)
    call = asyncio.ensure_future(workers.brokers[1].acquire(message_in(1), workers.clock.now + 60))
    await eventually(lambda: workers.brokers[1].waiting == 1)
    await asyncio.sleep(0.1)
    return held, call


def test_a_call_that_only_waits_fails_as_soon_as_redis_is_gone(own_valkey):
    clock = VirtualClock()

    async def story() -> float:
        async with fleet(own_valkey.url, FakeDiscord(), 2, clock=clock) as workers:
            held, call = await waiting_call(workers)
            own_valkey.stop()
            gone_at = clock.now
            with pytest.raises(BrokerUnavailableError):
                await call
            held.cancel()
            return clock.now - gone_at

    assert run(story(), clock) == pytest.approx(REDIS_GRACE_S, abs=0.1)


def test_a_call_that_only_waits_outlives_a_restart_of_redis(own_valkey):
    clock = VirtualClock()

    async def story() -> float:
        async with fleet(own_valkey.url, FakeDiscord(), 2, clock=clock) as workers:
            held, call = await waiting_call(workers)
            own_valkey.stop()
            own_valkey.start()
            gone_at = clock.now
            await asyncio.sleep(0.1)
            held.cancel()
            (await call).cancel()
            return clock.now - gone_at

    assert run(story(), clock) < 3
