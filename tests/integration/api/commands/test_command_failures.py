"""Failures at each step of a synchronization: what remains, what is reported, and how the next call continues."""

import asyncio

import grpc
import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.commands.ownership import OwnedCommand
from discordproxy_api.pipeline import in_order
from discordproxy_ratelimit.shared.claims import Claim
from discordproxy_sandbox.rest.faults import Fault
from fakes.eventually import eventually
from integration.api.commands.conftest import App, command, commands
from integration.api.conftest import serve


def lose_answers(discord, method, count=1, **where):
    """Discord makes a change, but its answer is lost."""
    discord.faults.add(Fault(kind="reset", when="after", method=method, path="/commands", count=count, **where))


def fail(discord, method, status=500, count=1, **where):
    discord.faults.add(Fault(kind="status", status=status, method=method, path="/commands", count=count, **where))


def lose_records(served):
    """Redis fails between the change at Discord and its record."""
    tables, change = served.broker.tables, served.broker.tables.change

    async def fails_for_records(table, changes):
        changes = list(changes)
        if any(each.before for each in changes):  # records of changes; reservations have no former value here
            tables.down = True
        return await change(table, changes)

    tables.change = fails_for_records
    return lambda: (setattr(tables, "down", False), setattr(tables, "change", change))


@pytest.fixture(params=[3, 8], ids=["single changes", "replaced list"])
def declared(request):
    return commands(request.param)


# A worker that ends between the change and the record


async def test_a_change_without_its_record_is_recognized(shop, bank, at_discord, served, declared):
    restore = lose_records(served)
    assert set((await shop.sync(*declared)).values()) == {"CREATED"}
    restore()
    ids = {each["id"] for each in at_discord.of(0)}
    assert "belongs to the application shop" in (await bank.fails(declared[0])).text
    assert (await bank.sync(command("bank"))) == {"bank": "CREATED"}
    at_discord.clear_requests()
    assert set((await shop.sync(*declared)).values()) == {"UNCHANGED"}
    assert at_discord.requests == ["GET"]
    assert {each["id"] for each in at_discord.of(0) if each["name"] != "bank"} == ids


async def test_a_change_without_its_record_is_deleted_if_it_is_not_declared_any_more(
    shop, at_discord, served, declared
):
    restore = lose_records(served)
    await shop.sync(*declared)
    restore()
    at_discord.add("foreign")
    assert set((await shop.sync()).values()) == {"DELETED"}
    assert at_discord.names == {"foreign"}


async def test_a_change_without_its_record_is_updated(shop, at_discord, served, declared):
    restore = lose_records(served)
    await shop.sync(*declared)
    restore()
    changed = [command(each.name, "Changed") for each in declared]
    assert set((await shop.sync(*changed)).values()) == {"UPDATED"}
    assert {each["description"] for each in at_discord.of(0)} == {"Changed"}


async def test_a_reservation_without_its_change_blocks_nobody_for_long(shop, bank, at_discord, served):
    fail(at_discord.discord, "POST", status=400)
    assert (await shop.fails(command("shop"))).details["status"] == 400
    assert await bank.sync(command("shop")) == {"shop": "CREATED"}


async def test_a_lease_that_is_lost_midway(shop, bank, at_discord, served, monkeypatch):
    """Another worker may have changed the list since, so the remaining changes are planned again."""
    monkeypatch.setattr(in_order, "MARGIN_S", in_order.LEASE_S + 1)  # each change requires a renewal
    claims, claim = served.broker.claims, served.broker.claims.claim
    renewals = []

    async def lost_once(key, *arguments, **more):
        renewals.append(key)
        if len(renewals) == 3:  # the lease, the first change, the second change
            claims.claims.pop(key)
            at_discord.add("foreign")
            return Claim("pending")
        return await claim(key, *arguments, **more)

    monkeypatch.setattr(claims, "claim", lost_once)
    assert await shop.sync(*commands(3)) == {"c0": "CREATED", "c1": "CREATED", "c2": "CREATED"}
    assert at_discord.requests == ["GET", "POST", "GET", "POST", "POST"]
    assert at_discord.names == {"c0", "c1", "c2", "foreign"}
    assert await shop.owners() == {**dict.fromkeys(["c0", "c1", "c2"], "shop"), "foreign": ""}


async def test_another_worker_changes_the_table_although_it_has_no_lease(shop, bank, at_discord, served):
    """Reservations are written only if nothing has changed since the table was read."""
    tables, change = served.broker.tables, served.broker.tables.change
    attempts = []

    async def contested(table, changes):
        attempts.append(table)
        if len(attempts) == 1:
            tables.kept.setdefault(table, {})["1:c0"] = OwnedCommand("bank", "5", "x", "x", 0.0).encode()
        return await change(table, changes)

    tables.change = contested
    refusal = await shop.fails(*commands(2))
    assert (refusal.status, refusal.details["conflicts"]) == ("ALREADY_EXISTS", "/c0=bank")
    assert at_discord.changes == []


# Redis


async def test_without_redis_nothing_is_changed(shop, at_discord, served):
    await shop.sync(command("shop"))
    served.broker.tables.down = True
    refusal = await shop.fails(command("shop", "Changed"))
    assert (refusal.status, refusal.details["sent"]) == ("UNAVAILABLE", "no")
    assert at_discord["shop"]["description"] == "A command"
    assert at_discord.changes == ["POST"]


async def test_lost_records_are_adopted_and_nothing_else_is_touched(shop, bank, at_discord, served):
    await shop.sync(*commands(8))
    await bank.sync(*commands(8, "b"))
    served.broker.tables.kept.clear()
    at_discord.clear_requests()
    assert set((await shop.sync(*commands(8))).values()) == {"ADOPTED"}
    assert at_discord.requests == ["GET"]
    assert await shop.sync(*commands(7)) == {**{f"c{n}": "UNCHANGED" for n in range(7)}, "c7": "DELETED"}
    assert len(at_discord.of(0)) == 15
    refusal = await bank.fails(*commands(8, "b", "Changed"))
    assert (refusal.status, refusal.reason) == ("ALREADY_EXISTS", "COMMAND_EXISTS")
    assert await bank.sync(*commands(7, "b")) == {f"b{n}": "ADOPTED" for n in range(7)}
    assert "b7" in at_discord.names  # nothing proves that it was the bank's


# Discord's errors


async def test_an_error_in_the_middle_names_what_was_changed(shop, at_discord):
    fail(at_discord.discord, "POST", status=400, skip=1)
    refusal = await shop.fails(*commands(3))
    assert (refusal.status, refusal.details["sent"]) == ("INVALID_ARGUMENT", "yes")
    assert "This is about /c1." in refusal.text
    assert refusal.details["changed"] == "CREATED /c0"
    assert "unknown" not in refusal.details
    assert at_discord.names == {"c0"}
    assert await shop.sync(*commands(3)) == {"c0": "UNCHANGED", "c1": "CREATED", "c2": "CREATED"}


async def test_a_change_with_an_unknown_outcome_is_repeated(shop, at_discord):
    lose_answers(at_discord.discord, "POST")
    lose_answers(at_discord.discord, "PATCH")
    lose_answers(at_discord.discord, "DELETE")
    await shop.sync(command("shop"), command("old"))
    assert await shop.sync(command("shop", "Changed")) == {"shop": "UPDATED", "old": "DELETED"}
    assert [(each["name"], each["description"]) for each in at_discord.of(0)] == [("shop", "Changed")]


async def test_an_unknown_outcome_is_reported_and_found_out_by_the_next_call(shop, bank, at_discord):
    lose_answers(at_discord.discord, "POST", count=5, skip=1)
    refusal = await shop.fails(*commands(3))
    assert (refusal.status, refusal.details["sent"]) == ("UNAVAILABLE", "yes")
    assert (refusal.details["changed"], refusal.details["unknown"]) == ("CREATED /c0", "/c1")
    assert "Whether it was changed is unknown: /c1." in refusal.text
    assert at_discord.names == {"c0", "c1"}
    assert "belongs to the application shop" in (await bank.fails(command("c1"))).text
    assert await bank.sync(command("c2")) == {"c2": "CREATED"}  # it was not tried, and is free
    assert await bank.sync() == {"c2": "DELETED"}
    assert await shop.sync(*commands(3)) == {"c0": "UNCHANGED", "c1": "UNCHANGED", "c2": "CREATED"}


async def test_a_replaced_list_with_an_unknown_outcome_is_read_again(shop, bank, at_discord):
    await bank.sync(command("bank"))
    lose_answers(at_discord.discord, "PUT")
    at_discord.clear_requests()
    assert set((await shop.sync(*commands(8))).values()) == {"CREATED"}
    assert at_discord.requests == ["GET", "PUT", "GET"]
    assert len(at_discord.of(0)) == 9


async def test_a_list_that_was_not_replaced_is_planned_again(shop, at_discord):
    """Meanwhile another program has added a command: the first list must not be sent again."""
    fail(at_discord.discord, "PUT")
    world = at_discord.discord.world
    task = asyncio.create_task(shop.sync(*commands(8)))
    await eventually(lambda: "PUT" in at_discord.requests)
    at_discord.add("foreign")
    assert set((await task).values()) == {"CREATED"}
    assert at_discord.requests == ["GET", "PUT", "GET", "PUT"]
    assert "foreign" in {each["name"] for each in world.commands[""].values()}


async def test_attempts_to_replace_a_list_are_limited(shop, bank, at_discord):
    fail(at_discord.discord, "PUT", count=100)
    refusal = await shop.fails(*commands(8))
    assert refusal.details["sent"] == "unknown"
    assert "The next synchronization finds out." in refusal.text
    assert at_discord.requests.count("PUT") == 3
    at_discord.discord.faults.clear()
    assert set((await shop.sync(*commands(8))).values()) == {"CREATED"}


async def test_a_refused_list_changes_nothing_and_names_the_field(shop, bank, at_discord):
    await bank.sync(command("bank"))
    translated = command("c9", name_localizations={"xx": "no-locale"})
    at_discord.clear_requests()
    refusal = await shop.fails(*commands(8), translated)
    assert (refusal.status, refusal.details["sent"]) == ("INVALID_ARGUMENT", "no")
    assert [each["path"] for each in refusal.details["fields"]] == ["commands[8].name_localizations.xx"]
    assert "In commands.8.name_localizations.xx: " in refusal.text
    assert at_discord.requests == ["GET", "PUT"]
    assert at_discord.names == {"bank"}
    assert await bank.sync(command("bank"), command("c9")) == {"bank": "UNCHANGED", "c9": "CREATED"}


async def test_an_invalid_field_of_a_single_command_is_named(shop, at_discord):
    refusal = await shop.fails(command("a"), command("b", name_localizations={"xx": "no-locale"}))
    assert [each["path"] for each in refusal.details["fields"]] == ["commands[1].name_localizations.xx"]


async def test_a_command_of_others_that_discord_no_longer_accepts_does_not_prevent_changes(shop, at_discord):
    at_discord.add("Old-Name")
    assert set((await shop.sync(*commands(8))).values()) == {"CREATED"}
    assert at_discord.changes == ["PUT", *["POST"] * 8]
    assert at_discord["Old-Name"]


async def test_a_command_that_is_deleted_meanwhile_is_created_again(shop, at_discord):
    await shop.sync(command("shop"))
    at_discord.discord.world.list_old_commands(1)
    at_discord.discord.world.commands_before[""] = at_discord.of(0)
    at_discord.discord.world.commands[""].clear()
    assert await shop.sync(command("shop", "Changed")) == {"shop": "UPDATED"}
    assert at_discord.changes == ["POST", "PATCH", "POST"]
    assert at_discord.names == {"shop"}
    assert await shop.sync(command("shop", "Changed")) == {"shop": "UNCHANGED"}


# Old lists


async def test_an_old_list_without_the_own_command(shop, at_discord):
    """As in quarkus-discord4j#49: a command was deleted right after its creation, as the list did not contain it."""
    await shop.sync(command("shop"))
    (before,) = at_discord.of(0)
    at_discord.discord.world.list_old_commands(1)
    assert await shop.sync(command("shop")) == {"shop": "CREATED"}
    assert [each["id"] for each in at_discord.of(0)] == [before["id"]]
    assert await shop.sync(command("shop")) == {"shop": "UNCHANGED"}


async def test_an_old_list_with_a_deleted_command(shop, at_discord):
    await shop.sync(command("shop"))
    await shop.sync()
    at_discord.discord.world.list_old_commands(2)
    assert await shop.owners() == {}
    assert await shop.sync(command("shop")) == {"shop": "CREATED"}
    assert at_discord.names == {"shop"}


async def test_an_old_list_without_a_command_that_is_not_declared_any_more(shop, at_discord):
    await shop.sync(command("shop"))
    at_discord.discord.world.list_old_commands(1)
    assert await shop.sync() == {"shop": "DELETED"}
    assert at_discord.of(0) == []


@pytest.mark.parametrize("count", [3, 8])
async def test_an_old_list_without_commands_of_others_removes_none(shop, bank, at_discord, count):
    await bank.sync(command("first"))
    await bank.sync(command("first"), command("second"))
    at_discord.discord.world.list_old_commands(1)
    assert set((await shop.sync(*commands(count))).values()) == {"CREATED"}
    assert {"first", "second"} <= at_discord.names
    assert "PUT" not in at_discord.changes


async def test_an_old_list_does_not_revert_commands_of_others(shop, bank, at_discord):
    await bank.sync(command("bank", "Before"))
    await bank.sync(command("bank", "After"))
    at_discord.discord.world.list_old_commands(1)
    await shop.sync(*commands(8))
    assert at_discord["bank"]["description"] == "After"


# The caller


async def test_a_caller_that_disconnects_leaves_a_state_to_continue_from(shop, at_discord, served):
    at_discord.discord.faults.add(Fault(kind="slow", method="POST", delay_s=0.3, skip=1))
    call = asyncio.create_task(shop.answer(*commands(4)))
    await eventually(lambda: len(served.broker.acquired) >= 4)  # application, list, two changes
    call.cancel()
    await eventually(lambda: len(at_discord.of(0)) >= 2)
    assert set(await shop.sync(*commands(4))) == {"c0", "c1", "c2", "c3"}
    assert len(at_discord.of(0)) == 4


async def test_a_call_without_enough_time_is_continued_by_the_next_one(discord):
    async with serve(discord, http_timeout=0.5) as served:
        shop = App(served.stub, "shop")
        discord.faults.add(Fault(kind="silent", method="POST"))
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await shop.answer(command("shop"), timeout=0.3)
        assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert await shop.sync(command("shop")) == {"shop": "CREATED"}


async def test_a_repeated_call_with_an_idempotency_key_changes_nothing(shop, at_discord):
    options = pb.RequestOptions(idempotency_key="deploy-7")
    first = await shop.answer(command("shop"), options=options)
    await shop.sync()
    assert await shop.answer(command("shop"), options=options) == first
    assert at_discord.names == set()


async def test_two_releases_of_an_application_at_once(discord, at_discord):
    async with serve(discord) as served:
        apps = [App(served.stub, "shop")] * 2
        await asyncio.gather(apps[0].sync(*commands(8)), apps[1].sync(*commands(8, "d")))
    names = {each["name"] for each in discord.world.commands[""].values()}
    assert names in ({f"c{n}" for n in range(8)}, {f"d{n}" for n in range(8)})
