"""Refusals that name field and fix; keys, audit log and access log; roles that cannot be assigned."""

import asyncio
import contextlib
import json
import logging

import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.access.keys import digest_of, new_key
from discordproxy_sandbox.world.population import BOT_ROLE_ID, GUILD_ID, ROLE_ID, USER_ID, nth
from fakes.broker import FakeBroker
from fakes.eventually import eventually
from integration.api.conftest import serve
from integration.api.role_sync.helpers import Steps

GUILD = int(GUILD_ID)
ADMIN, MODERATOR, MEMBER = (int(nth(ROLE_ID, number)) for number in range(3))
USERS = [int(nth(USER_ID, number)) for number in range(5)]
HUGE = 2**63
Roles = pb.SyncGuildRolesRequest.RoleMembers


def request_of(wanted, **fields):
    roles = [Roles(role_id=role_id, user_ids=user_ids) for role_id, user_ids in wanted.items()]
    return pb.SyncGuildRolesRequest(**{"guild_id": GUILD, "roles": roles, **fields})


async def run(served, request, **options):
    return await Steps().read(served.stub.SyncGuildRoles(request, **options))


INVALID = {
    "no guild": (request_of({MEMBER: []}, guild_id=0), "guild_id"),
    "no roles": (request_of({}), "roles"),
    "a role without id": (request_of({0: [1]}), "roles[0].role_id"),
    "a huge role id": (request_of({HUGE: [1]}), "roles[0].role_id"),
    "user 0": (request_of({MEMBER: [1, 0]}), "roles[0].user_ids[1]"),
    "a huge user id": (request_of({MEMBER: [HUGE]}), "roles[0].user_ids[0]"),
    "a role twice": (request_of({}, roles=[Roles(role_id=5), Roles(role_id=6), Roles(role_id=5)]), "roles[2].role_id"),
    "too many roles": (request_of({number: [] for number in range(1, 352)}), "roles"),
    "too many users of a role": (request_of({MEMBER: [1] * 250_001}), "roles[0].user_ids"),
    "too many users": (request_of({MEMBER: [1] * 200_000, ADMIN: [1] * 50_001}), "roles"),
    "a negative bound": (request_of({MEMBER: []}, max_removals=-1), "max_removals"),
    "an unknown mode": (request_of({MEMBER: []}, mode=7), "mode"),
    "a long reason": (request_of({MEMBER: []}, reason="x" * 513), "reason"),
    "control characters in the reason": (request_of({MEMBER: []}, reason="a\x00"), "reason"),
}


@pytest.mark.parametrize("case", INVALID)
async def test_an_invalid_request_names_its_field(served, case):
    request, path = INVALID[case]
    done = await run(served, request)
    assert (done.status, done.plan, done.details["sent"]) == ("INVALID_ARGUMENT", None, "no")
    assert path in [field["path"] for field in done.details["fields"]]
    assert not served.discord.ledger.records


async def test_the_largest_valid_request_is_served(served):
    done = await run(served, request_of({MEMBER: [2**62 + number for number in range(250_000)]}, dry_run=True))
    assert (done.status, len(done.plan.not_in_guild)) == ("OK", 250_000)


async def test_a_request_that_is_too_large_to_be_kept(served):
    done = await run(served, request_of({MEMBER: [2**62] * 500_000}))
    assert (done.status, done.reason) == ("RESOURCE_EXHAUSTED", "REQUEST_TOO_LARGE")


async def test_roles_that_cannot_be_assigned_are_reported_before_the_first_change(served):
    """allianceauth 569, DSharpPlus 1651: 403 for each member, of managed roles and of roles above the bot's."""
    guild = served.discord.world.guilds[GUILD_ID]
    guild.roles[ROLE_ID]["position"] = 9
    guild.members.get(served.discord.world.bot_id)["roles"] = [BOT_ROLE_ID]
    guild.roles[BOT_ROLE_ID]["permissions"] = str(1 << 28)
    unknown = 4711
    wanted = {ADMIN: USERS, int(BOT_ROLE_ID): USERS, GUILD: USERS, unknown: USERS, MODERATOR: USERS[:2]}
    done = await run(served, request_of(wanted))
    why = pb.UnassignableRole
    assert {each.role_id: each.why for each in done.plan.not_assignable} == {
        ADMIN: why.HIERARCHY,
        int(BOT_ROLE_ID): why.MANAGED,
        GUILD: why.EVERYONE,
        unknown: why.UNKNOWN_ROLE,
    }
    assert all(each.text for each in done.plan.not_assignable)
    assert (done.plan.adds, done.report.adds, done.report.failed) == (2, 2, 0)
    moderators = [user_id for user_id in guild.members if str(MODERATOR) in guild.members.get(user_id)["roles"]]
    assert list(map(int, moderators)) == USERS[:2]
    assert not [each.path for each in served.discord.ledger.records if each.status >= 400]


async def test_members_keep_managed_roles_and_roles_above_the_bots(served):
    guild = served.discord.world.guilds[GUILD_ID]
    guild.roles[ROLE_ID] |= {"position": 9}
    booster = "450000000000000001"
    guild.roles[booster] = {**guild.roles[BOT_ROLE_ID], "id": booster, "position": 1}
    guild.roles[BOT_ROLE_ID]["permissions"] = str(1 << 28)
    guild.members.get(served.discord.world.bot_id)["roles"] = [BOT_ROLE_ID]
    guild.members.get(USER_ID)["roles"] = [ROLE_ID, booster, str(MEMBER)]
    other = nth(ROLE_ID, 8)
    guild.roles[other] = {**guild.roles[str(MODERATOR)], "id": other}
    done = await run(served, request_of({MODERATOR: USERS[:1], int(other): USERS[:1]}))
    assert (done.report.changed, done.report.failed) == (1, 0)
    assert set(guild.members.get(USER_ID)["roles"]) == {ROLE_ID, booster, str(MEMBER), str(MODERATOR), other}


async def test_a_bot_without_manage_roles(served):
    guild = served.discord.world.guilds[GUILD_ID]
    guild.roles[ROLE_ID]["permissions"] = "0"
    done = await run(served, request_of({MODERATOR: USERS}))
    assert (done.status, done.reason, done.plan) == ("FAILED_PRECONDITION", "MISSING_PERMISSIONS", None)
    assert "MANAGE_ROLES" in done.details["text"]


async def test_an_unknown_guild_is_discords_error(served):
    done = await run(served, request_of({MODERATOR: USERS}, guild_id=4711))
    assert (done.status, done.details["code"]) == ("NOT_FOUND", 10004)


async def test_requests_have_low_priority(served):
    await run(served, request_of({MODERATOR: USERS}))
    assert {each.caller.priority for each in served.broker.acquired} == {"low"}
    assert len(served.broker.acquired) == 4 + len(USERS)  # guild, user, bot, page


async def test_a_worker_serves_eight_at_a_time(discord):
    broker = FakeBroker()
    async with serve(discord, broker) as served:
        broker.granting.clear()
        requests = [request_of({MODERATOR: []}, guild_id=number) for number in range(1, 9)]
        waiting = [asyncio.create_task(run(served, request)) for request in requests]
        await eventually(lambda: broker.waiting >= 8)
        done = await run(served, request_of({MODERATOR: []}))
        assert (done.status, done.reason) == ("RESOURCE_EXHAUSTED", "QUEUE_FULL")
        broker.granting.set()
        assert {(await each).details["code"] for each in waiting} == {10004}


@pytest.fixture
def keyed(discord, tmp_path):
    """Serve with one key: `async with keyed(guilds=[7]) as (served, metadata)`."""

    @contextlib.asynccontextmanager
    async def start(**scopes):
        key, file = new_key(), tmp_path / "keys.toml"
        lines = [f"{name} = {json.dumps(value)}" for name, value in scopes.items()]
        file.write_text("\n".join(["[[keys]]", 'app = "auth"', f'sha256 = "{digest_of(key)}"', *lines, ""]))
        file.chmod(0o600)
        async with serve(discord, keys_file=file) as served:
            yield served, [("authorization", f"Bearer {key}")]

    return start


SCOPES = {
    "everything": ({}, "OK"),
    "the guild": ({"guilds": [GUILD]}, "OK"),
    "another guild": ({"guilds": [8]}, "PERMISSION_DENIED"),
    "a channel": ({"channels": [8]}, "PERMISSION_DENIED"),
    "write": ({"rpcs": ["write"]}, "OK"),
    "its name": ({"rpcs": ["SyncGuildRoles"]}, "OK"),
    "read": ({"rpcs": ["read"]}, "PERMISSION_DENIED"),
}


@pytest.mark.parametrize("case", SCOPES)
async def test_scopes_of_keys(keyed, case):
    scopes, status = SCOPES[case]
    async with keyed(**scopes) as (served, metadata):
        done = await run(served, request_of({MODERATOR: USERS}), metadata=metadata)
        assert done.status == status
        if status != "OK":
            assert done.reason == "FORBIDDEN_BY_OPERATOR"
            assert not served.discord.ledger.records


async def test_access_log_and_audit_log(keyed, caplog):
    caplog.set_level(logging.INFO)
    async with keyed(guilds=[GUILD]) as (served, metadata):
        await run(served, request_of({MODERATOR: USERS, MEMBER: USERS[1:]}), metadata=metadata)
        await run(served, request_of({MODERATOR: []}, max_removals=1), metadata=metadata)
    lines = {
        name: [record.getMessage() for record in caplog.records if record.name == f"discordproxy_api.{name}"]
        for name in ("access", "audit")
    }
    first, second = lines["access"]
    assert first.startswith("SyncGuildRoles OK app=auth sent=yes requests=")
    assert second.startswith("SyncGuildRoles FAILED_PRECONDITION TOO_MANY_REMOVALS app=auth sent=no")
    first, second = lines["audit"]
    assert f"at=guild={GUILD} members=5 added=5 removed=1 failed=0" in first
    assert "outcome=OK sent=yes" in first
    assert f"at=guild={GUILD} outcome=FAILED_PRECONDITION/TOO_MANY_REMOVALS sent=no" in second
