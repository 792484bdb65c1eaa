"""Reads what a synchronization compares: the guild, the bot's membership, all members, the present roles of one."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from discordproxy.discord_api_pb2 import (
    Freshness,
    GetCurrentUserRequest,
    GetGuildRequest,
    ListGuildMembersRequest,
    MemberId,
)
from discordproxy_api.cached.lookups import LOOKUPS, MEMBERS_PER_PAGE
from discordproxy_api.cached.reads import Read, Reads
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.role_sync.assignable import GuildView

_MISSING_ACCESS = 50001


@dataclass(frozen=True, slots=True)
class MemberPage:
    """Some members of a guild, by user id: the ids of their roles."""

    roles: dict[int, tuple[int, ...]]
    freshness: Freshness


class MemberAbsentError(Exception):
    """The caches prove that a user is not a member."""


class GuildReads:
    """Reads of one bot's guilds.

    Args:
        reads: the caches' lookups.
        guild, member, user, members: the reads GetGuild, GetGuildMember, GetCurrentUser, ListGuildMembers.
    """

    def __init__(self, reads: Reads, *, guild: Read, member: Read, user: Read, members: Read) -> None:
        self._reads = reads
        self._guild = guild
        self._member = member
        self._user = user
        self._members = members

    async def view(self, guild_id: int, call: Call, *, fresh: bool) -> GuildView:
        """Return a guild and the bot's membership; raises ApiError."""
        guild = await self._guild.find(GetGuildRequest(guild_id=guild_id, fresh=fresh), call)
        user = await self._user.find(GetCurrentUserRequest(), call)
        bot = MemberId(guild_id=guild_id, user_id=int(user.document["id"]), fresh=fresh)
        return GuildView(guild.document, (await self._member.find(bot, call)).document)

    async def members(self, guild_id: int, call: Call, *, fresh: bool) -> AsyncIterator[MemberPage]:
        """Yield all members of a guild in the order of their ids, from the caches or else from Discord.

        Raises:
            ApiError: Discord refuses the list, or the request failed.
        """
        after, size = 0, MEMBERS_PER_PAGE
        while size == MEMBERS_PER_PAGE:
            request = ListGuildMembersRequest(guild_id=guild_id, after=after, limit=MEMBERS_PER_PAGE, fresh=fresh)
            try:
                found = await self._members.find(request, call)
            except ApiError as error:
                raise _list_error(error) from None
            page = dict(map(_id_and_roles, found.document))
            size = len(found.document)
            yield MemberPage(page, found.freshness)
            last = max(page, default=after)
            if size and last <= after:
                raise errors.unexpected_answer()
            after = last

    async def cached_roles(self, guild_id: int, user_id: int, *, fresh: bool) -> set[int] | None:
        """Return a member's present roles from the caches, None if they are unknown or `fresh` forbids the caches.

        Raises:
            MemberAbsentError: the user is not a member.
        """
        request = MemberId(guild_id=guild_id, user_id=user_id, fresh=fresh)
        answer, source = await self._reads.lookup(LOOKUPS["GetGuildMember"], request)
        if source != "cache":
            return None
        if answer.value is None:
            raise MemberAbsentError
        return {int(role) for role in answer.value["roles"]}


def _id_and_roles(member: Any) -> tuple[int, tuple[int, ...]]:
    try:
        return int(member["user"]["id"]), tuple(map(int, member["roles"]))
    except (TypeError, KeyError, ValueError):
        raise errors.unexpected_answer() from None


def _list_error(error: ApiError) -> ApiError:
    """Return the error of a list of members; Discord's text does not name the missing intent."""
    if (error.http_status, error.code) != (HTTPStatus.FORBIDDEN, _MISSING_ACCESS):
        return error
    text = (
        "Discord does not list the members of this guild: the bot is not in it, or lacks the privileged intent "
        "GUILD_MEMBERS; enable Server Members Intent for the application in the developer portal."
    )
    return errors.refusal("FAILED_PRECONDITION", "INTENT_OFF", text)
