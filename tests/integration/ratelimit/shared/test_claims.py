"""Claims and values that all workers share: stored, claimed once, expired."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from discordproxy_ratelimit.errors import BrokerUnavailableError
from discordproxy_ratelimit.redis.client import connect
from discordproxy_ratelimit.redis.link import RedisLink
from discordproxy_ratelimit.redis.pool import MAX_CONNECTIONS
from discordproxy_ratelimit.shared.claims import Claim, ClaimQuota, Claims
from fakes.broker import FakeClaims
from fakes.eventually import eventually
from processes.redis_servers import Servers, blocking


@pytest.fixture
async def link(valkey: str) -> AsyncIterator[RedisLink]:
    link = RedisLink(connect(valkey))
    yield link
    await link.close()


@pytest.fixture
def claims(link: RedisLink, key_prefix: str) -> Claims:
    return Claims(link, f"{{{key_prefix}:1}}:claim:")


async def test_a_value_is_kept_for_its_time(claims: Claims) -> None:
    assert await claims.get("dm") is None
    await claims.set("dm", b"\x00\xff", ttl_s=60)
    assert await claims.get("dm") == b"\x00\xff"
    await claims.set("dm", b"short", ttl_s=0.02)

    async def gone() -> bool:
        return await claims.get("dm") is None

    await eventually(gone)


async def test_a_value_can_be_read_beside_other_commands(claims: Claims, link: RedisLink) -> None:
    await claims.set("dm", b"value", ttl_s=60)
    for is_up in (False, True):  # first without a pipeline
        if is_up:
            await link.until_up()
        assert [await claims.finish_get(claims.begin_get(key)) for key in ("dm", "none")] == [b"value", None]
    lost: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
    lost.set_exception(ConnectionError())
    with pytest.raises(BrokerUnavailableError):
        await claims.finish_get(lost)


async def test_two_bots_do_not_read_each_others_values(link: RedisLink, claims: Claims, key_prefix: str) -> None:
    await claims.set("dm", b"mine", ttl_s=60)
    assert await Claims(link, f"{{{key_prefix}:2}}:claim:").get("dm") is None


@pytest.mark.parametrize("turns", range(6))
async def test_a_claim_that_is_cancelled_leaves_the_key_free(claims: Claims, turns: int) -> None:
    """Redis may have granted it, although its reply was not received."""
    first = asyncio.create_task(claims.claim("k", "r", owner="a", lease_s=60))
    for _ in range(turns):
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert await claims.claim("k", "r", owner="b", lease_s=60) == Claim("ours")


async def test_a_renewal_that_is_cancelled_does_not_release_the_claim() -> None:
    """The result is not stored yet when the block ends."""
    renewing, released = asyncio.Event(), []

    class SlowClaims(FakeClaims):
        async def _claim(self, *_: object, **__: object) -> Claim:
            renewing.set()
            await asyncio.Event().wait()
            return Claim("ours")

        async def release(self, key: str, **_: object) -> None:
            released.append(key)

    async with SlowClaims().hold("k", "r", owner="a", lease_s=0.03):
        await renewing.wait()
        (renewal,) = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.wait([renewal])
    assert released == []


async def test_the_first_claim_is_ours_until_it_is_settled(claims: Claims) -> None:
    assert await claims.claim("k", "r", owner="a", lease_s=60) == Claim("ours")
    assert await claims.claim("k", "r", owner="a", lease_s=60) == Claim("ours"), "a renewal"
    assert await claims.claim("k", "r", owner="b", lease_s=60) == Claim("pending")
    await claims.complete("k", "r", owner="a", result=b"result \xff", ttl_s=60)
    assert await claims.claim("k", "r", owner="b", lease_s=60) == Claim("settled", b"result \xff")
    assert await claims.claim("k", "r", owner="a", lease_s=60) == Claim("settled", b"result \xff")


async def test_the_same_key_for_another_request_is_detected(claims: Claims) -> None:
    await claims.claim("k", "r", owner="a", lease_s=60)
    assert await claims.claim("k", "another", owner="b", lease_s=60) == Claim("other")
    await claims.complete("k", "r", owner="a", result=b"x", ttl_s=60)
    assert await claims.claim("k", "another", owner="b", lease_s=60) == Claim("other")


async def test_a_claim_given_back_is_free_and_nobody_else_can_give_it_back(claims: Claims) -> None:
    await claims.claim("k", "r", owner="a", lease_s=60)
    await claims.release("k", owner="b")
    assert await claims.claim("k", "r", owner="b", lease_s=60) == Claim("pending")
    await claims.release("k", owner="a")
    assert await claims.claim("k", "r", owner="b", lease_s=60) == Claim("ours")


async def test_a_settled_claim_is_not_given_back(claims: Claims) -> None:
    await claims.claim("k", "r", owner="a", lease_s=60)
    await claims.complete("k", "r", owner="a", result=b"x", ttl_s=60)
    await claims.release("k", owner="a")
    assert await claims.claim("k", "r", owner="b", lease_s=60) == Claim("settled", b"x")


async def test_a_dead_owners_claim_ends_with_its_lease(claims: Claims) -> None:
    await claims.claim("k", "r", owner="a", lease_s=0.02)

    async def free() -> bool:
        return await claims.claim("k", "r", owner="b", lease_s=60) == Claim("ours")

    await eventually(free)


async def test_what_leaves_is_pending_while_its_owner_lives_and_a_doubt_afterwards(claims: Claims) -> None:
    await claims.claim("k", "r", owner="a", lease_s=60)
    assert await claims.mark_in_doubt("k", "r", owner="a", result=b"?", lease_s=60, ttl_s=60) == Claim("ours")
    assert await claims.claim("k", "r", owner="b", lease_s=60) == Claim("pending")
    assert await claims.claim("k", "r", owner="a", lease_s=0.02) == Claim("ours"), "a renewal, the last one"

    async def doubted() -> bool:
        return await claims.claim("k", "r", owner="b", lease_s=60) == Claim("settled", b"?")

    await eventually(doubted)
    await claims.complete("k", "r", owner="a", result=b"result", ttl_s=60)
    assert await claims.claim("k", "r", owner="b", lease_s=60) == Claim("settled", b"result")


async def test_who_was_overtaken_cannot_leave(claims: Claims) -> None:
    await claims.claim("k", "r", owner="a", lease_s=60)
    assert await claims.mark_in_doubt("k", "r", owner="b", result=b"?", lease_s=60, ttl_s=60) == Claim("pending")
    await claims.complete("k", "r", owner="a", result=b"x", ttl_s=60)
    assert await claims.mark_in_doubt("k", "r", owner="b", result=b"?", lease_s=60, ttl_s=60) == Claim("settled", b"x")


async def test_only_one_of_many_is_first(claims: Claims) -> None:
    found = await asyncio.gather(*[claims.claim("k", "r", owner=f"{i}", lease_s=60) for i in range(20)])
    assert sorted(claim.state for claim in found) == ["ours"] + ["pending"] * 19


async def test_a_crowd_shares_few_connections_and_cancelled_commands_keep_none(
    valkey_server: Servers, key_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A busy machine takes its time for five hundred commands.
    monkeypatch.setattr("discordproxy_ratelimit.redis.link.ANSWER_S", 60.0)
    async with contextlib.aclosing(connect(valkey_server.url, timeout_s=60)) as client:
        claims = Claims(RedisLink(client), f"{{{key_prefix}:1}}:claim:")
        for _ in range(5):
            tasks = [asyncio.ensure_future(claims.set(f"{number}", b"x", ttl_s=60)) for number in range(500)]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks[::2]:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results)
        await asyncio.gather(*(claims.set(f"{number}", b"x", ttl_s=60) for number in range(500)))
        with blocking(valkey_server.operator_url) as operator:
            assert len(operator.client_list()) <= MAX_CONNECTIONS + 10  # Sentinels and replicas connect, too


async def test_an_unavailable_server_is_reported(key_prefix: str, tmp_path) -> None:
    link = RedisLink(connect(f"unix://{tmp_path}/nobody"))
    claims = Claims(link, f"{{{key_prefix}:1}}:claim:")
    for call in (
        claims.get("k"),
        claims.set("k", b"", ttl_s=1),
        claims.claim("k", "r", owner="a", lease_s=1),
        claims.release("k", owner="a"),
    ):
        with pytest.raises(BrokerUnavailableError):
            await call
    await link.close()


async def test_what_an_application_keeps_is_bounded_for_it_alone(claims: Claims) -> None:
    one, other = ClaimQuota("one", 10_000, 60), ClaimQuota("other", 10_000, 60)
    states = [(await claims.claim(f"k{number}", "r", owner="a", lease_s=60, keeper=one)).state for number in range(25)]
    assert (states.count("ours"), states[-1]) == (19, "full")
    assert await claims.claim("k0", "r", owner="b", lease_s=60, keeper=one) == Claim("pending"), "a known key"
    assert await claims.claim("mine", "r", owner="a", lease_s=60, keeper=other) == Claim("ours")
    await claims.release("k0", owner="b", keeper=one)
    assert (await claims.claim("new", "r", owner="a", lease_s=60, keeper=one)).state == "full"
    await claims.release("k0", owner="a", keeper=one)
    assert (await claims.claim("new", "r", owner="a", lease_s=60, keeper=one)).state == "ours"


async def test_results_count_by_their_size_until_they_are_gone(claims: Claims) -> None:
    keeper = ClaimQuota("one", 10_000, 0.5)
    await claims.claim("k", "r", owner="a", lease_s=60, keeper=keeper)
    await claims.complete("k", "r", owner="a", result=b"x" * 9_000, ttl_s=0.5, keeper=keeper)
    assert (await claims.claim("k2", "r", owner="a", lease_s=60, keeper=keeper)).state == "full"

    async def room() -> bool:
        return (await claims.claim("k3", "r", owner="a", lease_s=60, keeper=keeper)).state == "ours"

    await eventually(room)
