"""The stream of a role synchronization with the in-memory Discord."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from discordproxy._fake.objects import in_guild, known
from discordproxy._fake.world import ProxyRefusalError
from discordproxy.discord_api_pb2 import (
    MemberRoleChange,
    RoleSyncPlan,
    RoleSyncReport,
    SyncGuildRolesProgress,
    SyncGuildRolesRequest,
    UnassignableRole,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from discordproxy._fake.world import FakeWorld


def sync_guild_roles(world: FakeWorld, request: SyncGuildRolesRequest) -> Iterator[SyncGuildRolesProgress]:
    """Yield plan and report, and change the members.

    Raises:
        HttpRefusalError: the guild does not exist.
        ProxyRefusalError: the plan removes more than allowed; nothing was changed.
    """
    known(world.guilds, request.guild_id, 10004, "Unknown Guild")
    checked = (_unassignable(world, request.guild_id, each.role_id) for each in request.roles)
    unassignable = [each for each in checked if each is not None]
    skipped = {each.role_id for each in unassignable}
    wanted = {each.role_id: set(each.user_ids) for each in request.roles}
    usable = wanted.keys() - skipped
    members = {member.user.id: member for member in in_guild(world.members, request)}
    plan = RoleSyncPlan(
        listed_members=len(members),
        not_in_guild=sorted(set().union(*wanted.values()) - members.keys()),
        not_assignable=unassignable,
    )
    held = 0
    for user_id, member in sorted(members.items()):
        present = usable & set(member.roles)
        target = {role_id for role_id in usable if user_id in wanted[role_id]}
        remove = present - target if request.mode == SyncGuildRolesRequest.EXACT else set()
        held += len(present)
        if target - present or remove:
            plan.changes.add(user_id=user_id, add=sorted(target - present), remove=sorted(remove))
    plan.members = len(plan.changes)
    plan.adds = sum(len(change.add) for change in plan.changes)
    plan.removes = sum(len(change.remove) for change in plan.changes)
    plan.max_removals = request.max_removals if request.HasField("max_removals") else 5 + held // 10
    yield SyncGuildRolesProgress(plan=plan)
    if request.dry_run:
        yield SyncGuildRolesProgress(report=RoleSyncReport(complete=True))
        return
    if plan.removes > plan.max_removals:
        text = f"The plan removes {plan.removes} roles, and {plan.max_removals} are allowed."
        raise ProxyRefusalError(grpc.StatusCode.FAILED_PRECONDITION, "TOO_MANY_REMOVALS", text)
    for change in plan.changes:
        roles = members[change.user_id].roles
        roles[:] = _changed(roles, change)
    report = RoleSyncReport(complete=True, changed=plan.members, adds=plan.adds, removes=plan.removes)
    yield SyncGuildRolesProgress(report=report)


def _unassignable(world: FakeWorld, guild_id: int, role_id: int) -> UnassignableRole | None:
    role = world.roles.get(role_id)
    if role_id == guild_id:
        why = UnassignableRole.EVERYONE
    elif role is None or role.guild_id != guild_id:
        why = UnassignableRole.UNKNOWN_ROLE
    elif role.managed:
        why = UnassignableRole.MANAGED
    else:
        return None
    return UnassignableRole(role_id=role_id, why=why, text=UnassignableRole.Why.Name(why))


def _changed(roles: Any, change: MemberRoleChange) -> list[int]:
    return [*(role for role in roles if role not in change.remove), *change.add]
