"""A synchronization behind rate limits: no 429, and other calls for the same limit go first."""

import asyncio
from collections import Counter

from discordproxy import discord_api_pb2 as pb
from discordproxy_sandbox.limits.book import LimitBook, RouteLimit
from fakes.eventually import eventually
from strategies.guild_roles import OTHER_ROLE, role_world

MEMBER = "/guilds/{guild_id}/members/{user_id}"
ROLE = f"{MEMBER}/roles/{{role_id}}"


def limits() -> LimitBook:
    """Return limits of Discord's kind, thirty times faster."""
    lists = RouteLimit(limit=10, window_s=0.33, kind="fixed")
    singles = RouteLimit(limit=10, window_s=0.33, kind="fixed", group="member-roles")
    routes = {f"PATCH {MEMBER}": lists, f"PUT {ROLE}": singles, f"DELETE {ROLE}": singles}
    return LimitBook(routes=routes, default=None, global_limit=None)


async def test_the_broker_keeps_to_the_limits(guild_of):
    made = role_world(100, 6, wrong_share=1.0)
    async with guild_of(made, limits=limits()) as syncs:
        done = await syncs.sync(max_removals=10_000)
        assert (done.report.changed, made.wrong_now()) == (len(made.wrong), set())
        statuses = Counter(each.status for each in syncs.requests())
        assert statuses.keys() <= {200, 204}


async def test_a_normal_call_overtakes_the_synchronization(guild_of):
    made = role_world(200, 6, wrong_share=1.0)
    user_id = next(user for user in made.members if user not in made.wrong)
    async with guild_of(made, limits=limits()) as syncs:
        running = asyncio.create_task(syncs.sync(max_removals=10_000))
        await eventually(lambda: len(syncs.writes()) >= 20)
        request = pb.MemberRoleRequest(guild_id=made.guild_id, user_id=user_id, role_id=OTHER_ROLE)
        await syncs.cluster.stubs[1].AddMemberRole(request)
        assert len(syncs.written()) < len(made.wrong) / 2
        assert (await running).report.changed == len(made.wrong)


async def test_a_deadline_that_the_limits_exceed_ends_it_with_a_report(guild_of):
    slow = RouteLimit(limit=5, window_s=1_000.0, kind="fixed")
    made = role_world(100, 6, wrong_share=1.0)
    book = LimitBook(
        routes={f"PATCH {MEMBER}": slow, f"PUT {ROLE}": slow, f"DELETE {ROLE}": slow}, default=None, global_limit=None
    )
    async with guild_of(made, limits=book) as syncs:
        done = await syncs.sync(max_removals=10_000, timeout=120)
        assert (done.status, done.reason) == ("RESOURCE_EXHAUSTED", "WAIT_EXCEEDS_DEADLINE")
        assert done.details["retry_after"] > 120
        assert not done.report.complete
        assert done.report.changed + done.report.remaining == len(made.wrong)
        assert done.report.changed == len(syncs.written()) > 0
