"""Role synchronization with real processes: callers and workers are killed, and the next run does what is left."""

import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.role_sync.sync_guild_roles import LEASE_S
from discordproxy_sandbox.limits.book import LimitBook
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from fakes.eventually import eventually
from processes.deployment import TOKEN, Connect, EndClaims, Server
from processes.process import Process
from strategies.guild_roles import RoleWorld, role_world

READY = "Discord Proxy .* is ready"
MEMBERS, ROLES, ABSENT, KILLED_AT = 2_000, 20, 30, 80
CALLER = """
import json, sys
from discordproxy.client import DiscordClient, DiscordProxyException

wanted = {int(role): users for role, users in json.load(open(sys.argv[3])).items()}
with DiscordClient(sys.argv[1]) as client:
    sync = client.sync_guild_roles(int(sys.argv[2]), wanted)
    try:
        for step in sync:
            print(step.WhichOneof("step"), flush=True)
    except DiscordProxyException as error:
        print("error", error.status.name, error.reason, error.retry_after, flush=True)
    report = sync.report
    if report is not None:
        print("report", report.complete, report.changed, report.failed, report.remaining, flush=True)
"""


@pytest.fixture
async def made(settings: dict[str, str]) -> AsyncIterator[RoleWorld]:
    """A guild at a Discord without limits, so that the proxy's own global limit sets the pace."""
    made = role_world(MEMBERS, ROLES, wrong_share=0.08, absent=ABSENT)
    limits = LimitBook(default=None, global_limit=None)
    async with Sandbox(SandboxConfig(token=TOKEN, world=made.world, limits=limits)) as sandbox:
        settings["DISCORDPROXY_DISCORD_URL"] = sandbox.rest_url
        settings["DISCORDPROXY_INTENTS"] = "guilds,members"
        yield made


@pytest.fixture
def caller(made: RoleWorld, free_port: int, tmp_path: Path) -> Callable[[], Process]:
    """Start a program that synchronizes the guild."""
    lists = tmp_path / "wanted.json"
    lists.write_text(json.dumps(made.wanted))
    command = (sys.executable, "-c", CALLER, f"127.0.0.1:{free_port}", str(made.guild_id), str(lists))
    return lambda: Process(*command, env={}, cwd=tmp_path)


async def until_cached(stub: object, made: RoleWorld) -> None:
    async def is_cached() -> bool:
        page = await stub.ListGuildMembers(pb.ListGuildMembersRequest(guild_id=made.guild_id, limit=1))
        return page.freshness.source == pb.Freshness.CACHE

    await eventually(is_cached)


def is_free(stub: object, made: RoleWorld) -> Callable[[], object]:
    """Return a condition: no synchronization of the guild runs. A run with nothing to do finds out."""
    roles = [pb.SyncGuildRolesRequest.RoleMembers(role_id=next(iter(made.wanted)))]
    request = pb.SyncGuildRolesRequest(guild_id=made.guild_id, roles=roles, mode=pb.SyncGuildRolesRequest.ADD_ONLY)

    async def check() -> bool:
        with contextlib.suppress(Exception):
            return [step async for step in stub.SyncGuildRoles(request)] != []
        return False

    return check


async def until_planned(stub: object, made: RoleWorld, members: int) -> None:
    """Return when the caches show that so many members are wrong: all events have arrived."""
    roles = [pb.SyncGuildRolesRequest.RoleMembers(role_id=role, user_ids=users) for role, users in made.wanted.items()]
    request = pb.SyncGuildRolesRequest(guild_id=made.guild_id, roles=roles, dry_run=True)

    async def is_planned() -> bool:
        steps = [step async for step in stub.SyncGuildRoles(request)]
        return steps[0].plan.members == members

    await eventually(is_planned)


def pid_of(server: Process, child: str) -> int:
    return int([line for line in server.lines if f"{child} started, pid" in line][-1].rpartition(" ")[2])


async def run_to_the_end(caller: Callable[[], Process]) -> list[str]:
    async with caller() as process:
        assert await process.ended(within_s=120) == 0
        return process.lines


async def test_a_killed_caller_stops_the_changes_and_the_next_one_does_the_rest(
    made: RoleWorld, server: Server, connect: Connect, caller: Callable[[], Process]
) -> None:
    async with server("--workers", "2") as whole:
        await whole.line(READY)
        stub = connect()
        await until_cached(stub, made)
        wrong = len(made.wrong)
        async with caller() as process:
            made.after_updates(KILLED_AT, lambda: process.signal(signal.SIGKILL))
            assert await process.ended() == -signal.SIGKILL
        await eventually(is_free(stub, made))
        left = made.wrong_now()
        assert wrong - KILLED_AT - 24 <= len(left) <= wrong - KILLED_AT
        await until_planned(stub, made, len(left))
        lines = await run_to_the_end(caller)
        assert lines[0] == "plan"
        assert lines[-1] == f"report True {len(left)} 0 0"
        assert made.wrong_now() == set()
        await until_planned(stub, made, 0)
        assert (await run_to_the_end(caller))[-1] == "report True 0 0 0"


async def test_a_killed_worker_ends_the_run_and_the_next_one_does_the_rest(
    made: RoleWorld, server: Server, connect: Connect, caller: Callable[[], Process], end_claims: EndClaims
) -> None:
    async with server("--workers", "1") as whole:
        await whole.line(READY)
        await until_cached(connect(), made)
        worker = pid_of(whole, "api.0")
        made.after_updates(KILLED_AT, lambda: os.kill(worker, signal.SIGKILL))
        async with caller() as process:
            assert await process.ended() == 0
            assert any(line.startswith("error UNAVAILABLE") for line in process.lines), process.output
        assert await end_claims(LEASE_S) >= 1
        await eventually(is_free(connect(), made))
        left = len(made.wrong_now())
        assert left <= len(made.wrong) - KILLED_AT
        await until_planned(connect(), made, left)
        assert (await run_to_the_end(caller))[-1] == f"report True {left} 0 0"
        assert made.wrong_now() == set()


async def test_a_stopping_server_ends_the_run_with_a_report(
    made: RoleWorld, server: Server, connect: Connect, caller: Callable[[], Process]
) -> None:
    async with server("--workers", "2") as whole:
        await whole.line(READY)
        await until_cached(connect(), made)
        made.after_updates(KILLED_AT, lambda: whole.signal(signal.SIGTERM))
        async with caller() as process:
            assert await process.ended() == 0
        assert "error UNAVAILABLE DRAINING 1.0" in process.lines
        left = len(made.wrong_now())
        assert process.lines[-1] == f"report False {len(made.wrong) - left} 0 {left}"
        assert await whole.ended() == 0
    async with server("--workers", "1") as whole:
        await whole.line(READY)
        await until_cached(connect(), made)
        assert (await run_to_the_end(caller))[-1] == f"report True {left} 0 0"
        assert made.wrong_now() == set()
