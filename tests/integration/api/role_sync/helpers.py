"""Calls SyncGuildRoles and collects its steps."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc

from discordproxy import discord_api_pb2 as pb
from fakes.eventually import eventually
from processes.cluster import Cluster
from strategies.guild_roles import RoleWorld

WRITES = ("PATCH", "PUT", "DELETE")
OnPlan = Callable[[pb.RoleSyncPlan], Awaitable[None]]


async def is_cached(stub: Any, guild_id: int) -> bool:
    page = await stub.ListGuildMembers(pb.ListGuildMembersRequest(guild_id=guild_id, limit=1))
    return page.freshness.source == pb.Freshness.CACHE


@dataclass
class Steps:
    """The messages of one stream, and its error."""

    plan: pb.RoleSyncPlan | None = None
    report: pb.RoleSyncReport | None = None
    counts: list[pb.RoleSyncCounts] = field(default_factory=list)
    status: str = "OK"
    details: dict[str, Any] = field(default_factory=dict)

    async def read(self, stream: Any, on_plan: OnPlan | None = None) -> "Steps":
        try:
            async with asyncio.timeout(300):
                async for step in stream:
                    self.add(step)
                    if step.HasField("plan") and on_plan is not None:
                        await on_plan(step.plan)
        except grpc.aio.AioRpcError as error:
            self.status, self.details = error.code().name, json.loads(error.details())
        return self

    def add(self, step: pb.SyncGuildRolesProgress) -> None:
        if step.HasField("plan"):
            assert (self.plan, self.counts, self.report) == (None, [], None)
            self.plan = step.plan
        elif step.HasField("counts"):
            assert self.plan is not None
            self.counts.append(step.counts)
        else:
            assert self.plan is not None
            self.report = step.report

    @property
    def reason(self) -> str:
        return self.details.get("reason", "")


@dataclass
class Syncs:
    """A guild behind a proxy.

    Attributes:
        skipped: requests to Discord before the test began.
    """

    made: RoleWorld
    cluster: Cluster
    skipped: int = 0

    def request(self, wanted=None, **fields) -> pb.SyncGuildRolesRequest:
        wanted = self.made.wanted if wanted is None else wanted
        roles = [pb.SyncGuildRolesRequest.RoleMembers(role_id=role, user_ids=users) for role, users in wanted.items()]
        return pb.SyncGuildRolesRequest(**{"guild_id": self.made.guild_id, "roles": roles, **fields})

    def stream(self, wanted=None, *, worker: int = 0, timeout: float | None = None, metadata=(), **fields):
        stub = self.cluster.stubs[worker]
        return stub.SyncGuildRoles(self.request(wanted, **fields), timeout=timeout, metadata=metadata)

    async def sync(self, wanted=None, *, on_plan: OnPlan | None = None, **options) -> Steps:
        return await Steps().read(self.stream(wanted, **options), on_plan)

    async def until_roles(self, user_id: int, roles: set[int]) -> None:
        """Return when the caches show these roles of a member."""

        async def are_shown() -> bool:
            request = pb.MemberId(guild_id=self.made.guild_id, user_id=user_id)
            return set((await self.cluster.stubs[-1].GetGuildMember(request)).member.roles) == roles

        await eventually(are_shown)

    async def until_right(self, *, except_for: int = 0) -> None:
        """Return when the caches show that only so many members are wrong: all events have arrived."""

        async def is_right() -> bool:
            return (await self.sync(dry_run=True, worker=-1)).plan.members == except_for

        await eventually(is_right)

    async def change_at_discord(self, user_id: int, roles: set[int]) -> None:
        """Change a member's roles as a moderator, and return when the caches show it."""
        self.cluster.discord.people.edit_member(self.made.guild_id, user_id, {"roles": list(map(str, roles))})
        await self.until_roles(user_id, roles)

    def writes(self) -> list[Any]:
        """Return the records of the requests that changed members, in order."""
        return [each for each in self.requests() if each.method in WRITES]

    def requests(self) -> list[Any]:
        records = self.cluster.discord.ledger.records[self.skipped :]
        return [each for each in records if "/gateway" not in each.path]

    def written(self) -> list[int]:
        """Return the members that Discord changed, one for each request."""
        return [int(each.path.split("/members/")[1].split("/")[0]) for each in self.writes() if each.status < 300]
