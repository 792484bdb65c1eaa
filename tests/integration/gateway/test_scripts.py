"""The scripts on a real server: fences, leases, sequences, the index of member lists."""

import asyncio

import msgpack
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from discordproxy_gateway.discord.failures import LeaseLostError
from discordproxy_gateway.keys import Slot
from discordproxy_gateway.store.lease import LeaderElection
from discordproxy_gateway.store.operations import pack
from discordproxy_gateway.store.scripts import source
from discordproxy_gateway.write.event_queue import Followers
from fakes.eventually import eventually
from processes.redis_servers import blocking
from strategies.examples import examples

SLOT = Slot(0, 1)


class Applying:
    """Calls the apply script with the defaults of a healthy batch."""

    def __init__(self, scripts, keys) -> None:
        self._scripts = scripts
        self._keys = keys
        names = (
            keys.fence(SLOT),
            keys.session(SLOT),
            keys.status(SLOT),
            keys.stream(0, 1),
            keys.stream_meta(0, 1),
            keys.eras,
            keys.followers(0, 1),
            keys.interaction_followers(0, 1),
        )
        self._first = names

    async def __call__(self, operations=(), *, fence=1, session="s", expected="", after=1, epoch="e", keep=1000):
        keys, packed = pack(operations, self._first)
        fields = msgpack.packb(["id", session, "resume_url", "u", "fingerprint", "f"], use_bin_type=False)
        arguments = [fence, session, expected, after, 0, packed, fields, epoch, 900_000, keep, "", 1, 0, 1]
        return await self._scripts.run("apply", keys, arguments)


@pytest.fixture
async def apply(scripts, redis, keys) -> Applying:
    await redis.set(keys.fence(SLOT), 1)
    await redis.hset(keys.eras, "now", 1)
    return Applying(scripts, keys)


async def snapshot(redis, keys) -> dict[bytes, bytes]:
    return {key: await redis.dump(key) async for key in redis.scan_iter(f"{keys.tag}:*")}


async def test_the_reply_shows_who_follows(apply, redis, keys):
    assert await apply() == [b"OK", Followers.NONE]
    await redis.set(keys.followers(0, 1), 1)
    assert await apply(expected=1, after=2) == [b"OK", Followers.EVENTS]
    await redis.set(keys.interaction_followers(0, 1), 1)
    assert await apply(expected=2, after=3) == [b"OK", Followers.INTERACTIONS]


async def test_a_stale_writer_changes_no_key(apply, redis, keys, scripts):
    await apply([("HSET", keys.guilds, "1", "x")])
    await redis.incr(keys.fence(SLOT))
    before = await snapshot(redis, keys)
    assert await apply([("HSET", keys.guilds, "1", "y")], expected=1, after=2) == [b"STALE"]
    assert not await scripts.write(keys.fence(SLOT), 1, [("HSET", keys.guilds, "1", "y")])
    assert await snapshot(redis, keys) == before


async def test_another_session_or_sequence_changes_no_key(apply, redis, keys):
    await apply()
    before = await snapshot(redis, keys)
    write = [("HSET", keys.guilds, "1", "y")]
    assert await apply(write, session="other", expected=1, after=2) == [b"SESSION_LOST"]
    assert await apply(write, expected=0, after=2) == [b"SEQ_MISMATCH", b"1"]
    assert await snapshot(redis, keys) == before


async def test_sequence_and_data_move_together(apply, redis, keys):
    await apply()
    entry = ("APPEND", keys.stream(0, 1), "t", "X", "d", "{}")
    assert (await apply([entry, entry], expected=1, after=3))[0] == b"OK"
    assert await redis.hget(keys.session(SLOT), "seq") == b"3"
    assert [fields[b"n"] for _, fields in await redis.xrange(keys.stream(0, 1))] == [b"1", b"2"]
    assert await redis.hget(keys.stream_meta(0, 1), "n") == b"2"
    assert 0 < await redis.pttl(keys.session(SLOT)) <= 3_600_000
    assert await redis.pttl(keys.fence(SLOT)) == -1


async def test_the_first_session_has_no_gap_the_second_has(apply, redis, keys):
    await apply()
    assert await redis.xlen(keys.stream(0, 1)) == 0
    await apply(session="t", epoch="another")
    ((_, gap),) = await redis.xrange(keys.stream(0, 1))
    assert gap[b"t"] == b"GAP"
    assert await redis.hget(keys.stream_meta(0, 1), "epoch") == b"e"


async def test_the_stream_is_trimmed(apply, redis, keys):
    await apply()
    entry = ("APPEND", keys.stream(0, 1), "t", "X", "d", "x" * 100)
    for sequence in range(1, 40):
        await apply([entry] * 50, expected=sequence, after=sequence + 1)
    assert 1000 <= await redis.xlen(keys.stream(0, 1)) < 1200


async def test_every_key_of_a_script_is_in_one_slot(keys):
    import re

    every = [
        keys.lease(SLOT), keys.fence(SLOT), keys.session(SLOT), keys.status(SLOT), keys.stream(0, 1),
        keys.stream_meta(0, 1),
        keys.meta(1), keys.part("ch", 1), keys.members(1, 2), keys.member_index(1, 2), keys.overlay("ch", 1),
        keys.guilds, keys.channel_index, keys.user, keys.identify_budget, keys.identify_gate(0), keys.awaited(SLOT),
        keys.wanted_members(SLOT), keys.interaction(1), keys.fatal, keys.shard_count, keys.lease_channel(SLOT),
        keys.overlay_channel_index,
        keys.division, keys.eras,
    ]  # fmt: skip
    assert {re.search(r"\{(.*?)\}", key)[1] for key in every} == {keys.tag.strip("{}")}
    assert len(set(every)) == len(every)


@pytest.mark.parametrize(
    "name", ["acquire_lease", "renew_lease", "release_lease", "fenced", "apply", "identify", "overlay"]
)
def test_every_script_says_what_it_takes_and_returns(name):
    text = source(name)
    assert "-- KEYS[1]" in text
    assert "-- ARGV[1]" in text


class TestLease:
    @pytest.fixture
    def leader(self, scripts, keys):
        return lambda lease_s=10.0: LeaderElection(scripts, keys, SLOT, lease_s=lease_s)

    async def test_fences_rise(self, leader):
        for fence in (1, 2, 3):
            lease = await leader().acquire()
            assert lease.fence == fence
            await lease.release()

    async def test_one_leads_the_next_is_woken_by_its_release(self, leader):
        first = await leader(lease_s=60).acquire()
        waiting = asyncio.create_task(leader(lease_s=60).acquire())
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        assert not done
        await first.release()
        async with asyncio.timeout(30):  # half of the lease
            second = await waiting
        assert second.fence == 2
        await second.release()

    async def test_nobody_leads_who_divides_the_bot_differently(self, leader, scripts, keys, redis, caplog):
        first = await leader(lease_s=60).acquire()
        other = LeaderElection(scripts, keys, Slot(0, 2), lease_s=60)
        waiting = asyncio.create_task(other.acquire())
        await eventually(lambda: "runs this bot with 1 shards" in caplog.text)
        assert not waiting.done()
        await first.release()
        waiting.cancel()
        await redis.delete(keys.division)  # as it ends by itself, a lease later
        second = await other.acquire()
        await second.renew()
        assert await redis.get(keys.division) == b"2"
        await second.release()

    async def test_a_lease_that_ran_out_is_not_taken_back(self, leader, redis, keys):
        lease = await leader().acquire()
        await redis.delete(keys.lease(SLOT))
        with pytest.raises(LeaseLostError):
            await lease.renew()
        with pytest.raises(LeaseLostError):
            lease.ensure_held()
        assert not await redis.exists(keys.lease(SLOT))

    async def test_a_clock_that_was_set_back_keeps_no_dead_leader(self, leader, redis, keys):
        """Redis keeps the times at which keys expire, not how long they live."""
        await leader(lease_s=0.5).acquire()
        for key in (keys.lease(SLOT), keys.division):
            await redis.pexpire(key, 3_600_000)  # as the clock goes back by an hour
        async with asyncio.timeout(60):
            assert (await leader(lease_s=0.5).acquire()).fence == 2

    async def test_only_the_owner_renews_and_releases(self, leader, redis, keys):
        lease = await leader().acquire()
        await redis.hset(keys.lease(SLOT), "owner", "somebody else")
        await lease.release()
        assert await redis.exists(keys.lease(SLOT))

    async def test_the_holder_stops_by_its_own_clock(self, leader):
        lease = await leader().acquire()
        lease.extend(asyncio.get_running_loop().time() - 9.5)
        with pytest.raises(LeaseLostError):
            lease.ensure_held()


ids = st.integers(1, 2**63 - 1)


class TestIndex:
    """The index of a member list against a plain sorted list."""

    @examples(25, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(steps=st.lists(st.tuples(st.booleans(), st.lists(ids, min_size=1, max_size=400, unique=True)), max_size=8))
    def test_holds_exactly_the_ids_in_order(self, valkey, key_prefix, steps):
        import uuid

        with blocking(valkey) as client:
            script = client.register_script(source("fenced"))
            fence, index = f"{{{key_prefix}}}:f", f"{{{key_prefix}}}:{uuid.uuid4().hex}"
            client.set(fence, 1)
            model: set[int] = set()
            for adding, numbers in steps:
                some = numbers if adding else [*numbers[:5], *list(model)[:50]]
                fields = [number.to_bytes(8, "big") for number in sorted(some)]
                keys, packed = pack([("INDEX" if adding else "UNINDEX", index, *fields)], (fence,))
                assert script(keys=keys, args=[1, packed]) == b"OK"
                model = model | set(some) if adding else model - set(some)
                assert listed(client.zrange(index, 0, -1)) == sorted(model)


def listed(leaves: list[bytes]) -> list[int]:
    found: list[int] = []
    for leaf in leaves:
        bound, members = leaf[:8], sorted(leaf[at : at + 8] for at in range(8, len(leaf), 8))
        assert len(members) <= 128
        assert all(member >= bound for member in members)
        numbers = [int.from_bytes(member, "big") for member in members]
        assert not found or not numbers or numbers[0] > found[-1]
        found += numbers
    return found


MANY = 20_000


@pytest.mark.parametrize("command", ["HSET", "HDEL", "SADD", "SREM"])
async def test_a_command_may_have_any_number_of_words(scripts, redis, keys, command):
    await redis.set(keys.fence(SLOT), 1)
    words = [str(number) for number in range(MANY)]
    key = keys.part("ch", 1) if command.startswith("H") else keys.awaited(SLOT)
    add = (
        ("HSET", key, *(word for each in words for word in (each, "x"))) if command[0] == "H" else ("SADD", key, *words)
    )
    assert await scripts.write(keys.fence(SLOT), 1, [add])
    assert await (redis.hlen(key) if command[0] == "H" else redis.scard(key)) == MANY
    if command in {"HDEL", "SREM"}:
        assert await scripts.write(keys.fence(SLOT), 1, [(command, key, *words)])
        assert not await redis.exists(key)


@pytest.mark.parametrize("drop", ["FORGET", "PRUNE"])
async def test_a_list_of_any_length_is_dropped(scripts, redis, keys, drop):
    await redis.set(keys.fence(SLOT), 1)
    part, index = keys.part("th", 1), keys.channel_index
    rows = [str(number) for number in range(MANY)]
    put = [
        ("HSET", part, *(word for row in rows for word in (row, '{"parent_id":"7"}'))),
        ("HSET", index, *(word for row in rows for word in (row, "1"))),
    ]
    assert await scripts.write(keys.fence(SLOT), 1, put)
    assert await scripts.write(keys.fence(SLOT), 1, [(drop, part, index, *(["7"] if drop == "PRUNE" else []))])
    assert not await redis.exists(part, index)
