"""A route can get another bucket hash, share one, or have one for each channel; none of that costs a 429 or a wait."""

import asyncio
import itertools

import pytest

from discordproxy_ratelimit.redis.batch import MAX_DELAY_S
from discordproxy_ratelimit.route import Route, route_of
from discordproxy_sandbox.limits.limits import FixedWindow, Gcra, GlobalLimit
from fakes.virtual_time import VirtualClock, run
from processes.fleet import fleet, send_in_turn
from processes.redis_servers import blocking
from strategies.discord_limits import FakeDiscord, around, message_in, role_in

KINDS = {"fixed": FixedWindow, "leaky": Gcra}


def test_two_routes_that_share_a_bucket(valkey):
    clock = VirtualClock()
    discord = FakeDiscord(hash_of=lambda _: "shared", limiter=lambda _: Gcra(4, 4.0), latency=around(0.1, 0.05))
    add = route_of("PUT", "/guilds/{guild_id}/bans/{user_id}", {"guild_id": "1"})
    remove = route_of("DELETE", "/guilds/{guild_id}/bans/{user_id}", {"guild_id": "1"})

    async def story() -> float:
        async with fleet(valkey, discord, 3, clock=clock) as workers_:
            await workers_.send(0, add)
            await workers_.send(1, remove)
            await asyncio.sleep(2 * MAX_DELAY_S)  # until the broker has the report of the last response
            began = clock.now
            await send_in_turn(workers_, [(add if n % 3 else remove, n) for n in range(40)])
            return clock.now - began

    elapsed_s = run(story(), clock)
    assert discord.too_many == []
    assert elapsed_s <= 40 * 1.0 + 1


def test_a_bucket_is_known_however_often_the_hash_of_its_route_has_changed(valkey):
    clock = VirtualClock()
    discord = FakeDiscord(limiter=lambda _: Gcra(5, 5.0))
    now = {"hash": ""}
    discord.hash_of = lambda _: now["hash"]

    async def story() -> None:
        async with fleet(valkey, discord, 2, clock=clock) as workers_:
            for number in range(6):
                now["hash"] = f"number {number}"
                await workers_.send(number % 2, role_in(1))
            assert await send_in_turn(workers_, [(role_in(2), n) for n in range(12)]) == [200] * 12

    run(story(), clock)
    assert discord.too_many == []


def test_two_limiters_that_answer_in_turn_are_both_kept(valkey):
    clock = VirtualClock()
    discord = FakeDiscord(limiter=lambda _: FixedWindow(5, 5.0), latency=around(0.1, 0.05))
    turns = itertools.count()
    discord.hash_of = lambda _: f"limiter {next(turns) % 2}"

    async def story() -> None:
        async with fleet(valkey, discord, 2, clock=clock) as workers_:
            assert await send_in_turn(workers_, [(role_in(1), n) for n in range(60)]) == [200] * 60

    run(story(), clock)
    assert discord.too_many == []


def test_buckets_that_have_a_new_name_only_are_as_empty_as_before(valkey):
    clock = VirtualClock()
    limiters = {role_in(guild).major: FixedWindow(5, 30.0) for guild in (1, 2, 3, 4)}
    discord = FakeDiscord(limiter=lambda route: limiters[route.major])
    now = {"hash": "first"}
    discord.hash_of = lambda _: now["hash"]

    async def story() -> None:
        async with fleet(valkey, discord, 2, clock=clock) as workers_:
            for guild in (1, 2, 3):
                await send_in_turn(workers_, [(role_in(guild), n) for n in range(5)])
            now["hash"] = "second"
            await workers_.send(0, role_in(4))
            calls = [(role_in(guild), n) for guild in (1, 2, 3) for n in range(6)]
            assert await send_in_turn(workers_, calls) == [200] * 18

    run(story(), clock)
    assert discord.too_many == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_new_hash_delays_no_channel(valkey, workers):
    clock = VirtualClock()
    discord = FakeDiscord(latency=around(0.1, 0.05), limiter=lambda _: FixedWindow(5, 5.0))
    began = clock.now
    discord.hash_of = lambda _: f"number {(clock.now - began) // 2}"

    async def story() -> float:
        async with fleet(valkey, discord, workers, clock=clock) as workers_:
            calls = [(message_in(channel), channel) for _ in range(20) for channel in range(8)]
            assert await send_in_turn(workers_, calls) == [200] * 160
            return clock.now - began

    assert run(story(), clock) <= 16.5  # four windows
    assert discord.too_many == []


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_calls_that_waited_for_the_global_limit_while_their_hash_became_known(valkey, kind, workers):
    """Reactions are added and removed in one bucket; calls of both routes wait for a slot at the first response."""
    clock = VirtualClock()
    discord = FakeDiscord(
        hash_of=lambda route: "messages" if route.ordered else "reactions",
        limiter=lambda _: KINDS[kind](1, 0.25),
        latency=around(0.1, 0.05),
        global_limit=GlobalLimit(50, "sliding"),
    )

    def reaction(method: str, channel: int) -> Route:
        template = "/channels/{channel_id}/messages/{message_id}/reactions/{emoji_id}/@me"
        return route_of(method, template, {"channel_id": str(channel)})

    async def story() -> float:
        async with fleet(valkey, discord, workers, clock=clock) as workers_:
            await workers_.send(0, message_in(1))
            await asyncio.sleep(1.5)  # until its slot is free
            began = clock.now
            first = [
                reaction("PUT", 1000),
                reaction("DELETE", 1001),
                *(message_in(number) for number in range(2000, 2060)),
            ]
            rest = [reaction(method, channel) for channel in range(100) for method in ("PUT", "DELETE")]
            sending = asyncio.create_task(send_in_turn(workers_, [(route, None) for route in first]))
            await asyncio.sleep(0.01)  # all slots are taken, and no response has come
            assert await send_in_turn(workers_, [(route, None) for route in rest + rest]) == [200] * 400
            assert await sending == [200] * 62
            return clock.now - began

    assert run(story(), clock) <= 12.0
    assert discord.too_many == []


@pytest.mark.parametrize("rotates_s", [None, 2.0], ids=["lasting", "rotating"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("channels", "workers"), [(2, 1), (2, 2), (3, 2), (10, 3)])
def test_channels_whose_buckets_have_hashes_of_their_own(valkey, channels, workers, kind, rotates_s):
    clock = VirtualClock()
    limiters = {message_in(channel).major: KINDS[kind](5, 5.0) for channel in range(channels)}
    discord = FakeDiscord(latency=around(0.1, 0.05), limiter=lambda route: limiters[route.major])
    discord.hash_of = lambda route: f"{clock.now // rotates_s if rotates_s else ''} of {route.major}"

    async def story() -> float:
        async with fleet(valkey, discord, workers, clock=clock) as workers_:
            began = clock.now
            orders = [(message_in(channel), n) for n in range(20) for channel in range(channels)]
            assert await send_in_turn(workers_, orders) == [200] * 20 * channels
            return clock.now - began

    assert run(story(), clock) <= 17.0  # four windows, and some round trips to learn the hashes
    assert discord.too_many == []


def test_a_channel_keeps_its_state_while_others_change_the_hash_of_the_route(valkey):
    clock = VirtualClock()
    discord = FakeDiscord(latency=around(0.1, 0.05), limiter=lambda _: FixedWindow(5, 30.0))
    discord.hash_of = lambda route: f"hash of {route.major}"

    async def story() -> None:
        async with fleet(valkey, discord, 1, clock=clock) as workers_:
            for channel in (1, 1, 1, 1, 1, 2, 3, 4, 1, 2):
                await workers_.send(0, message_in(channel))

    run(story(), clock)
    assert discord.too_many == []


def test_hashes_of_channels_are_forgotten_before_they_become_too_many(valkey):
    clock = VirtualClock()
    discord = FakeDiscord(latency=around(0.02, 0.01), limiter=lambda _: FixedWindow(5, 5.0))
    discord.hash_of = lambda route: f"hash of {route.major}"
    most = 10_000

    async def story() -> int:
        async with fleet(valkey, discord, 2, clock=clock) as workers_:
            for _ in range(2):
                await send_in_turn(workers_, [(message_in(channel), 0) for channel in (1, 2)])
                await asyncio.sleep(1.0)  # until the broker has the reports of the responses
            with blocking(valkey) as client:
                table = f"{{{workers_.prefix}:{workers_.bot_id}}}:rl3:routes"
                assert client.hget(table, message_in(1).name) == b"*"
                client.hset(table, mapping={f"route|{number}": "hash" for number in range(most)})
                orders = [(message_in(channel), n) for n in range(3) for channel in range(3, 33)]
                assert await send_in_turn(workers_, orders) == [200] * 90
                return client.hlen(table)

    assert run(story(), clock) <= most
    assert discord.too_many == []


def test_bucket_hash_changes_while_in_use(valkey):
    clock = VirtualClock()
    discord = FakeDiscord(latency=around(0.1, 0.05), limiter=lambda _: FixedWindow(5, 5.0))
    now = {"hash": "first"}
    discord.hash_of = lambda _: now["hash"]

    async def story() -> None:
        async with fleet(valkey, discord, 3, clock=clock) as workers_:
            await send_in_turn(workers_, [(role_in(1), n) for n in range(12)])
            now["hash"] = "second"
            assert await send_in_turn(workers_, [(role_in(1), n) for n in range(30)]) == [200] * 30

    run(story(), clock)
    assert discord.too_many == []
