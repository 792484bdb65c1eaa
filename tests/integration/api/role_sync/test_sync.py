"""SyncGuildRoles changes what is wrong, by one request per member, and nothing else."""

import asyncio
from functools import partial

import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.role_sync.sync_guild_roles import SyncGuildRoles
from fakes.eventually import eventually
from strategies.guild_roles import OTHER_ROLE, role_world

EXACT, ADD_ONLY = pb.SyncGuildRolesRequest.EXACT, pb.SyncGuildRolesRequest.ADD_ONLY
MEMBER = "/guilds/{guild_id}/members/{user_id}"
EXTRA_ROLE = 430000000000000001
MANY_MEMBERS, MANY_ROLES, ABSENT = 5_000, 20, 30


async def test_five_thousand_members_and_twenty_roles(guild_of):
    made = role_world(MANY_MEMBERS, MANY_ROLES, wrong_share=0.1, absent=ABSENT)
    async with guild_of(made) as syncs:
        assert 400 < len(made.wrong) < 600
        dry = await syncs.sync(dry_run=True)
        assert syncs.requests() == []  # everything came from the caches
        assert {change.user_id for change in dry.plan.changes} == made.wrong
        assert (dry.plan.adds, dry.plan.removes) == (made.adds, made.removes)
        assert set(dry.plan.not_in_guild) == made.absent
        assert dry.plan.max_removals == 5 + made.held // 10
        assert dry.plan.listed_members == MANY_MEMBERS + 1
        assert dry.plan.freshness.source == pb.Freshness.CACHE
        assert dry.plan.freshness.complete
        assert dry.report.complete

        done = await syncs.sync(reason="as the database says")
        assert (done.status, done.report.complete, done.report.failed) == ("OK", True, 0)
        assert (done.report.changed, done.report.adds, done.report.removes) == (
            len(made.wrong),
            made.adds,
            made.removes,
        )
        assert sorted(syncs.written()) == sorted(made.wrong)  # one request each
        assert {each.reason for each in syncs.writes()} == {"as the database says"}
        assert len(syncs.requests()) == len(syncs.writes())
        assert made.wrong_now() == set()

        await syncs.until_right()
        again = await syncs.sync()
        assert (again.plan.members, again.report.changed, again.report.complete) == (0, 0, True)
        assert len(syncs.writes()) == len(made.wrong)
        assert not [each.path for each in syncs.requests() if each.status >= 400]


@pytest.mark.parametrize("over", [0, 1])
async def test_the_guard_trips_at_its_bound_before_the_first_change(guild_of, over):
    async with guild_of() as syncs:
        bound = syncs.made.removes - over
        done = await syncs.sync(max_removals=bound)
        assert done.plan.max_removals == bound
        if over:
            assert (done.status, done.reason) == ("FAILED_PRECONDITION", "TOO_MANY_REMOVALS")
            assert done.details["sent"] == "no"
            assert (done.report, syncs.writes()) == (None, [])
        else:
            assert done.report.complete
            assert syncs.made.wrong_now() == set()


async def test_an_empty_database_removes_nothing(guild_of):
    async with guild_of() as syncs:
        done = await syncs.sync({role: [] for role in syncs.made.wanted})
        assert (done.status, done.reason) == ("FAILED_PRECONDITION", "TOO_MANY_REMOVALS")
        assert done.plan.removes == syncs.made.held
        assert syncs.writes() == []


async def test_add_only_removes_nothing(guild_of):
    async with guild_of() as syncs:
        made = syncs.made
        before = {user_id: made.roles_of(user_id) for user_id in made.members}
        done = await syncs.sync(mode=ADD_ONLY, max_removals=0)
        assert (done.plan.removes, done.report.removes, done.report.adds) == (0, 0, made.adds)
        assert all(made.roles_of(user_id) >= roles for user_id, roles in before.items())


async def test_one_changed_role_takes_no_list_and_several_take_one(guild_of):
    async with guild_of() as syncs:
        plan = (await syncs.sync(dry_run=True)).plan
        await syncs.sync()
        methods = {int(each.path.split("/")[4]): each.method for each in syncs.writes()}
        for change in plan.changes:
            several = len(change.add) + len(change.remove) > 1
            single = "PUT" if change.add else "DELETE"
            assert methods[change.user_id] == ("PATCH" if several else single)


async def test_without_a_gateway_worker_members_are_read_by_pages(guild_of):
    made = role_world(2_500, 6, wrong_share=0.02)
    async with guild_of(made, gateway=False) as syncs:
        done = await syncs.sync()
        assert (done.plan.freshness.source, done.plan.freshness.age.ToMilliseconds()) == (pb.Freshness.REST, 0)
        assert done.report.complete
        assert made.wrong_now() == set()
        pages = [each for each in syncs.requests() if each.template == "/guilds/{guild_id}/members"]
        assert len(pages) == 3
        # The list of several roles is made from a new read of the member, not from a page that may be old.
        reads = [each.path for each in syncs.requests() if each.method == "GET" and each.template == MEMBER]
        lists = [each.path for each in syncs.writes() if each.method == "PATCH"]
        assert lists
        assert set(lists) <= set(reads)
        assert len(syncs.writes()) == len(made.wrong)


async def test_stale_caches_are_not_used(guild_of):
    async with guild_of(cache_max_age=0.2) as syncs:
        await syncs.cluster.stop_gateway()
        user_id = next(user for user in syncs.made.members if user not in syncs.made.wrong)
        syncs.cluster.discord.people.edit_member(syncs.made.guild_id, user_id, {"roles": []})  # nobody hears of it

        async def is_stale() -> bool:
            return (await syncs.sync(dry_run=True)).plan.freshness.source == pb.Freshness.REST

        await eventually(is_stale)
        done = await syncs.sync()
        assert done.report.complete
        assert syncs.made.wrong_now() == {user_id}  # it lost the role that no list contains
        assert syncs.made.roles_of(user_id) == {role for role, users in syncs.made.wanted.items() if user_id in users}


async def test_fresh_reads_from_discord(guild_of):
    async with guild_of() as syncs:
        done = await syncs.sync(fresh=True)
        assert done.plan.freshness.source == pb.Freshness.REST
        assert done.report.complete
        assert syncs.made.wrong_now() == set()


async def test_counts_come_while_it_runs(guild_of, monkeypatch):
    monkeypatch.setattr("discordproxy_api.wiring.bot_service.SyncGuildRoles", partial(SyncGuildRoles, progress_s=0.01))
    async with guild_of(role_world(300, 5, wrong_share=1.0)) as syncs:
        done = await syncs.sync(max_removals=10_000)
        assert done.report.complete
        assert done.counts
        assert {count.total for count in done.counts} == {done.plan.members}
        numbers = [count.done for count in done.counts]
        assert numbers == sorted(numbers)
        assert numbers[-1] <= done.plan.members


async def test_someone_elses_changes_after_the_plan_stay(guild_of, hold_writes):
    """A list that is made from old roles would revert them (discord.js 7879, api-docs 635)."""
    made = role_world(40, 6, wrong_share=1.0)
    made.guild.roles[str(EXTRA_ROLE)] = {**made.guild.roles[str(OTHER_ROLE)], "id": str(EXTRA_ROLE)}
    async with guild_of(made) as syncs:

        async def promote(_plan: pb.RoleSyncPlan) -> None:
            promoted = {user_id: {*made.roles_of(user_id), EXTRA_ROLE} for user_id in made.members}
            await asyncio.gather(*(syncs.change_at_discord(*each) for each in promoted.items()))
            hold_writes.set()

        done = await syncs.sync(max_removals=10_000, on_plan=promote)
        assert done.report.changed == len(made.wrong)
        assert all({EXTRA_ROLE, OTHER_ROLE} <= made.roles_of(user_id) for user_id in made.members)


async def test_what_someone_else_corrects_after_the_plan_needs_no_request(guild_of, hold_writes):
    made = role_world(40, 6, wrong_share=1.0)
    async with guild_of(made) as syncs:

        async def correct(plan: pb.RoleSyncPlan) -> None:
            change = plan.changes[0]
            roles = (made.roles_of(change.user_id) | set(change.add)) - set(change.remove)
            await syncs.change_at_discord(change.user_id, roles)
            hold_writes.set()

        done = await syncs.sync(max_removals=10_000, on_plan=correct)
        assert (done.report.unneeded, done.report.changed) == (1, len(made.wrong) - 1)
        assert done.plan.changes[0].user_id not in syncs.written()
        assert made.wrong_now() == set()


async def test_roles_that_someone_else_adds_after_the_plan_are_left_to_the_next_run(guild_of, hold_writes):
    """The guard has approved the removals of the plan, no others."""
    made = role_world(40, 6, wrong_share=1.0)
    async with guild_of(made) as syncs:
        given: dict[int, set[int]] = {}

        async def promote(plan: pb.RoleSyncPlan) -> None:
            for change in plan.changes[:5]:
                unlisted = {role for role, users in made.wanted.items() if change.user_id not in users}
                given[change.user_id] = unlisted - made.roles_of(change.user_id)
                roles = made.roles_of(change.user_id) | given[change.user_id]
                await syncs.change_at_discord(change.user_id, roles)
            hold_writes.set()

        done = await syncs.sync(max_removals=10_000, on_plan=promote)
        assert done.report.removes == done.plan.removes
        assert all(roles <= made.roles_of(user_id) for user_id, roles in given.items())
        again = await syncs.sync(max_removals=10_000)
        assert again.plan.removes == sum(map(len, given.values()))
        assert made.wrong_now() == set()


async def test_two_synchronizations_of_a_guild_at_once(guild_of):
    made = role_world(200, 6, wrong_share=1.0)
    async with guild_of(made) as syncs:
        both = [asyncio.create_task(syncs.sync(worker=worker, max_removals=10_000)) for worker in (0, 1)]
        done = [await each for each in both]
        assert sorted(each.status for each in done) == ["ABORTED", "OK"]
        refused = next(each for each in done if each.status == "ABORTED")
        assert (refused.reason, refused.plan, refused.details["sent"]) == ("ALREADY_RUNNING", None, "no")
        assert 0 < refused.details["retry_after"] <= 10
        assert sorted(syncs.written()) == sorted(made.wrong)
        assert made.wrong_now() == set()
        assert (await syncs.sync(worker=1)).status == "OK"  # the guild is free again
