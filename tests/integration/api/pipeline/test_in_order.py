"""Changes of parts of one object: none is lost, whichever workers serve them and whichever of them die."""

import asyncio
import itertools
import random

import grpc
import orjson
import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.pipeline import in_order as module
from discordproxy_api.pipeline.in_order import InOrder
from discordproxy_api.rpcs.ordering import order_of
from discordproxy_sandbox.rest.faults import Fault
from discordproxy_sandbox.world.objects import make_role
from discordproxy_sandbox.world.population import GUILD_ID, ROLE_ID, USER_ID, add_guilds, nth
from fakes.broker import FakeClaims
from fakes.eventually import eventually
from processes.cluster import cluster

GUILD, USER = int(GUILD_ID), int(USER_ID)
ADMIN, MODERATOR, MEMBER = (int(nth(ROLE_ID, number)) for number in range(3))
OTHER = int(nth(ROLE_ID, 9))


@pytest.fixture
async def three(valkey, key_prefix):
    """Three API workers and no gateway worker."""
    async with cluster(valkey, key_prefix, workers=3) as whole:
        whole.discord.limits.set_global(None)
        yield whole


async def test_no_role_is_lost_between_three_workers(three):
    world = three.discord.world
    (guild_id,) = add_guilds(world, 1, members=100)
    guild = world.guilds[guild_id]
    roles = [int(nth(guild_id, number)) for number in range(1, 8)]
    guild.roles |= {str(role): make_role(str(role), f"r{role}", 1) for role in roles}
    left, right, single, listed = set(roles[:3]), set(roles[3:5]), roles[5], roles[6]
    stubs, chance = three.stubs, random.Random(1)

    def calls(user_id):
        mine = {"guild_id": int(guild_id), "user_id": int(user_id)}
        first, second, third = chance.sample(stubs, 3)
        path = f"/guilds/{guild_id}/members/{user_id}/roles/{listed}"
        return [
            first.SyncMemberRoles(pb.SyncMemberRolesRequest(roles=left, managed=left, **mine)),
            second.SyncMemberRoles(pb.SyncMemberRolesRequest(roles=right, managed=right, **mine)),
            third.AddMemberRole(pb.MemberRoleRequest(role_id=single, **mine)),
            *([first.Request(pb.ApiRequest(method="PUT", path=path))] if int(user_id) % 10 == 0 else []),
        ]

    def expected(user_id):
        return {str(role) for role in roles if role != listed or int(user_id) % 10 == 0}

    members = [user_id for user_id in guild.members if user_id != world.bot_id]
    waiting = [call for user_id in members for call in calls(user_id)]
    for call in waiting:
        await call
    wrong = [one for one in members if set(guild.members.get(one)["roles"]) != expected(one)]
    assert (len(members), wrong) == (100, [])


async def test_the_role_changes_of_a_member_never_overlap(three):
    """Discord loses one of two concurrent changes (discord-api-docs#6289)."""
    three.discord.faults.add(Fault(kind="slow", path=".*/roles/.*", delay_s=0.05, count=6))
    mine = {"guild_id": GUILD, "user_id": USER}
    await asyncio.gather(
        three.stubs[0].AddMemberRole(pb.MemberRoleRequest(role_id=ADMIN, **mine)),
        three.stubs[1].RemoveMemberRole(pb.MemberRoleRequest(role_id=MEMBER, **mine)),
        three.stubs[2].EditGuildMember(pb.EditGuildMemberRequest(roles=[MODERATOR], **mine)),
        three.stubs[0].RemoveMemberRole(pb.MemberRoleRequest(role_id=ADMIN, **mine)),
    )
    records = [each for each in three.discord.ledger.records if "/members/" in each.path]
    assert len(records) == 4
    assert all(later.arrived_at >= one.answered_at for one, later in itertools.pairwise(records))


async def test_a_list_is_computed_again_if_its_outcome_is_unknown(served):
    world, people = served.discord.world, served.discord.people
    world.guilds[GUILD_ID].roles[str(OTHER)] = make_role(str(OTHER), "other", 1)
    served.discord.faults.add(Fault(kind="reset", method="PATCH", when="after"))

    def other_change(event):
        if event.name == "GUILD_MEMBER_UPDATE":
            world.listeners.remove(other_change)
            people.edit_member(GUILD, USER, {"roles": [str(MEMBER), str(OTHER)]})

    world.listeners.append(other_change)
    request = pb.SyncMemberRolesRequest(
        guild_id=GUILD, user_id=USER, roles=[ADMIN, MODERATOR], managed=[ADMIN, MODERATOR]
    )
    answer = await served.stub.SyncMemberRoles(request)
    assert list(answer.added) == [ADMIN, MODERATOR]
    roles = {int(role) for role in world.guilds[GUILD_ID].members.get(USER_ID)["roles"]}
    assert roles == {ADMIN, MODERATOR, MEMBER, OTHER}
    assert [each.method for each in served.discord.ledger.records] == ["GET", "PATCH", "GET", "PATCH"]


async def test_the_attempts_to_write_a_list_are_limited(served):
    served.discord.faults.add(Fault(kind="status", status=500, method="PATCH", count=100))
    request = pb.SyncMemberRolesRequest(
        guild_id=GUILD, user_id=USER, roles=[ADMIN, MODERATOR], managed=[ADMIN, MODERATOR]
    )
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await served.stub.SyncMemberRoles(request)
    assert orjson.loads(failed.value.details())["sent"] == "unknown"
    assert [each.method for each in served.discord.ledger.records].count("PATCH") == 5


MEMBER_PATH, CHANNEL_PATH = "/guilds/{guild_id}/members/{user_id}", "/channels/{channel_id}"
MESSAGE_PATH = f"{CHANNEL_PATH}/messages/{{message_id}}"
WEBHOOK_PATH = "/webhooks/{webhook_id}/{webhook_token}/messages"
COMMANDS_PATH, OF_GUILD = "/applications/{{application_id}}{}/commands", "/guilds/{guild_id}"
IDS = {"guild_id": "1", "user_id": "2", "channel_id": "3", "message_id": "4", "webhook_token": "t"}


@pytest.mark.parametrize(
    ("method", "template", "keys", "order"),
    [
        ("PUT", f"{MEMBER_PATH}/roles/{{role_id}}", (), "roles:1:2"),
        ("DELETE", f"{MEMBER_PATH}/roles/{{role_id}}", (), "roles:1:2"),
        ("PATCH", MEMBER_PATH, ("nick", "roles"), "roles:1:2"),
        ("PATCH", MEMBER_PATH, ("nick",), ""),
        ("PUT", MEMBER_PATH, ("roles",), ""),
        ("PUT", f"{CHANNEL_PATH}/permissions/{{overwrite_id}}", ("allow",), "overwrites:3"),
        ("DELETE", f"{CHANNEL_PATH}/permissions/{{overwrite_id}}", (), "overwrites:3"),
        ("PATCH", CHANNEL_PATH, ("permission_overwrites",), "overwrites:3"),
        ("PATCH", CHANNEL_PATH, ("name",), ""),
        ("PATCH", MESSAGE_PATH, ("content", "attachments"), "attachments:4"),
        ("PATCH", MESSAGE_PATH, ("content",), ""),
        ("POST", f"{CHANNEL_PATH}/messages", ("attachments",), ""),
        ("PATCH", f"{WEBHOOK_PATH}/{{message_id}}", ("attachments",), "attachments:4"),
        ("PUT", COMMANDS_PATH.format(""), (), "commands:0"),
        ("PUT", f"{COMMANDS_PATH.format(OF_GUILD)}/", (), "commands:1"),
        ("DELETE", f"{COMMANDS_PATH.format(OF_GUILD)}/{{command_id}}", (), "commands:1"),
        ("GET", COMMANDS_PATH.format(""), (), ""),
        ("PUT", f"{COMMANDS_PATH.format(OF_GUILD)}/{{command_id}}/permissions", (), ""),
    ],
)
def test_names_of_serialized_changes(method, template, keys, order):
    parameters = {name: value for name, value in IDS.items() if f"{{{name}}}" in template} | {"webhook_token": "t"}
    assert order_of(method, template, parameters, keys) == order


def test_the_original_response_is_named_by_its_token():
    parameters = {"webhook_id": "1", "webhook_token": "t"}
    assert order_of("PATCH", f"{WEBHOOK_PATH}/@original", parameters, ("attachments",)) == "attachments:t"


# The lease.


def a_call() -> Call:
    return Call("AddMemberRole", "id")


class Work:
    """The work of a call that has the lease."""

    def __init__(self) -> None:
        self.begun, self.go, self.runs = asyncio.Event(), asyncio.Event(), 0

    async def __call__(self):
        self.runs += 1
        self.begun.set()
        await self.go.wait()
        return pb.Empty()


async def test_calls_with_the_same_name_wait_and_others_do_not():
    notes, first, second, other = FakeClaims(), Work(), Work(), Work()
    one, two = InOrder(notes, Drain()), InOrder(notes, Drain())
    running = asyncio.create_task(one.run("a", a_call(), first))
    await first.begun.wait()
    waiting = [asyncio.create_task(each.run("a", a_call(), second)) for each in (one, two)]
    other.go.set()
    await two.run("b", a_call(), other)
    assert second.runs == 0
    first.go.set()
    second.go.set()
    await asyncio.gather(running, *waiting)
    assert second.runs == 2
    assert not notes.claims


async def test_a_long_queue_in_one_worker_does_not_starve_others():
    notes, ended = FakeClaims(), []
    one, two, first = InOrder(notes, Drain()), InOrder(notes, Drain()), Work()

    def work(name):
        async def perform():
            await asyncio.sleep(0)
            ended.append(name)
            return pb.Empty()

        return perform

    running = asyncio.create_task(one.run("a", a_call(), first))
    await first.begun.wait()
    queue = [asyncio.create_task(one.run("a", a_call(), work("one"))) for _ in range(20)]
    other = asyncio.create_task(two.run("a", a_call(), work("two")))
    await eventually(lambda: any("wanted" in key for key in notes.kept))
    first.go.set()
    await asyncio.gather(running, other, *queue)
    assert "two" in ended[:5]  # at its next attempt, before most of the queue


async def test_a_call_whose_caller_disconnects_releases_the_lease():
    notes, work, later = FakeClaims(), Work(), Work()
    order = InOrder(notes, Drain())
    running = asyncio.create_task(order.run("a", a_call(), work))
    await work.begun.wait()
    running.cancel()
    later.go.set()
    await InOrder(notes, Drain()).run("a", a_call(), later)
    await order.finish()
    assert later.runs == 1


async def test_a_request_in_flight_keeps_the_lease_until_its_response():
    notes, work, later = FakeClaims(), Work(), Work()
    order, call, loop = InOrder(notes, Drain()), a_call(), asyncio.get_running_loop()
    running = asyncio.create_task(order.run("a", call, work))
    await work.begun.wait()
    call.left(loop.time(), effect=True)
    running.cancel()
    await asyncio.wait([running])
    assert notes.claims
    assert call.deadline_at <= loop.time()  # so no further request is sent
    work.go.set()
    await order.finish()
    later.go.set()
    await InOrder(notes, Drain()).run("a", a_call(), later)


async def test_a_call_whose_lease_was_lost_restarts(monkeypatch):
    monkeypatch.setattr(module, "MARGIN_S", module.LEASE_S + 1)  # as after a stall: each lease counts as expired
    notes, runs = FakeClaims(), []
    order, call = InOrder(notes, Drain()), a_call()

    async def work():
        runs.append(1)
        if len(runs) == 1:
            (claim,) = notes.claims.values()
            claim[1] = "another call"
        await call.before_each_effect()
        return pb.Empty()

    running = asyncio.create_task(order.run("a", call, work))
    await eventually(lambda: runs)
    await eventually(lambda: not notes.claims or running.done())
    await running
    assert len(runs) == 2


async def test_without_redis_the_broker_decides(monkeypatch):
    notes, work = FakeClaims(), Work()
    notes.down = True
    work.go.set()
    await InOrder(notes, Drain()).run("a", a_call(), work)
    assert work.runs == 1


async def test_a_drain_ends_the_wait():
    notes, work, drain = FakeClaims(), Work(), Drain()
    running = asyncio.create_task(InOrder(notes, Drain()).run("a", a_call(), work))
    await work.begun.wait()
    waiting = asyncio.create_task(InOrder(notes, drain).run("a", a_call(), work))
    drain.begin()
    with pytest.raises(ApiError, match="stopping"):
        await waiting
    work.go.set()
    await running


@pytest.mark.parametrize("same_worker", [True, False])
async def test_a_wait_for_an_earlier_change_ends_before_the_callers_own_timer(same_worker):
    """Else the caller would not know that nothing was sent."""
    claims, going_on = FakeClaims(), asyncio.Event()
    first = InOrder(claims, Drain())
    earlier = asyncio.create_task(first.run("x", Call("A", "1"), going_on.wait))
    await eventually(lambda: claims.claims)
    late = Call("A", "2", deadline_at=asyncio.get_running_loop().time() + 0.3)
    with pytest.raises(ApiError) as refused:
        await (first if same_worker else InOrder(claims, Drain())).run("x", late, going_on.wait)
    assert (refused.value.reason, late.sent) == ("DEADLINE_EXCEEDED", "no")
    going_on.set()
    await earlier
