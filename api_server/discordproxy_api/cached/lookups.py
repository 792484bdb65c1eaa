"""The RPCs that the caches can answer, and their lookups.

A lookup returns None if the caches cannot answer this request. Invalid values are left to Discord.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from discordproxy_gateway.cache import CachedAnswer, CacheReader, MemberReader

Find = Callable[["Caches", Any], Awaitable[CachedAnswer[Any]] | None]

GUILDS_PER_PAGE, MEMBERS_PER_PAGE = 200, 1000
FIRST_PAGE = 1
"""Number of members that Discord returns without a limit."""


@dataclass(frozen=True, slots=True)
class Caches:
    """Readers of the gateway worker's caches."""

    reader: CacheReader
    members: MemberReader


@dataclass(frozen=True, slots=True)
class UnknownObject:
    """Discord's error for an object that does not exist."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """Reads the answer to an RPC from the caches.

    Attributes:
        find: from a request to the caches' answer.
        unknown: the error if the caches prove that the object does not exist; None: Discord is queried.
        whole: an incomplete list is not used.
    """

    find: Find
    unknown: UnknownObject | None = None
    whole: bool = False


def _guild(caches: Caches, request: Any) -> Awaitable[CachedAnswer[Any]] | None:
    return None if request.with_counts else caches.reader.guild(request.guild_id)


def _guilds(caches: Caches, request: Any) -> Awaitable[CachedAnswer[Any]] | None:
    limit = request.limit if request.HasField("limit") else GUILDS_PER_PAGE
    before = request.before if request.HasField("before") else None
    after = request.after if request.HasField("after") else None
    if request.with_counts or not 1 <= limit <= GUILDS_PER_PAGE or None not in (before, after):
        return None
    return _with_owner(caches, after, before, limit)


async def _with_owner(caches: Caches, after: int | None, before: int | None, limit: int) -> CachedAnswer[Any]:
    """Return guilds as in Discord's list of the bot's guilds, without `permissions`."""
    answer, user = await caches.reader.guilds(after=after, before=before, limit=limit), await caches.reader.user()
    if answer.value is None or user.value is None:
        return CachedAnswer()
    own_id = user.value["id"]
    return CachedAnswer(
        [{**guild, "owner": guild.get("owner_id") == own_id} for guild in answer.value], answer.freshness
    )


def _members(caches: Caches, request: Any) -> Awaitable[CachedAnswer[Any]] | None:
    limit = request.limit if request.HasField("limit") else FIRST_PAGE
    if not 1 <= limit <= MEMBERS_PER_PAGE:
        return None
    pages = caches.members.members(request.guild_id, after=request.after, limit=limit, role_id=request.role_id or None)
    return _completing(caches, request.guild_id, pages)


def _search(caches: Caches, request: Any) -> Awaitable[CachedAnswer[Any]] | None:
    limit = request.limit if request.HasField("limit") else FIRST_PAGE
    if not 1 <= limit <= MEMBERS_PER_PAGE or not request.query:
        return None
    return _completing(caches, request.guild_id, caches.members.search(request.guild_id, request.query, limit))


async def _completing(caches: Caches, guild_id: int, found: Awaitable[CachedAnswer[Any]]) -> CachedAnswer[Any]:
    """Return the answer; if the list is incomplete, let the gateway worker fetch it."""
    answer = await found
    if answer.freshness is not None and not answer.freshness.complete:
        await caches.members.request_list(guild_id)
    return answer


LOOKUPS: Mapping[str, Lookup] = {
    "GetCurrentUser": Lookup(lambda caches, _: caches.reader.user()),
    "GetGuild": Lookup(_guild, UnknownObject(10004, "Unknown Guild")),
    "ListGuilds": Lookup(_guilds, whole=True),
    "GetGuildChannels": Lookup(lambda caches, request: caches.reader.channels(request.guild_id)),
    "GetGuildRoles": Lookup(lambda caches, request: caches.reader.roles(request.guild_id)),
    "GetGuildEmojis": Lookup(lambda caches, request: caches.reader.emojis(request.guild_id)),
    "GetChannel": Lookup(
        lambda caches, request: caches.reader.channel(request.channel_id), UnknownObject(10003, "Unknown Channel")
    ),
    "GetGuildMember": Lookup(
        lambda caches, request: caches.members.member(request.guild_id, request.user_id),
        UnknownObject(10007, "Unknown Member"),
    ),
    "ListGuildMembers": Lookup(_members, whole=True),
    "SearchGuildMembers": Lookup(_search, whole=True),
}
"""By RPC; all other reads always query Discord."""
