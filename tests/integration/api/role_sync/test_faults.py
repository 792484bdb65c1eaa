"""What goes wrong midway: refusals, members who leave, deleted roles, errors of Discord, ends of the stream."""

import asyncio

import grpc
import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy_sandbox.gateway.gateway import GatewayConfig
from discordproxy_sandbox.rest.faults import Fault
from fakes.eventually import eventually
from integration.api.role_sync.helpers import Steps
from strategies.guild_roles import OTHER_ROLE, role_world

ROLE_PATH = r"/members/\d+"
WRITE = "PATCH|PUT|DELETE"


async def test_a_refusal_for_one_member_does_not_end_the_run(guild_of):
    """DiscordSRV Ascension 15, airwaylab 703: one member's error ended all, or was taken for success."""
    async with guild_of() as syncs:
        made = syncs.made
        victim = sorted(made.wrong)[len(made.wrong) // 2]
        syncs.cluster.discord.world.forbid(victim, 50013)
        done = await syncs.sync()
        assert (done.status, done.report.complete, done.report.failed) == ("OK", True, 1)
        (failure,) = done.report.failures
        assert (failure.user_id, failure.status, failure.code) == (victim, 403, 50013)
        assert failure.sent == pb.SENT_NO
        assert made.wrong_now() == {victim}
        assert sum(each.status == 403 for each in syncs.requests()) == 1
        syncs.cluster.discord.world.allow(victim)
        await syncs.until_right(except_for=1)
        again = await syncs.sync()
        assert (again.plan.members, again.report.changed) == (1, 1)
        assert made.wrong_now() == set()


async def test_a_member_who_leaves_midway_is_reported_and_not_retried(guild_of):
    """pawtograder 923: thirty users who never joined made 30,000 dead letters."""
    async with guild_of() as syncs:
        made = syncs.made
        last = sorted(made.wrong)[-3:]
        for user_id in last:  # no event reaches the caches: the request finds out
            made.guild.members.remove(str(user_id))
        done = await syncs.sync()
        assert (done.report.complete, done.report.failed) == (True, 0)
        assert sorted(done.report.left_guild) == last
        assert sum(each.status == 404 for each in syncs.requests()) == len(last)
        assert made.wrong_now() == set()


async def test_a_member_whose_leaving_the_caches_show_costs_no_request(guild_of, hold_writes):
    async with guild_of() as syncs:
        victim = max(syncs.made.wrong)

        async def leave(_plan: pb.RoleSyncPlan) -> None:
            syncs.cluster.discord.people.leave(syncs.made.guild_id, victim)

            async def is_gone() -> bool:
                request = pb.MemberId(guild_id=syncs.made.guild_id, user_id=victim)
                try:
                    await syncs.cluster.stubs[1].GetGuildMember(request)
                except grpc.aio.AioRpcError:
                    return True
                return False

            await eventually(is_gone)
            hold_writes.set()

        done = await syncs.sync(on_plan=leave)
        assert list(done.report.left_guild) == [victim]
        assert not [each for each in syncs.requests() if each.status >= 400]


async def test_a_role_that_is_deleted_midway(guild_of):
    """syncBot 19, api-docs 1587: 10011 ended the program."""
    made = role_world(400, 6, wrong_share=0.8)
    async with guild_of(made) as syncs:
        role_id = sorted(made.wanted)[2]
        made.after_updates(20, lambda: made.delete_role(role_id))
        done = await syncs.sync(max_removals=10_000)
        assert (done.status, done.report.complete, done.report.failed) == ("OK", True, 0)
        assert [(each.role_id, each.why) for each in done.report.not_assignable] == [
            (role_id, pb.UnassignableRole.UNKNOWN_ROLE)
        ]
        assert made.wrong_now() == set()
        assert sum(each.status == 404 for each in syncs.requests()) <= 16  # those that were on their way

        async def is_cached() -> bool:
            return bool((await syncs.sync(dry_run=True)).plan.not_assignable)

        await eventually(is_cached)
        await syncs.until_right()
        again = await syncs.sync(max_removals=10_000)
        assert [each.role_id for each in again.plan.not_assignable] == [role_id]
        assert (again.plan.members, again.report.changed) == (0, 0)


async def test_a_role_outside_the_lists_is_deleted_midway(guild_of):
    """A list of several roles contains those that stay, too."""
    made = role_world(400, 6, wrong_share=0.8)
    async with guild_of(made) as syncs:
        made.after_updates(20, lambda: made.delete_role(OTHER_ROLE))
        done = await syncs.sync(max_removals=10_000)
        assert (done.status, done.report.complete, done.report.failed) == ("OK", True, 0)
        assert list(done.report.not_assignable) == []
        assert made.wrong_now() == set()


@pytest.mark.parametrize("gateway", [True, False], ids=["cached", "uncached"])
async def test_errors_and_timeouts_of_discord_are_retried(guild_of, gateway):
    made = role_world(150, 6, wrong_share=0.5)
    async with guild_of(made, gateway=gateway, http_timeout=1.0) as syncs:
        faults = syncs.cluster.discord.faults
        faults.add(Fault(kind="status", status=500, method=WRITE, path=ROLE_PATH, skip=2, count=3))
        faults.add(Fault(kind="status", status=503, method=WRITE, path=ROLE_PATH, skip=4, count=2, when="after"))
        faults.add(Fault(kind="reset", method=WRITE, path=ROLE_PATH, skip=6, count=3, when="after"))
        faults.add(Fault(kind="silent", method=WRITE, path=ROLE_PATH, skip=8, count=2, when="after"))
        done = await syncs.sync(max_removals=10_000)
        assert (done.status, done.report.complete, done.report.failed) == ("OK", True, 0)
        assert (done.report.changed, made.wrong_now()) == (len(made.wrong), set())
        assert faults.queue == []


async def test_a_member_whose_request_always_fails_is_reported_as_unknown(guild_of):
    made = role_world(60, 6, wrong_share=0.3)
    async with guild_of(made) as syncs:
        victim = min(made.wrong)
        path = rf"/members/{victim}\b"
        syncs.cluster.discord.faults.add(Fault(kind="status", status=502, method=WRITE, path=path, count=100))
        done = await syncs.sync(max_removals=10_000)
        assert (done.report.complete, done.report.failed) == (True, 1)
        assert [(each.user_id, each.status, each.sent) for each in done.report.failures] == [
            (victim, 502, pb.SENT_UNKNOWN)
        ]
        assert 2 <= len([each for each in syncs.writes() if f"/{victim}" in each.path]) <= 6
        assert made.wrong_now() == {victim}


async def test_it_ends_if_discord_refuses_everybody(guild_of):
    made = role_world(200, 6, wrong_share=1.0)
    async with guild_of(made) as syncs:
        for user_id in made.wrong:
            syncs.cluster.discord.world.forbid(user_id, 50013)
        done = await syncs.sync(max_removals=10_000)
        assert (done.status, done.reason, done.details["code"]) == ("PERMISSION_DENIED", "TOO_MANY_FAILURES", 50013)
        assert not done.report.complete
        assert done.report.failed + done.report.remaining == len(made.wrong)
        assert len(syncs.writes()) <= 28


async def test_a_lost_permission_ends_it(guild_of):
    made = role_world(200, 6, wrong_share=1.0)
    owner = next(iter(made.members))
    made.guild.data["owner_id"] = str(owner)
    bot_role = {
        **made.guild.roles[made.guild.id],
        "id": "440000000000000001",
        "position": 100,
        "permissions": "268435456",
    }
    made.guild.roles[bot_role["id"]] = bot_role
    made.guild.members.get(made.world.bot_id)["roles"] = [bot_role["id"]]
    async with guild_of(made) as syncs:

        def revoke() -> None:
            bot_role["permissions"] = "0"
            made.world.emit("GUILD_ROLE_UPDATE", {"guild_id": made.guild.id, "role": bot_role}, made.guild.id)

        made.after_updates(30, revoke)
        done = await syncs.sync(max_removals=10_000)
        assert (done.status, done.reason) == ("FAILED_PRECONDITION", "MISSING_PERMISSIONS")
        assert (done.report.changed, done.report.complete) == (30, False)
        assert sum(each.status == 403 for each in syncs.writes()) <= 8

        async def is_refused_without_a_plan() -> bool:
            refused = await syncs.sync(dry_run=True)
            return (refused.reason, refused.plan) == ("MISSING_PERMISSIONS", None)

        await eventually(is_refused_without_a_plan)


async def test_a_caller_who_goes_away_stops_the_changes_and_the_next_run_does_the_rest(guild_of):
    made = role_world(600, 8, wrong_share=1.0)
    async with guild_of(made) as syncs:
        stream = syncs.stream(max_removals=10_000)
        made.after_updates(100, stream.cancel)
        steps = Steps()
        with pytest.raises(asyncio.CancelledError):
            await steps.read(stream)
        in_progress = syncs.cluster.metrics[0].registry.get_sample_value
        await eventually(lambda: in_progress("discordproxy_role_syncs") == 0)
        changed = len(syncs.written())
        assert 100 <= changed <= 400
        await syncs.until_right(except_for=len(made.wrong) - changed)
        done = await syncs.sync(max_removals=10_000)
        assert done.report.changed == len(made.wrong) - changed
        assert made.wrong_now() == set()
        assert len(syncs.written()) == len(made.wrong)


async def test_a_deadline_ends_it(guild_of):
    made = role_world(300, 8, wrong_share=1.0)  # without a deadline, the slow answers take ten seconds
    async with guild_of(made) as syncs:
        syncs.cluster.discord.faults.add(Fault(kind="slow", method=WRITE, path=ROLE_PATH, count=10_000, delay_s=0.3))
        deadline_s = 1
        while not syncs.written():  # on a slow machine, the first deadlines may end before the first change
            deadline_s *= 2
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                async for _step in syncs.stream(max_removals=10_000, timeout=deadline_s):
                    pass
            assert ended.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        syncs.cluster.discord.faults.clear()
        in_progress = syncs.cluster.metrics[0].registry.get_sample_value
        await eventually(lambda: in_progress("discordproxy_role_syncs") == 0)
        done = await syncs.sync(max_removals=10_000)
        assert 0 < done.report.changed < len(made.wrong)
        assert made.wrong_now() == set()


async def test_a_drain_ends_it_with_a_report(guild_of):
    made = role_world(300, 8, wrong_share=1.0)
    async with guild_of(made) as syncs:
        made.after_updates(100, syncs.cluster.drains[0].begin)
        done = await syncs.sync(max_removals=10_000)
        assert (done.status, done.reason) == ("UNAVAILABLE", "DRAINING")
        assert done.details["retry_after"] > 0
        assert done.report.changed + done.report.remaining == len(made.wrong)
        assert not done.report.complete
        await syncs.until_right(except_for=done.report.remaining)
        rest = await syncs.sync(max_removals=10_000, worker=1)
        assert rest.report.changed == done.report.remaining
        assert made.wrong_now() == set()


async def test_without_the_intent_of_the_application_members_cannot_be_listed(guild_of):
    made = role_world(50, 3)
    options = {"gateway_config": GatewayConfig(privileged=0), "intents": ("guilds", "messages")}
    async with guild_of(made, **options) as syncs:
        done = await syncs.sync()
        assert (done.status, done.reason, done.plan) == ("FAILED_PRECONDITION", "INTENT_OFF", None)
        assert "GUILD_MEMBERS" in done.details["text"]
        assert syncs.writes() == []


async def test_without_the_intent_of_the_gateway_worker_members_are_read_by_pages(guild_of):
    made = role_world(300, 5)
    async with guild_of(made, intents=("guilds", "messages")) as syncs:
        done = await syncs.sync()
        assert done.plan.freshness.source == pb.Freshness.REST
        assert (done.report.changed, made.wrong_now()) == (len(made.wrong), set())


async def test_redis_that_is_lost_ends_it(own_valkey, key_prefix, guild_of):
    made = role_world(300, 8, wrong_share=1.0)
    async with guild_of(made, url=own_valkey.url) as syncs:
        made.after_updates(100, own_valkey.stop)
        done = await syncs.sync(max_removals=10_000)
        assert (done.status, done.reason) == ("UNAVAILABLE", "BROKER_UNAVAILABLE")
        assert not done.report.complete
        assert len(syncs.written()) < len(made.wrong)
