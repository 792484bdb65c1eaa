"""Slash commands of two applications over three workers, real processes that are killed between two steps."""

import asyncio
import os
import signal

import grpc.aio
import pytest

from discordproxy_api.pipeline.in_order import LEASE_S
from discordproxy_sandbox.limits.book import LimitBook
from discordproxy_sandbox.rest.faults import Fault
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from fakes.eventually import eventually
from integration.api.commands.conftest import App, Commands, command, commands
from processes.deployment import TOKEN, Connect, EndClaims, Server
from processes.process import Process

UNLIMITED = SandboxConfig(token=TOKEN, global_limit=None, limits=LimitBook(default=None))
WORKERS = range(3)

pytestmark = pytest.mark.parametrize("discord", [UNLIMITED], indirect=True, ids=["unlimited"])


async def all_serve(server: Process, count: int = 1) -> None:
    for worker in WORKERS:
        await server.line(f"worker {worker} serves on", count=count)


def kill_workers(server: Process) -> None:
    for worker in WORKERS:
        line = [line for line in server.lines if f"api.{worker} started, pid" in line][-1]
        os.kill(int(line.rpartition(" ")[2]), signal.SIGKILL)


async def test_two_applications_in_turn_and_at_once(discord: Sandbox, server: Server, connect: Connect) -> None:
    at_discord = Commands(discord)
    foreign = at_discord.add("foreign")
    async with server("--workers", "3") as whole:
        await all_serve(whole)
        for round_ in range(4):
            own, other = (
                commands(2 + 3 * round_, "s", f"text {round_}"),
                commands(11 - 3 * round_, "b", f"text {round_}"),
            )
            shops, banks = [App(connect(), "shop") for _ in WORKERS], [App(connect(), "bank") for _ in WORKERS]
            await asyncio.gather(*(each.sync(*own) for each in shops), *(each.sync(*other) for each in banks))
            owners = await shops[0].owners()
            expected = {each.name: "shop" for each in own} | {each.name: "bank" for each in other}
            assert owners == expected | {"foreign": ""}
        assert at_discord["foreign"]["id"] == foreign["id"]


@pytest.mark.parametrize(("method", "count"), [("PUT", 8), ("POST", 3)], ids=["replaced list", "single changes"])
async def test_workers_that_die_between_a_change_and_its_record(
    discord: Sandbox, server: Server, connect: Connect, end_claims: EndClaims, method: str, count: int
) -> None:
    at_discord, declared = Commands(discord), commands(count)
    at_discord.add("foreign")
    async with server("--workers", "3") as whole:
        await all_serve(whole)
        await App(connect(), "bank").sync(command("bank"))
        discord.faults.add(Fault(kind="silent", method=method, path="/commands", when="after"))
        dying = asyncio.create_task(App(connect(), "shop").sync(*declared))
        await eventually(lambda: "c0" in at_discord.names)
        kill_workers(whole)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await dying
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await end_claims(LEASE_S) == 1
        await all_serve(whole, count=2)
        ids = {each["name"]: each["id"] for each in at_discord.of(0)}
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await App(connect(), "bank").answer(command("bank"), command("c0"), timeout=60)
        assert "belongs to the application shop" in refused.value.details()
        made = await App(connect(), "shop").sync(*declared, timeout=60)
        assert set(made.values()) <= {"UNCHANGED", "CREATED"}
        assert made["c0"] == "UNCHANGED"
        found = {each["name"]: each["id"] for each in at_discord.of(0)}
        assert {name: found[name] for name in ids} == ids
        assert set(found) == {"foreign", "bank", *(each.name for each in declared)}
        deleted: list[str] = []
        while len(deleted) < count:  # a few at a time: a killed worker's permit to replace the list has a lease
            kept = declared[: max(0, count - len(deleted) - 3)]
            done = await App(connect(), "shop").sync(*kept, timeout=60)
            deleted += [name for name, action in done.items() if action == "DELETED"]
        assert sorted(deleted) == [each.name for each in declared]
        assert at_discord.names == {"foreign", "bank"}
