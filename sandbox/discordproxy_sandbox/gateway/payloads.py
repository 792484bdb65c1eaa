"""Data of READY, GUILD_CREATE and GUILD_MEMBERS_CHUNK."""

from collections.abc import Iterator
from itertools import islice

from discordproxy_sandbox.errors import Json
from discordproxy_sandbox.gateway.intents import MEMBERS, PRESENCES
from discordproxy_sandbox.gateway.session import SandboxSession, shard_of
from discordproxy_sandbox.world.visibility import as_bot_sees, bot_sees
from discordproxy_sandbox.world.world import Guild, World

_MAX_MEMBERS_SHOWN = 75_000
_CHUNK = 1000
_MAX_LISTED = 100


def ready(world: World, session: SandboxSession, resume_url: str) -> Json:
    """Return the data of READY; every guild of the shard is listed as unavailable until its GUILD_CREATE."""
    number, count = session.shard
    mine = [guild_id for guild_id in world.guilds if shard_of(guild_id, count) == number]
    return {
        "v": 10,
        "user": {**world.user(world.bot_id), "verified": True, "mfa_enabled": True, "email": None},
        "guilds": [{"id": guild_id, "unavailable": True} for guild_id in mine],
        "session_id": session.id,
        "resume_gateway_url": resume_url,
        "shard": [number, count],
        "application": {"id": world.bot_id, "flags": world.application_flags},
        "private_channels": [],
        "relationships": [],
        "presences": [],
        "geo_ordered_rtc_regions": ["rotterdam"],
        "session_type": "normal",
        "guild_join_requests": [],
        "user_settings": {},
        "_trace": ["sandbox"],
    }


def guild_create(world: World, guild: Guild, intents: int) -> Json:
    """Return a guild as GUILD_CREATE sends it.

    `members` holds only the bot and users in voice, unless presences are requested and the guild has at most 75,000.
    """
    shown = [world.bot_id, *(user_id for user_id in guild.voice_states if user_id != world.bot_id)]
    if intents & PRESENCES and len(guild.members) <= _MAX_MEMBERS_SHOWN:
        shown = list(guild.members)
    return (
        guild.as_json()
        | {
            "joined_at": "2025-01-01T00:00:00.000000+00:00",
            "large": len(guild.members) > 50,  # noqa: PLR2004 - Discord's default of large_threshold
            "unavailable": False,
            "member_count": len(guild.members),
            "voice_states": list(guild.voice_states.values()),
            "members": [world.member(guild.id, user_id) for user_id in shown if user_id in guild.members],
            "channels": [as_bot_sees(world, channel) for channel in guild.plain_channels()],
            "threads": [thread.data for thread in guild.active_threads() if bot_sees(world, thread)],
            "presences": [_presence(user_id) for user_id in shown[:_MAX_LISTED]] if intents & PRESENCES else [],
            "stage_instances": [],
            "guild_scheduled_events": list(guild.scheduled_events.values()),
            "soundboard_sounds": [],
        }
    )


def wants_all(request: Json) -> bool:
    """Return whether a member request is for the whole list."""
    return request.get("query") == "" and not request.get("limit") and not request.get("user_ids")


def member_chunks(world: World, guild: Guild, request: Json, intents: int) -> Iterator[Json]:
    """Yield the data of every GUILD_MEMBERS_CHUNK for a request; at least one."""
    found, missing = _select(world, guild, request)
    count = max(1, -(-found[1] // _CHUNK))
    nonce = request.get("nonce")
    ids = iter(found[0])
    for index in range(count):
        part = list(islice(ids, _CHUNK))
        chunk: Json = {
            "guild_id": guild.id,
            "members": [world.member(guild.id, user_id) for user_id in part],
            "chunk_index": index,
            "chunk_count": count,
        }
        if missing:
            chunk["not_found"] = missing
        if request.get("presences") and intents & PRESENCES:
            chunk["presences"] = [_presence(user_id) for user_id in part]
        if isinstance(nonce, str) and len(nonce.encode()) <= 32:  # noqa: PLR2004 - longer ones are ignored
            chunk["nonce"] = nonce
        yield chunk


def may_have_all(intents: int) -> bool:
    """Return whether a session may request a whole member list."""
    return bool(intents & MEMBERS)


def _select(world: World, guild: Guild, request: Json) -> tuple[tuple[Iterator[str], int], list[str]]:
    if user_ids := request.get("user_ids"):
        asked = [str(one) for one in (user_ids if isinstance(user_ids, list) else [user_ids])][:_MAX_LISTED]
        found = [one for one in asked if one in guild.members]
        return (iter(found), len(found)), [one for one in asked if one not in found]
    if wants_all(request):
        return (iter(guild.members), len(guild.members)), []
    prefix, limit = str(request.get("query", "")).lower(), min(int(request.get("limit") or _MAX_LISTED), _MAX_LISTED)
    matching = list(islice(world.members_named(guild, prefix), limit))
    return (iter(matching), len(matching)), []


def _presence(user_id: str) -> Json:
    return {"user": {"id": user_id}, "status": "online", "activities": [], "client_status": {"desktop": "online"}}
