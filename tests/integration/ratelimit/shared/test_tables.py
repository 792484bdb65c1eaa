"""Tables of records that all workers share: a change is made completely, or not if somebody else was earlier."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from discordproxy_ratelimit.errors import BrokerUnavailableError
from discordproxy_ratelimit.redis.client import connect
from discordproxy_ratelimit.redis.link import RedisLink
from discordproxy_ratelimit.shared.tables import KEPT_S, RecordChange, Tables


@pytest.fixture
async def link(valkey: str) -> AsyncIterator[RedisLink]:
    link = RedisLink(connect(valkey))
    await link.until_up()
    yield link
    await link.close()


@pytest.fixture
def tables(link: RedisLink, key_prefix: str) -> Tables:
    return Tables(link, f"{{{key_prefix}:1}}:table:")


async def test_records_are_added_changed_and_removed(tables: Tables) -> None:
    assert await tables.read("t") == {}
    assert await tables.record("t", "a") is None
    assert await tables.change("t", [RecordChange("a", b"", b"1"), RecordChange("b", b"", b"\x00\xff")])
    assert await tables.read("t") == {"a": b"1", "b": b"\x00\xff"}
    assert await tables.change("t", [RecordChange("a", b"1", b"2"), RecordChange("b", b"\x00\xff", b"")])
    assert await tables.read("t") == {"a": b"2"}
    assert await tables.record("t", "a") == b"2"
    assert await tables.read("other") == {}


@pytest.mark.parametrize("before", [b"", b"0"], ids=["no record", "another record"])
async def test_a_change_is_made_completely_or_not_at_all(tables: Tables, before: bytes) -> None:
    await tables.change("t", [RecordChange("a", b"", b"1")])
    assert not await tables.change("t", [RecordChange("new", b"", b"1"), RecordChange("a", before, b"2")])
    assert await tables.read("t") == {"a": b"1"}


async def test_one_of_many_workers_is_the_first(tables: Tables) -> None:
    made = await asyncio.gather(
        *(tables.change("t", [RecordChange("a", b"", str(number).encode())]) for number in range(20))
    )
    assert made.count(True) == 1
    assert (await tables.read("t"))["a"] == str(made.index(True)).encode()


async def test_a_table_ends_long_after_its_last_use(tables: Tables, valkey: str, key_prefix: str) -> None:
    await tables.change("t", [RecordChange("a", b"", b"1")])
    client, key = connect(valkey), f"{{{key_prefix}:1}}:table:t"
    await client.pexpire(key, 1000)
    await tables.read("t")
    assert KEPT_S * 1000 - 60_000 < await client.pttl(key) <= KEPT_S * 1000
    await client.aclose()


async def test_without_a_server_every_use_fails(key_prefix: str) -> None:
    link = RedisLink(connect("unix:///nowhere/valkey.sock"))
    tables = Tables(link, f"{{{key_prefix}:1}}:table:")
    for use in (tables.read("t"), tables.record("t", "a"), tables.change("t", [])):
        with pytest.raises(BrokerUnavailableError):
            await use
    await link.close()
