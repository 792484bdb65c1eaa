"""Faults: cancelled calls, dead workers, 429s of every kind, a Redis that has lost its state."""

import asyncio
import random

import pytest
import redis

from discordproxy_ratelimit.broker import Broker, Caller, Limits
from discordproxy_ratelimit.errors import (
    BrokerError,
    CircuitOpenError,
    KnownRefusalError,
    TokenRejectedError,
    WaitRefusedError,
)
from discordproxy_ratelimit.headers import Answer
from discordproxy_ratelimit.limiter.reaper import Reaper
from discordproxy_ratelimit.route import Route, route_of, route_of_path
from discordproxy_sandbox.limits.limits import FixedWindow, Gcra, GlobalLimit
from fakes.virtual_time import VirtualClock, run
from processes.fleet import Fleet, fleet
from strategies.discord_limits import FakeDiscord, Hidden, around

KINDS = {"fixed": FixedWindow, "leaky": Gcra}
LEASE_SPARE = 1.125


def message_in(channel: int) -> Route:
    return route_of("POST", "/channels/{channel_id}/messages", {"channel_id": str(channel)})


def role_in(guild: int) -> Route:
    return route_of("PUT", "/guilds/{guild_id}/members/{user_id}/roles/{role_id}", {"guild_id": str(guild)})


def webhook(number: int) -> Route:
    parameters = {"webhook_id": str(number), "webhook_token": "secret"}
    return route_of("POST", "/webhooks/{webhook_id}/{webhook_token}", parameters, no_bot_auth=True)


def crash(fleet_: Fleet, worker: int) -> None:
    """The worker never speaks to Redis again, as after SIGKILL."""

    async def silence(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    broker = fleet_.brokers[worker]
    broker._link.run = silence
    broker._hints.cancel()


async def lay_out(broker: Broker) -> None:
    """Close what the operating system closes for a killed process."""
    for account in broker._accounts.values():
        for task in (account._heartbeat._task, account._batch._task):
            if task is not None:
                task.cancel()
    await broker._link.close()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", KINDS)
def test_callers_that_give_up(valkey, kind, seed):
    clock, rng = VirtualClock(), random.Random(seed)
    discord = FakeDiscord(seed=seed, limiter=lambda _: KINDS[kind](5, 5.0), latency=around(0.1, 0.05))

    async def story() -> list[object]:
        async with fleet(valkey, discord, 3, clock=clock) as workers:
            route = message_in(1) if seed % 2 else role_in(1)
            tasks = [asyncio.create_task(workers.send(n % 3, route, n)) for n in range(60)]
            for task in rng.sample(tasks, 25):
                await asyncio.sleep(rng.uniform(0, 1.2))
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            began = clock.now
            await workers.send(0, route, "after")
            assert clock.now - began < 6  # no place and no permit was left behind
            return results

    results = run(story(), clock)
    assert discord.too_many == []
    assert results.count(200) >= 35
    assert all(result == 200 or isinstance(result, asyncio.CancelledError) for result in results)


@pytest.mark.parametrize("seed", range(8))
def test_worker_dies_at_any_moment(valkey, seed):
    clock, rng = VirtualClock(), random.Random(seed)
    discord = FakeDiscord(seed=seed, limiter=lambda _: Gcra(5, 5.0), latency=around(0.1, 0.05))
    lease_s = 10.0

    async def story() -> float:
        async with fleet(valkey, discord, 3, clock=clock, limits=Limits(lease_s=lease_s)) as workers:
            route = message_in(1) if seed % 2 else role_in(1)
            tasks = [asyncio.create_task(workers.send(n % 3, route, n)) for n in range(45)]
            await asyncio.sleep(rng.uniform(0.0, 4.0))
            crash(workers, 0)
            dead = [task for n, task in enumerate(tasks) if n % 3 == 0]
            for task in dead:
                task.cancel()
            began = clock.now
            await asyncio.wait([task for task in tasks if task not in dead])
            for task in dead:
                task.cancel()
            elapsed_s = clock.now - began
            await lay_out(workers.brokers.pop(0))
            return elapsed_s

    elapsed_s = run(story(), clock)
    assert discord.too_many == []
    labels = [arrival.label for arrival in discord.accepted()]
    assert len(labels) == len(set(labels))
    assert {label for label in range(45) if label % 3} <= set(labels)
    assert elapsed_s <= 45 * 1.0 + lease_s + 1


@pytest.mark.parametrize("comes_after_s", [0.0, 2.5, 5.0, 7.5])
@pytest.mark.parametrize("route", [message_in(1), role_in(1)], ids=["message", "role"])
@pytest.mark.parametrize("dead", [1, 3], ids=["one dead worker", "three dead workers"])
def test_a_call_behind_dead_workers_waits_until_their_leases_end(valkey, dead, route, comes_after_s):
    clock = VirtualClock()
    discord = FakeDiscord(latency=around(60.0, 0.0))
    lease_s = 10.0

    async def story() -> float:
        async with fleet(valkey, discord, dead + 1, clock=clock, limits=Limits(lease_s=lease_s)) as workers:
            others = [role_in(number + 2) for number in range(1, dead)]
            held = [asyncio.create_task(workers.send(n, lane)) for n, lane in enumerate([*others, route])]
            await asyncio.sleep(0.1)
            for number in range(dead):
                crash(workers, number)
            died_at = clock.now
            await asyncio.sleep(comes_after_s)
            permit = await workers.brokers[-1].acquire(route, clock.now + 60)
            waited_s = clock.now - died_at
            permit.cancel()
            for call in held:
                call.cancel()
            await asyncio.gather(*held, return_exceptions=True)
            for broker in workers.brokers[:dead]:
                await lay_out(broker)
            del workers.brokers[:dead]
            return waited_s

    assert run(story(), clock) <= lease_s * LEASE_SPARE + 0.1


@pytest.mark.parametrize("hanging", [0, 1, 2])
def test_one_worker_at_a_time_reaps_a_dead_one(valkey, monkeypatch, hanging):
    """The next one begins a second later: the first may have died, too."""
    clock, reapers, reap = VirtualClock(), [], Reaper._reap
    discord, lease_s = FakeDiscord(latency=around(60.0, 0.0)), 10.0

    async def counted(reaper: Reaper, worker: str) -> None:
        reapers.append(reaper)
        if len(reapers) <= hanging:
            await asyncio.Event().wait()
        await reap(reaper, worker)

    monkeypatch.setattr(Reaper, "_reap", counted)

    async def story() -> float:
        async with fleet(valkey, discord, 6, clock=clock, limits=Limits(lease_s=lease_s)) as workers:
            held = [asyncio.create_task(workers.send(0, role_in(number))) for number in range(1, 6)]
            await asyncio.sleep(0.1)
            crash(workers, 0)
            died_at = clock.now
            waiting = [workers.brokers[number].acquire(role_in(number), clock.now + 60) for number in range(1, 6)]
            permits = await asyncio.gather(*(asyncio.ensure_future(each) for each in waiting))
            waited_s = clock.now - died_at
            for permit in permits:
                permit.cancel()
            for call in held:
                call.cancel()
            await asyncio.gather(*held, return_exceptions=True)
            await lay_out(workers.brokers.pop(0))
            return waited_s

    assert run(story(), clock) == pytest.approx(lease_s * LEASE_SPARE + hanging, abs=0.15)
    assert len(set(reapers)) == len(reapers) == hanging + 1


def test_shared_limit_pauses_only_its_own_resource(valkey):
    clock = VirtualClock()
    discord = FakeDiscord(hash_of=lambda _: "one", limiter=lambda _: FixedWindow(50, 5.0))
    told = []

    def fault(route: Route) -> Answer | None:
        if route.major == "guild_id=1" and not told:
            told.append(route)
            return Answer(429, retry_after_s=30.0, scope="shared")
        return None

    discord.faults.append(fault)

    async def story() -> tuple[float, float]:
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            began = clock.now
            slow = asyncio.create_task(workers.send(0, role_in(1)))
            await asyncio.sleep(1)
            assert await workers.send(1, role_in(2)) == 200
            other_s = clock.now - began
            assert await slow == 200
            return other_s, clock.now - began

    other_s, paused_s = run(story(), clock)
    assert other_s < 2
    assert 30 <= paused_s < 31


@pytest.mark.parametrize("limiter", [FixedWindow, Gcra])
def test_what_another_limit_refused_has_spent_the_bucket(valkey, limiter):
    """Its headers say so, as they do at Discord: who thinks that the token came back sends one too many."""
    clock = VirtualClock()
    discord = FakeDiscord(hash_of=lambda _: "one", limiter=lambda _: limiter(5, 5.0))

    def fault(route: Route) -> Answer | None:
        bucket = discord.buckets.get(("one", route.major))
        if len(discord.arrivals) % 4 != 3 or bucket is None:
            return None
        spent = bucket.hit(asyncio.get_running_loop().time())
        if not spent.allowed:
            return None
        headers = ("one", 5, spent.remaining, round(spent.reset * 1000), round(spent.reset_after, 3))
        return Answer(429, *headers, retry_after_s=0.01, scope="shared")

    discord.faults.append(fault)

    async def story() -> None:
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            await asyncio.gather(*(workers.send(n % 2, role_in(1), n) for n in range(40)))

    run(story(), clock)
    assert {arrival.scope for arrival in discord.too_many} == {"injected"}


@pytest.mark.parametrize(
    ("remaining", "reset_after_s", "retry_after_s"), [(6, 5.0, 583.0), (0, 5.0, 14.0), (0, 5.0, 6.5), (0, 300.0, 583.0)]
)
def test_sub_limit_leaves_the_rest_of_the_route_alone(valkey, remaining, reset_after_s, retry_after_s):
    """Its 429 shows the bucket of the route, which is full again before the wait that the 429 requires is over."""
    clock = VirtualClock()
    discord = FakeDiscord(hash_of=lambda _: "edit", limiter=lambda _: FixedWindow(10, 15.0))
    rename = route_of("PATCH", "/channels/{channel_id}", {"channel_id": "1"}, body_keys={"name"})
    other = route_of("PATCH", "/channels/{channel_id}", {"channel_id": "1"}, body_keys={"position"})

    def refusal(route: Route) -> Answer | None:
        if route != rename:
            return None
        reset_ms = round((clock.now + reset_after_s) * 1000)
        return Answer(429, "edit", 10, remaining, reset_ms, reset_after_s, retry_after_s=retry_after_s, scope="user")

    discord.faults.append(refusal)

    async def story() -> float:
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            await workers.send(0, other)
            began = clock.now
            with pytest.raises(WaitRefusedError) as refused:
                await workers.send(0, rename, deadline_s=retry_after_s - 1)
            assert refused.value.retry_after_s == pytest.approx(retry_after_s, abs=0.1)
            assert await workers.send(1, other) == 200
            return clock.now - began

    waited_s = run(story(), clock)
    assert waited_s < 1 + (0 if remaining else reset_after_s)


@pytest.mark.parametrize("scope", ["user", "shared"])
def test_calls_that_wait_for_a_sub_limit_hold_up_no_other_route_of_the_bucket(valkey, scope):
    """They came first, and the bucket has tokens."""
    clock = VirtualClock()
    renames = Hidden(FixedWindow(2, 600.0), applies=lambda route: route == rename, scope=scope)
    discord = FakeDiscord(hash_of=lambda _: "edit", limiter=lambda _: FixedWindow(5, 5.0), hidden=[renames])
    rename = route_of("PATCH", "/channels/{channel_id}", {"channel_id": "1"}, body_keys={"name"})
    other = route_of("PATCH", "/channels/{channel_id}", {"channel_id": "1"}, body_keys={"position"})
    waits_s = []

    async def story() -> None:
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            renaming = [asyncio.create_task(workers.send(n % 2, rename, n)) for n in range(6)]
            began = clock.now
            assert await asyncio.gather(*(workers.send(n % 2, other) for n in range(6))) == [200] * 6
            assert clock.now - began < 15
            for number in range(30):
                await asyncio.sleep(45)
                began = clock.now
                assert await workers.send(number % 2, other) == 200
                waits_s.append(clock.now - began)
            assert await asyncio.gather(*renaming) == [200] * 6

    run(story(), clock)
    assert max(waits_s) < 6


def test_global_429_stops_everybody_at_once(valkey):
    clock = VirtualClock()
    discord = FakeDiscord(limiter=lambda _: None, global_limit=GlobalLimit(1000), latency=around(0.05, 0.02))
    when = []

    def fault(_: Route) -> Answer | None:
        if len(discord.arrivals) == 100:
            when.append(clock.now)
            return Answer(429, retry_after_s=3.0, scope="global")
        return None

    discord.faults.append(fault)

    async def story() -> None:
        async with fleet(valkey, discord, 4, clock=clock) as workers:
            await asyncio.gather(*(workers.send(n % 4, role_in(n), n) for n in range(400)))

    run(story(), clock)
    told_at = when[0] + 0.05  # the answer is on its way for so long
    early = [arrival for arrival in discord.arrivals if told_at + 0.07 < arrival.at < when[0] + 3.0]
    assert early == []
    assert len(discord.accepted()) == 400


def test_the_larger_of_header_and_body_is_waited_for(valkey):
    clock = VirtualClock()
    discord = FakeDiscord(limiter=lambda _: FixedWindow(5, 5.0))
    answers = [Answer(429, "h", 5, 0, 1, 1.0, retry_after_s=1163.0, scope="user")]
    discord.faults.append(lambda _: answers.pop() if answers else None)

    async def story() -> float:
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            began = clock.now
            await workers.send(0, message_in(1))
            return clock.now - began

    assert 1163 <= run(story(), clock) <= 1164


@pytest.mark.parametrize("retry_after_s", [None, 120.0])
def test_cloudflare_block_lets_one_call_try_at_a_time(valkey, retry_after_s):
    clock = VirtualClock()
    discord = FakeDiscord(limiter=lambda _: FixedWindow(50, 1.0))
    blocked_until = clock.now + 400
    discord.faults.append(
        lambda _: Answer(429, retry_after_s=retry_after_s, from_discord=False) if clock.now < blocked_until else None
    )

    async def story() -> None:
        async with fleet(valkey, discord, 3, clock=clock) as workers:
            refused, promised_s = 0, []
            for second in range(900):
                try:
                    await workers.send(second % 3, role_in(1), tries=1)
                except CircuitOpenError as error:
                    refused += 1
                    promised_s.append(error.retry_after_s)
                await asyncio.sleep(1)
            assert refused > 300
            assert 0 < min(promised_s) <= max(promised_s) <= 3600
            assert await workers.send(0, role_in(1)) == 200

    run(story(), clock)
    assert len([arrival for arrival in discord.arrivals if arrival.at < blocked_until]) <= 5


def test_refused_token_stops_the_bot_and_one_call_a_minute_tries(valkey):
    clock = VirtualClock()
    discord = FakeDiscord(limiter=lambda _: FixedWindow(50, 1.0))
    valid_again = clock.now + 200
    discord.faults.append(lambda route: Answer(401) if route.credential == "bot" and clock.now < valid_again else None)

    async def story() -> None:
        async with fleet(valkey, discord, 3, clock=clock) as workers:
            promised_s = []
            for second in range(190):
                try:
                    await workers.send(second % 3, role_in(second))
                except TokenRejectedError as error:
                    promised_s.append(error.retry_after_s)
                await asyncio.sleep(1)
            assert max(promised_s) <= 60
            assert await workers.send(0, webhook(1)) == 200  # carries a token of its own
            await asyncio.sleep(130)
            assert await workers.send(1, role_in(1)) == 200
            await asyncio.sleep(0.1)
            assert await workers.send(2, role_in(1)) == 200

    run(story(), clock)
    assert len([arrival for arrival in discord.arrivals if arrival.status == 401]) <= 6


@pytest.mark.parametrize(
    "path",
    [
        "/oauth2/@me",
        "/users/@me/connections",
        "/users/@me/applications/1/role-connection",
        "/users/@me/guilds/1/member",
    ],
)
def test_a_401_of_a_route_for_users_does_not_stop_the_bot(valkey, path):
    """Discord answers the token of a bot there with 401."""
    clock = VirtualClock()
    discord = FakeDiscord(limiter=lambda _: FixedWindow(50, 1.0))
    discord.faults.append(lambda route: None if route == role_in(1) else Answer(401))

    async def story() -> None:
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            assert await workers.send(0, route_of_path("GET", path)) == 401
            await asyncio.sleep(0.1)
            assert await workers.send(1, role_in(1)) == 200
            assert await workers.send(0, route_of_path("GET", path, bearer="a user's")) == 401
            await asyncio.sleep(0.1)
            with pytest.raises(TokenRejectedError):
                await workers.send(1, route_of_path("GET", path, bearer="a user's"))

    run(story(), clock)


def test_deleted_webhook_is_not_called_again(valkey):
    clock = VirtualClock()
    discord = FakeDiscord(limiter=lambda _: FixedWindow(50, 1.0))
    discord.faults.append(lambda route: Answer(404, code=10015) if route.major == webhook(1).major else None)

    async def story() -> None:
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            assert await workers.send(0, webhook(1)) == 404
            await asyncio.sleep(1)
            for _ in range(20):
                with pytest.raises(KnownRefusalError) as refused:
                    await workers.send(1, webhook(1))
                assert (refused.value.status, refused.value.code) == (404, 10015)
            assert await workers.send(1, webhook(2)) == 200

    run(story(), clock)
    assert len(discord.arrivals) == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_redis_loses_its_memory(valkey, kind, seed):
    clock = VirtualClock()
    discord = FakeDiscord(
        seed=seed,
        limiter=lambda _: KINDS[kind](5, 5.0),
        global_limit=GlobalLimit(50, "sliding"),
        latency=around(0.2, 0.1),
    )

    async def story() -> None:
        async with fleet(valkey, discord, 3, clock=clock) as workers:
            calls = [workers.send(n % 3, message_in(n % 40), n) for n in range(240)]
            sending = asyncio.gather(*calls)
            await asyncio.sleep(1.0 + seed * 0.7)
            admin = redis.Redis.from_url(valkey)
            for key in admin.scan_iter(f"*{workers.prefix}*"):
                admin.delete(key)
            admin.close()
            for broker, client in zip(workers.brokers, workers.clients, strict=True):
                client.run_id = "another"
                broker._link.lost(ConnectionError())
            assert await sending == [200] * 240

    run(story(), clock)
    assert discord.too_many == []


def test_redis_clock_steps_back(valkey):
    clock = VirtualClock()
    discord = FakeDiscord(limiter=lambda _: Gcra(5, 5.0), latency=around(0.1, 0.05))
    step = {"us": 0}

    async def story() -> None:
        workers = Fleet(valkey, discord, 2, clock=clock)
        for broker in workers.brokers:
            broker._clock = lambda: clock.us() + step["us"]
        await workers.start()
        sending = asyncio.gather(*(workers.send(n % 2, message_in(1), n) for n in range(30)))
        await asyncio.sleep(7)
        step["us"] = -5_000_000
        assert await sending == [200] * 30
        await workers.aclose()

    run(story(), clock)
    assert discord.too_many == []


def test_an_urgent_call_passes_a_long_backlog_of_another_app(valkey):
    clock = VirtualClock()
    discord = FakeDiscord(limiter=lambda _: FixedWindow(5, 5.0), global_limit=GlobalLimit(50, "sliding"))

    async def story() -> list[float]:
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            bulk = [
                asyncio.create_task(workers.send(n % 2, message_in(n % 250), n, caller=Caller("bulk")))
                for n in range(1000)
            ]
            waits = []
            for number in range(6):
                await asyncio.sleep(1.13)
                began = clock.now
                await workers.send(1, message_in(1000 + number), caller=Caller("alert", "high"))
                waits.append(clock.now - began)
            await asyncio.gather(*bulk)
            return waits

    waits = run(story(), clock)
    assert discord.too_many == []
    assert max(waits) <= 0.1 + 0.04


def test_apps_share_one_bucket_fairly_and_nobody_starves(valkey):
    clock = VirtualClock()
    discord = FakeDiscord(limiter=lambda _: Gcra(5, 5.0))

    async def story() -> None:
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            route = role_in(1)
            many = [workers.send(0, route, "many", caller=Caller("many")) for _ in range(60)]
            few = [workers.send(1, route, "few", caller=Caller("few")) for _ in range(10)]
            low = [workers.send(1, route, "low", caller=Caller("few", "low")) for _ in range(2)]
            await asyncio.gather(*many, *few, *low)

    run(story(), clock)
    order = [arrival.label for arrival in discord.accepted()]
    assert len([label for label in order[:24] if label == "few"]) >= 9
    assert order.count("low") == 2


@pytest.mark.parametrize("kind", KINDS)
def test_deadline_that_cannot_be_met_is_refused_at_once_and_truthfully(valkey, kind):
    clock = VirtualClock()
    discord = FakeDiscord(limiter=lambda _: KINDS[kind](5, 5.0))

    async def story() -> tuple[float, float]:
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            route = message_in(1)
            backlog = [asyncio.create_task(workers.send(n % 2, route, n)) for n in range(60)]
            await asyncio.sleep(6)
            began = clock.now
            with pytest.raises(WaitRefusedError) as refused:
                await workers.send(0, route, "late", deadline_s=10)
            assert clock.now - began < 0.05
            waiting = asyncio.create_task(workers.send(0, route, "in time"))
            await waiting
            took_s = clock.now - began
            await asyncio.gather(*backlog)
            return refused.value.retry_after_s, took_s

    told_s, took_s = run(story(), clock)
    assert abs(told_s - took_s) <= 0.1 * took_s
    assert "late" not in [arrival.label for arrival in discord.arrivals]


def test_accepted_calls_never_leave_after_their_deadline(valkey):
    clock = VirtualClock()
    discord = FakeDiscord(limiter=lambda _: FixedWindow(3, 3.0), latency=around(0.2, 0.1))
    rng = random.Random(5)
    late = []

    async def one(workers: Fleet, number: int) -> None:
        deadline_s = rng.uniform(0.1, 12)
        deadline = clock.now + deadline_s
        try:
            async with workers.brokers[number % 3].acquire(role_in(1), deadline) as permit:
                permit.sent()
                late.append(clock.now - deadline)
                permit.complete(await discord.request(role_in(1)))
        except BrokerError:
            pass

    async def story() -> None:
        async with fleet(valkey, discord, 3, clock=clock) as workers:
            await asyncio.gather(*(one(workers, n) for n in range(80)))

    run(story(), clock)
    assert max(late) <= 0
    assert discord.too_many == []


def test_two_bots_do_not_share_anything(valkey):
    clock = VirtualClock()
    discord = FakeDiscord(limiter=lambda _: FixedWindow(5, 5.0))
    other = FakeDiscord(limiter=lambda _: FixedWindow(5, 5.0))

    async def story() -> float:
        async with fleet(valkey, discord, 1, clock=clock) as workers, fleet(valkey, other, 1, clock=clock) as others:
            busy = asyncio.gather(*(workers.send(0, message_in(1), n) for n in range(20)))
            await asyncio.sleep(0.5)
            began = clock.now
            await others.send(0, message_in(1))
            alone_s = clock.now - began
            await busy
            return alone_s

    assert run(story(), clock) < 0.1
