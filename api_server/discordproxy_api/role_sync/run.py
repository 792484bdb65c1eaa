"""Carries out a plan: a bounded number of members at a time, until all were tried or going on makes no sense."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import chain, count

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call, Sent
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.role_sync.assignable import GuildView, Why
from discordproxy_api.role_sync.plan import MemberChange, RolePlan
from discordproxy_api.role_sync.reading import GuildReads
from discordproxy_api.role_sync.writing import MemberRoleWriter, WriteOutcome

CONCURRENCY = 8
"""Members at a time: so many changes may still take effect after the caller has gone."""
MAX_FAILED_IN_A_ROW = 20
"""Then Discord does not work, or refuses for a reason that concerns all members."""
RECHECK_S = 5.0
"""Shortest time between two checks of the bot's permissions after a refusal."""
MAX_LISTED_FAILURES = 1_000
MAX_TRIES = 3
"""Requests for one member whose roles were found to have been deleted meanwhile."""

_UNKNOWN_MEMBER, _UNKNOWN_ROLE, _UNKNOWN_USER = 10007, 10011, 10013
_ABOUT_ONE_MEMBER = frozenset({"DISCORD_UNREACHABLE", "INTERNAL"})
"""Reasons of failures without a response of Discord that say nothing about the next member."""


@dataclass(frozen=True, slots=True)
class MemberFailure:
    """A member whose change failed."""

    user_id: int
    error: ApiError
    sent: Sent


@dataclass(slots=True)
class RunResult:
    """What was done so far.

    Attributes:
        stopped_by: why the run ended before all members were tried.
        unassignable: roles that could not be assigned any more.
    """

    done: int = 0
    changed: int = 0
    adds: int = 0
    removes: int = 0
    unneeded: int = 0
    failed: int = 0
    left_guild: list[int] = field(default_factory=list)
    failures: list[MemberFailure] = field(default_factory=list)
    unassignable: dict[int, Why] = field(default_factory=dict)
    stopped_by: ApiError | None = None


class RoleSyncRun:
    """One run.

    Args:
        view: the guild as it was planned for.
        call: of the caller; each change has a part of it.
        reads: for the roles, which may change meanwhile.
    """

    def __init__(
        self,
        guild_id: int,
        plan: RolePlan,
        view: GuildView,
        *,
        call: Call,
        writer: MemberRoleWriter,
        reads: GuildReads,
        drain: Drain,
        metrics: Metrics,
    ) -> None:
        self._guild_id = guild_id
        self._plan = plan
        self._view = view
        self._call = call
        self._writer = writer
        self._reads = reads
        self._drain = drain
        self._metrics = metrics
        self._failed_in_a_row = 0
        self._checking = asyncio.Lock()
        self._checks = 0
        self._checked_at = float("-inf")
        self.result = RunResult()

    async def run(self) -> None:
        """Try all members. Does not raise ApiError; see `RunResult.stopped_by`.

        Changes of a single role have another limit at Discord than lists, so each kind has half of the places.
        """
        changes = self._plan.changes
        singles = iter([change for change in changes if len(change) == 1])
        lists = iter([change for change in changes if len(change) > 1])
        async with asyncio.TaskGroup() as group:
            for number in range(min(CONCURRENCY, len(changes))):
                group.create_task(self._work(chain(singles, lists) if number % 2 else chain(lists, singles)))

    async def _work(self, changes: Iterator[MemberChange]) -> None:
        while self._may_continue() and (change := next(changes, None)) is not None:
            await self._change(change.without(self.result.unassignable))

    def _may_continue(self) -> bool:
        if self._drain.begun and self.result.stopped_by is None:
            self.result.stopped_by = errors.draining()
        return self.result.stopped_by is None

    async def _change(self, change: MemberChange) -> None:
        """Change a member; if a role cannot be assigned any more, change the others."""
        for tries in count(1):
            if not change:
                break
            checks, part = self._checks, self._call.part()
            try:
                outcome, done = await self._writer.write(change, part)
            except ApiError as error:
                failure = error
            else:
                self._count(change, outcome, done)
                return
            finally:
                self._call.add_part(part)
            if await self._outlasts(failure, tries, part):
                continue
            if self._is_final(change, failure):
                return
            left = await self._assignable_part(change, failure, checks)
            # A list may contain roles that stay, and one of those may be the deleted one.
            deleted = failure.code == _UNKNOWN_ROLE and self._checks > checks and tries < MAX_TRIES
            if len(left) == len(change) and not deleted:
                self._fail(MemberFailure(change.user_id, failure, part.sent))
                return
            change = left
        self._count(change, WriteOutcome.UNNEEDED, change)

    def _is_final(self, change: MemberChange, failure: ApiError) -> bool:
        """Record a failure that leaves nothing to try: the member has left, or all members would fail."""
        if failure.code in {_UNKNOWN_MEMBER, _UNKNOWN_USER}:
            self._count(change, WriteOutcome.LEFT, MemberChange(change.user_id))
            return True
        if _concerns_all(failure):
            self.result.stopped_by = self.result.stopped_by or failure
            return True
        return False

    async def _outlasts(self, failure: ApiError, tries: int, part: Call) -> bool:
        """Wait if Redis did not answer; return whether to try again. A run may take hours, and Redis may restart."""
        if failure.reason != "BROKER_UNAVAILABLE":
            return False
        try:
            return await self._writer.pause(tries, part)
        except ApiError:  # the drain has begun
            return False

    def _count(self, change: MemberChange, outcome: WriteOutcome, done: MemberChange) -> None:
        result = self.result
        self._failed_in_a_row = 0
        self._metrics.role_sync_members.labels(outcome.value).inc()
        result.done += 1
        result.changed += outcome is WriteOutcome.CHANGED
        result.unneeded += outcome is WriteOutcome.UNNEEDED
        result.adds += len(done.add)
        result.removes += len(done.remove)
        if outcome is WriteOutcome.LEFT:
            result.left_guild.append(change.user_id)

    def _fail(self, failure: MemberFailure) -> None:
        result = self.result
        self._failed_in_a_row += 1
        self._metrics.role_sync_members.labels(WriteOutcome.FAILED.value).inc()
        result.done += 1
        result.failed += 1
        if len(result.failures) < MAX_LISTED_FAILURES:
            result.failures.append(failure)
        if self._failed_in_a_row >= MAX_FAILED_IN_A_ROW and result.stopped_by is None:
            result.stopped_by = _too_many_failures(failure.error)

    async def _assignable_part(self, change: MemberChange, failure: ApiError, checks: int) -> MemberChange:
        """Return the part of a refused change whose roles the bot can still assign.

        Args:
            change: the change.
            failure: the refusal.
            checks: number of checks of the guild's roles when the change was sent.
        """
        forbidden = failure.http_status == HTTPStatus.FORBIDDEN and bool(failure.code)
        if forbidden or failure.code == _UNKNOWN_ROLE:
            try:
                await self._check_roles(checks, hurry=not forbidden)
            except ApiError as error:
                self.result.stopped_by = self.result.stopped_by or error
        return change.without(self.result.unassignable)

    async def _check_roles(self, checks: int, *, hurry: bool) -> None:
        """Read the guild's roles and the bot's permissions again, unless that was done since `checks`."""
        async with self._checking:
            now = asyncio.get_running_loop().time()
            if self._checks != checks or not (hurry or now - self._checked_at >= RECHECK_S):
                return
            view = await self._reads.view(self._guild_id, self._call, fresh=True)
            self._checks += 1
            self._checked_at = now
            require_manage_roles(view)
            self._writer.deleted_roles = self._view.role_ids() - view.role_ids()
            planned = {role for change in self._plan.changes for role in (*change.add, *change.remove)}
            self.result.unassignable = view.unassignable(planned)


def require_manage_roles(view: GuildView) -> None:
    """Raise ApiError unless the bot may manage the guild's roles."""
    if not view.may_manage_roles():
        text = "The bot lacks the permission MANAGE_ROLES in this guild; grant it to one of the bot's roles."
        raise errors.refusal("FAILED_PRECONDITION", "MISSING_PERMISSIONS", text)


def _concerns_all(error: ApiError) -> bool:
    """Return whether an error will occur for the next member, too."""
    if error.http_status == HTTPStatus.UNAUTHORIZED:
        return True
    return error.scope == "proxy" and not error.http_status and error.reason not in _ABOUT_ONE_MEMBER


def _too_many_failures(last: ApiError) -> ApiError:
    text = f"The changes of {MAX_FAILED_IN_A_ROW} members in a row failed; the last error: {last.text}"
    return ApiError(
        last.status, "TOO_MANY_FAILURES", text, http_status=last.http_status, code=last.code, scope=last.scope
    )
