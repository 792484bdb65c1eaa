"""Writes the roles of one member in one request, in order with the proxy's other changes of them.

Discord takes several roles only as the whole list, so a list that is older than someone else's change reverts it. The
present roles come from the caches, which contain the proxy's own writes and all events so far, or from Discord if the
caches cannot answer. A single role is added or removed by its own request, which needs no list and reverts nothing.
"""

from collections.abc import Awaitable, Callable, Collection
from enum import StrEnum
from functools import partial
from itertools import count
from typing import Any

from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.discord.rest import Rest
from discordproxy_api.role_sync.plan import MemberChange
from discordproxy_api.role_sync.reading import GuildReads, MemberAbsentError
from discordproxy_api.rpcs.member_roles import MemberRoles

RunInOrder = Callable[[str, Call, Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""Name of the order, call, job -> the job's result; jobs with the same name run one after another."""


class WriteOutcome(StrEnum):
    """How the change of a member ended."""

    CHANGED = "changed"
    UNNEEDED = "unneeded"  # the member had the wanted roles
    LEFT = "left"  # the user is not a member any more
    FAILED = "failed"


class MemberRoleWriter:
    """Writes the roles of a guild's members.

    Args:
        reason: for the audit log.
        fresh: whether the caches must not be used.

    Attributes:
        deleted_roles: roles that the guild had and has no more; the caches may still show them.
    """

    def __init__(
        self, guild_id: int, *, rest: Rest, reads: GuildReads, run_in_order: RunInOrder, reason: str, fresh: bool
    ) -> None:
        self._guild_id = guild_id
        self._rest = rest
        self._reads = reads
        self._run_in_order = run_in_order
        self._reason = reason
        self._fresh = fresh
        self.deleted_roles: set[int] = set()

    async def write(self, change: MemberChange, call: Call) -> tuple[WriteOutcome, MemberChange]:
        """Carry out a change; return its outcome, and the part that was needed.

        Raises:
            ApiError: Discord refused it, or its outcome is unknown after all attempts.
        """
        roles = MemberRoles(self._guild_id, change.user_id)
        try:
            done: MemberChange = await self._run_in_order(roles.order, call, partial(self._write, roles, change, call))
        except MemberAbsentError:
            return WriteOutcome.LEFT, MemberChange(change.user_id)
        return (WriteOutcome.CHANGED if done else WriteOutcome.UNNEEDED), done

    async def pause(self, attempt: int, call: Call) -> bool:
        """Wait before another attempt; return False if there is none. Raises ApiError if the drain begins."""
        return await self._rest.pause(attempt, call)

    async def _write(self, roles: MemberRoles, change: MemberChange, call: Call) -> MemberChange:
        """Send the request for what is needed. If its outcome is unknown, determine anew what is needed."""
        done = MemberChange(change.user_id)
        for attempt in count(1):
            needed, current = await self._needed(roles, change, call)
            if not needed:
                break
            done = done or needed
            request = roles.change(
                needed.add,
                needed.remove,
                current=current,
                reason=self._reason,
                repeat=Repeat.NEVER,  # a repeat is made from the roles at that time
            )
            try:
                await self._rest.send(request, call)
                break
            except ApiError:
                if not call.in_doubt or not await self._rest.pause(attempt, call):
                    raise
        return done

    async def _needed(
        self, roles: MemberRoles, change: MemberChange, call: Call
    ) -> tuple[MemberChange, Collection[int]]:
        """Return the part of a change that is needed now, and the present roles as far as a list requires them."""
        current = await self._reads.cached_roles(self._guild_id, change.user_id, fresh=self._fresh)
        if current is None:
            if len(change) == 1:
                return change, ()
            current = await roles.read(self._rest, call)
        current -= self.deleted_roles
        return change.pending(current), current
