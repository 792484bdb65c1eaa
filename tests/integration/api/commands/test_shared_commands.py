"""Two applications that synchronize at once over three workers, on a real server."""

import asyncio
import itertools
import random

import pytest

from discordproxy_ratelimit.redis.client import connect
from discordproxy_sandbox.rest.faults import Fault
from integration.api.commands.conftest import App, Commands, command, commands
from processes.cluster import cluster


@pytest.fixture
async def three(valkey, key_prefix):
    """Three API workers and no gateway worker."""
    async with cluster(valkey, key_prefix, workers=3) as whole:
        yield whole


def assert_consistent(three, owners, expected):
    """Every application has exactly its commands."""
    at_discord = Commands(three.discord)
    assert at_discord.names == {name for names in expected.values() for name in names}
    assert owners == {name: app for app, names in expected.items() for name in names}


async def test_two_applications_in_turn_and_at_once(three):
    shops = [App(stub, "shop") for stub in three.stubs]
    banks = [App(stub, "bank") for stub in three.stubs]
    chosen = random.Random(1)
    for round_ in range(6):
        own, other = commands(3 + round_ * 2, "s", f"text {round_}"), commands(12 - round_ * 2, "b", f"text {round_}")
        if round_ % 2:
            await chosen.choice(shops).sync(*own)
            await chosen.choice(banks).sync(*other)
        else:
            left, right = chosen.sample(range(3), 2)
            await asyncio.gather(shops[left].sync(*own), banks[right].sync(*other))
        expected = {"shop": [each.name for each in own], "bank": [each.name for each in other]}
        assert_consistent(three, await shops[0].owners(), expected)
    records = [each for each in three.discord.ledger.records if "/commands" in each.path and each.method != "GET"]
    assert all(later.arrived_at >= one.answered_at for one, later in itertools.pairwise(records))


async def test_many_applications_at_once(three):
    apps = [App(three.stubs[number % 3], f"app{number}") for number in range(9)]
    three.discord.faults.add(Fault(kind="slow", method="(PUT|POST)", path="/commands", delay_s=0.02, count=20))
    declared = {app.name: commands(2 + number, f"{app.name}-") for number, app in enumerate(apps)}
    await asyncio.gather(*(app.sync(*declared[app.name]) for app in apps))
    expected = {name: [each.name for each in found] for name, found in declared.items()}
    assert_consistent(three, await apps[0].owners(), expected)


async def test_one_name_and_two_applications_at_once(three):
    shop, bank = App(three.stubs[0], "shop"), App(three.stubs[1], "bank")
    outcomes = await asyncio.gather(
        shop.sync(command("help", "Of the shop")), bank.sync(command("help", "Of the bank")), return_exceptions=True
    )
    (refused,) = [each for each in outcomes if isinstance(each, Exception)]
    assert refused.code().name == "ALREADY_EXISTS"
    (owner,) = set((await shop.owners()).values())
    assert Commands(three.discord)["help"]["description"] == f"Of the {owner}"


async def test_a_flushed_server(three, valkey, key_prefix):
    shop, bank = App(three.stubs[0], "shop"), App(three.stubs[1], "bank")
    await shop.sync(*commands(8, "s"))
    await bank.sync(*commands(3, "b"))
    client = connect(valkey)
    keys = [key async for key in client.scan_iter(match=f"*{key_prefix}*")]
    for key in keys:
        await client.delete(key)
    await client.aclose()
    assert set((await shop.owners()).values()) == {""}
    found = await asyncio.gather(shop.sync(*commands(8, "s")), bank.sync(*commands(3, "b")))
    assert {action for each in found for action in each.values()} == {"ADOPTED"}
    assert set((await shop.owners()).values()) == {"shop", "bank"}


async def test_a_library_that_replaces_the_list_waits_for_a_synchronization(three):
    """Both read and write the list; one must not write back what the other has changed meanwhile."""
    shop = App(three.stubs[0], "shop")
    await shop.sync(*commands(8))
    three.discord.faults.add(Fault(kind="slow", method="PUT", path="/commands", delay_s=0.2))
    syncing = asyncio.create_task(shop.sync(*commands(8, description="Changed")))
    await asyncio.gather(syncing, App(three.stubs[1], "library").replace([{"name": "own", "description": "x"}]))
    records = [each for each in three.discord.ledger.records if "/commands" in each.path and each.method != "GET"]
    assert all(later.arrived_at >= one.answered_at for one, later in itertools.pairwise(records))


async def test_the_table_of_a_cluster_lies_in_one_slot(three, valkey, key_prefix):
    await App(three.stubs[0], "shop").sync(command("shop"))
    client = connect(valkey)
    (key,) = [key async for key in client.scan_iter(match=f"*{key_prefix}*:table:*")]
    assert key.decode().startswith(f"{{{key_prefix}:100000000000000001}}:table:commands:0")
    assert 300 * 86_400_000 < await client.pttl(key) <= 400 * 86_400_000
    await client.aclose()
