"""RPC SyncGuildRoles: a stream of the plan, counts while it is carried out, and the report."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from typing import Any

from discordproxy.discord_api_pb2 import (
    Freshness,
    MemberRoleChange,
    MemberRoleFailure,
    RoleSyncCounts,
    RoleSyncPlan,
    RoleSyncReport,
    Sent,
    SyncGuildRolesProgress,
    SyncGuildRolesRequest,
    UnassignableRole,
)
from discordproxy_api.access.permission import UNCHECKED, Permission
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.contract.contract import Rpc
from discordproxy_api.discord.app_rate import AppRateWaits
from discordproxy_api.discord.rest import Rest
from discordproxy_api.role_sync.assignable import TEXTS, GuildView, Why
from discordproxy_api.role_sync.plan import RolePlan, RolePlanner
from discordproxy_api.role_sync.reading import GuildReads
from discordproxy_api.role_sync.run import RoleSyncRun, RunResult, require_manage_roles
from discordproxy_api.role_sync.writing import MemberRoleWriter, RunInOrder
from discordproxy_api.rpcs.procedure import Write
from discordproxy_api.rpcs.routed import check
from discordproxy_api.time_limit import expires_as
from discordproxy_ratelimit.errors import BrokerError
from discordproxy_ratelimit.shared.claims import Claims

MAX_REQUEST_BYTES = 4 * 1024 * 1024
"""The largest valid request has 250,000 ids of nine bytes."""
MAX_LISTED_CHANGES = 10_000
SLICE = 5_000
"""User ids that are added without yielding to other calls; about two milliseconds."""
MAX_RUNS = 8
"""In one worker: each keeps its request and its plan in memory."""
LEASE_S = 10.0
"""A guild is free again after this time if the worker of its synchronization died; the worker renews the lease."""
PROGRESS_S = 2.0
WRITE_TIMEOUT_S = 60.0

_SENT = {"no": Sent.SENT_NO, "yes": Sent.SENT_YES, "unknown": Sent.SENT_UNKNOWN}


class SyncGuildRoles:
    """Serves the RPC.

    Args:
        claims: keeps the leases of guilds.
        run_in_order: serializes the changes of one member's roles with those of other calls.
        progress_s: seconds between two counts.
    """

    max_request_bytes = MAX_REQUEST_BYTES

    def __init__(
        self,
        rpc: Rpc,
        *,
        rest: Rest,
        reads: GuildReads,
        claims: Claims,
        run_in_order: RunInOrder,
        permission: Permission,
        app_rate: AppRateWaits,
        drain: Drain,
        metrics: Metrics,
        progress_s: float = PROGRESS_S,
    ) -> None:
        self.rpc = rpc
        self._rest = rest
        self._reads = reads
        self._claims = claims
        self._run_in_order = run_in_order
        self._permission = permission
        self._app_rate = app_rate
        self._drain = drain
        self._metrics = metrics
        self._progress_s = progress_s
        self._runs = 0

    async def serve(self, call: Call, request: Any, write: Write) -> None:
        """Stream plan, counts and report; `request` is a SyncGuildRolesRequest.

        Raises:
            ApiError: the request is invalid or not permitted, or the synchronization ended early.
        """
        check(self.rpc, request)
        call.priority = "low"
        targets = self._permission.targets_of(self.rpc, request, call)
        await self._app_rate.wait(call)
        if targets is not UNCHECKED:
            await self._permission.authorize(targets, call)
        with self._place():
            if request.dry_run:
                await self._plan(await self._view(call, request), call, request, write)
                await _send(write, SyncGuildRolesProgress(report=RoleSyncReport(complete=True)))
                return
            async with self._lease(request.guild_id):
                view = await self._view(call, request)
                plan = await self._plan(view, call, request, write)
                _require_few_removals(plan, _max_removals(request, plan))
                await self._carry_out(plan, view, call, request, write)

    async def _view(self, call: Call, request: Any) -> GuildView:
        view = await self._reads.view(request.guild_id, call, fresh=request.fresh)
        require_manage_roles(view)
        return view

    async def _plan(self, view: GuildView, call: Call, request: Any, write: Write) -> RolePlan:
        """Make the plan and send it."""
        role_ids = [role.role_id for role in request.roles]
        unassignable = view.unassignable(role_ids)
        planner = RolePlanner(
            role_ids, unassignable=unassignable, exact=request.mode != SyncGuildRolesRequest.Mode.ADD_ONLY
        )
        for role in request.roles:
            for start in range(0, len(role.user_ids), SLICE):
                planner.want(role.role_id, role.user_ids[start : start + SLICE])
                await asyncio.sleep(0)  # other calls
        freshness = Freshness()
        async for page in self._reads.members(request.guild_id, call, fresh=request.fresh):
            for user_id, roles in page.roles.items():
                planner.compare(user_id, roles)
            freshness = _older(freshness, page.freshness)
            await asyncio.sleep(0)
        plan = planner.plan()
        message = _plan_message(plan, _max_removals(request, plan), unassignable, freshness)
        await _send(write, SyncGuildRolesProgress(plan=message))
        return plan

    async def _carry_out(self, plan: RolePlan, view: GuildView, call: Call, request: Any, write: Write) -> None:
        """Carry out a plan; send counts and the report."""
        writer = MemberRoleWriter(
            request.guild_id,
            rest=self._rest,
            reads=self._reads,
            run_in_order=self._run_in_order,
            reason=request.reason,
            fresh=request.fresh,
        )
        run = RoleSyncRun(
            request.guild_id,
            plan,
            view,
            call=call,
            writer=writer,
            reads=self._reads,
            drain=self._drain,
            metrics=self._metrics,
        )
        request.ClearField("roles")  # they are not needed any more, and a run may take hours
        running = asyncio.create_task(run.run())
        try:
            while not (await asyncio.wait({running}, timeout=self._progress_s))[0]:
                counts = RoleSyncCounts(done=run.result.done, failed=run.result.failed, total=len(plan.changes))
                await _send(write, SyncGuildRolesProgress(counts=counts))
            running.result()
        finally:
            if not running.done():
                running.cancel()
                await asyncio.wait({running})
            _audit(call, run.result)
        await _send(write, SyncGuildRolesProgress(report=_report_message(run.result, plan)))
        if run.result.stopped_by is not None:
            raise run.result.stopped_by

    @asynccontextmanager
    async def _lease(self, guild_id: int) -> AsyncIterator[None]:
        """Run the only synchronization of a guild; raises ApiError if there is another one.

        A lease that was lost while Redis was away does no harm: two runs send only changes that are still needed.
        """
        key, owner = f"role_sync:{guild_id}", uuid.uuid4().hex
        await self._acquire(key, owner)
        try:
            async with self._claims.hold(key, "", owner=owner, lease_s=LEASE_S):
                yield
        finally:
            await self._release(key, owner)

    async def _acquire(self, key: str, owner: str) -> None:
        try:
            claim = await self._claims.claim(key, "", owner=owner, lease_s=LEASE_S)
        except BrokerError as error:
            raise errors.from_broker(error) from None
        if claim.state != "ours":
            text = "Another synchronization of this guild's roles is running; call again when it has ended."
            raise errors.refusal("ABORTED", "ALREADY_RUNNING", text, retry_after_s=LEASE_S)

    async def _release(self, key: str, owner: str) -> None:
        with suppress(BrokerError):  # it expires
            await asyncio.shield(self._claims.release(key, owner=owner))

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Count a run; raises ApiError if too many are in progress."""
        if self._runs >= MAX_RUNS:
            text = f"This worker carries out {MAX_RUNS} role synchronizations already; call again later."
            raise errors.refusal("RESOURCE_EXHAUSTED", "QUEUE_FULL", text, retry_after_s=LEASE_S)
        self._runs += 1
        try:
            with self._metrics.role_syncs.track_inprogress():
                yield
        finally:
            self._runs -= 1


async def _send(write: Write, message: SyncGuildRolesProgress) -> None:
    """Send one message; raises ApiError if the caller does not read the stream."""
    async with expires_as(asyncio.timeout(WRITE_TIMEOUT_S), _not_read):
        await write(message.SerializeToString())


def _not_read() -> ApiError:
    text = f"The caller has read no progress for {WRITE_TIMEOUT_S:.0f} s; the synchronization ends."
    return errors.refusal("RESOURCE_EXHAUSTED", "SUBSCRIBER_TOO_SLOW", text, retry_after_s=0.0)


def _max_removals(request: Any, plan: RolePlan) -> int:
    return request.max_removals if request.HasField("max_removals") else plan.default_max_removals()


def _require_few_removals(plan: RolePlan, max_removals: int) -> None:
    if plan.removes > max_removals:
        text = (
            f"The plan removes {plan.removes} roles from members, and {max_removals} removals are allowed; nothing was "
            "changed. Check the lists with dry_run, then raise max_removals."
        )
        raise errors.refusal("FAILED_PRECONDITION", "TOO_MANY_REMOVALS", text)


def _older(one: Freshness, other: Freshness) -> Freshness:
    """Return the freshness of the older data; any is older than none."""
    if one.source == Freshness.SOURCE_UNSPECIFIED:
        return other
    return max(one, other, key=lambda each: each.age.ToMilliseconds())


def _unassignable_messages(unassignable: Mapping[int, Why]) -> list[UnassignableRole]:
    return [
        UnassignableRole(role_id=role_id, why=why, text=TEXTS[why])  # type: ignore[arg-type]  # a number of that enum
        for role_id, why in sorted(unassignable.items())
    ]


def _plan_message(
    plan: RolePlan, max_removals: int, unassignable: Mapping[int, Why], freshness: Freshness
) -> RoleSyncPlan:
    return RoleSyncPlan(
        members=len(plan.changes),
        adds=plan.adds,
        removes=plan.removes,
        max_removals=max_removals,
        listed_members=plan.listed,
        not_in_guild=plan.not_in_guild,
        not_assignable=_unassignable_messages(unassignable),
        changes=[
            MemberRoleChange(user_id=each.user_id, add=each.add, remove=each.remove)
            for each in plan.changes[:MAX_LISTED_CHANGES]
        ],
        freshness=freshness,
    )


def _report_message(result: RunResult, plan: RolePlan) -> RoleSyncReport:
    remaining = len(plan.changes) - result.done
    return RoleSyncReport(
        complete=not remaining,
        changed=result.changed,
        adds=result.adds,
        removes=result.removes,
        unneeded=result.unneeded,
        left_guild=result.left_guild,
        failed=result.failed,
        failures=[
            MemberRoleFailure(
                user_id=each.user_id,
                status=each.error.http_status,
                code=each.error.code,
                text=each.error.text,
                sent=_SENT[each.sent],
            )
            for each in result.failures
        ],
        not_assignable=_unassignable_messages(result.unassignable),
        remaining=remaining,
    )


def _audit(call: Call, result: RunResult) -> None:
    """Add the numbers of changes to the call's audit log entry."""
    if call.audit_entry is not None:
        counts = f"members={result.changed} added={result.adds} removed={result.removes} failed={result.failed}"
        call.audit_entry = replace(call.audit_entry, where=f"{call.audit_entry.where} {counts}")
