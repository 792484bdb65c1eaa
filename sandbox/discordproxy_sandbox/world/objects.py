"""Factories of objects in Discord's shape with its defaults."""

from collections.abc import Sequence

from discordproxy_sandbox.errors import Json
from discordproxy_sandbox.world.snowflakes import iso
from discordproxy_sandbox.world.world import DM, THREADS, Channel, Guild

EVERYTHING = str((1 << 53) - 1)
DEFAULT_PERMISSIONS = str(0x400 | 0x800 | 0x4000 | 0x8000 | 0x10000 | 0x40 | 0x100000 | 0x200000)
_JOINED_AT = iso(1_735_689_600.0)


def make_user(user_id: str, name: str, *, bot: bool = False) -> Json:
    """Return a user object."""
    user: Json = {
        "id": user_id,
        "username": name,
        "discriminator": "0" if not bot else f"{int(user_id) % 10000:04}",
        "global_name": None if bot else name.title(),
        "avatar": None,
        "primary_guild": None,
        "public_flags": 0,
        "flags": 0,
    }
    return user | {"bot": True} if bot else user


def make_member(roles: Sequence[str] = ()) -> Json:
    """Return a member object without its user."""
    return {
        "avatar": None,
        "banner": None,
        "communication_disabled_until": None,
        "flags": 0,
        "joined_at": _JOINED_AT,
        "nick": None,
        "pending": False,
        "premium_since": None,
        "roles": list(roles),
        "mute": False,
        "deaf": False,
    }


def make_role(role_id: str, name: str, position: int, permissions: str = DEFAULT_PERMISSIONS) -> Json:
    """Return a role object."""
    return {
        "id": role_id,
        "name": name,
        "description": None,
        "permissions": permissions,
        "position": position,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": False,
        "mentionable": False,
        "icon": None,
        "unicode_emoji": None,
        "flags": 0,
    }


def make_guild(guild_id: str, name: str, owner_id: str) -> Guild:
    """Return a guild whose only role is @everyone."""
    data: Json = {
        "id": guild_id,
        "name": name,
        "icon": None,
        "description": None,
        "home_header": None,
        "splash": None,
        "discovery_splash": None,
        "features": ["COMMUNITY", "NEWS"],
        "banner": None,
        "owner_id": owner_id,
        "application_id": None,
        "region": "deprecated",
        "afk_channel_id": None,
        "afk_timeout": 300,
        "system_channel_id": None,
        "system_channel_flags": 0,
        "widget_enabled": False,
        "widget_channel_id": None,
        "verification_level": 0,
        "default_message_notifications": 0,
        "mfa_level": 0,
        "explicit_content_filter": 0,
        "max_presences": None,
        "max_members": 500000,
        "max_stage_video_channel_users": 50,
        "max_video_channel_users": 25,
        "vanity_url_code": None,
        "premium_tier": 0,
        "premium_subscription_count": 0,
        "preferred_locale": "en-US",
        "rules_channel_id": None,
        "safety_alerts_channel_id": None,
        "public_updates_channel_id": None,
        "premium_progress_bar_enabled": False,
        "nsfw": False,
        "nsfw_level": 0,
        "incidents_data": None,
    }
    return Guild(data, roles={guild_id: make_role(guild_id, "@everyone", 0)})


def make_channel(channel_id: str, guild_id: str, name: str, kind: int, position: int = 0) -> Channel:
    """Return a guild channel object of a type."""
    data: Json = {
        "id": channel_id,
        "type": kind,
        "last_message_id": None,
        "flags": 0,
        "guild_id": guild_id,
        "name": name,
        "parent_id": None,
        "rate_limit_per_user": 0,
        "topic": None,
        "position": position,
        "permission_overwrites": [],
        "nsfw": False,
    }
    if kind in (2, 13):
        data |= {"bitrate": 64000, "user_limit": 0, "rtc_region": None, "video_quality_mode": 1}
    if kind in (15, 16):
        data |= {"available_tags": [], "default_reaction_emoji": None, "default_sort_order": None}
        data |= {"default_forum_layout": 0}
    return Channel(data)


def make_dm(channel_id: str, user: Json) -> Channel:
    """Return the DM channel with a user."""
    return Channel({"id": channel_id, "type": DM, "last_message_id": None, "flags": 0, "recipients": [user]})


def make_thread(thread_id: str, parent: Channel, name: str, owner_id: str, created: str, kind: int = 11) -> Channel:
    """Return a thread below a channel; `created` is ISO time."""
    metadata: Json = {
        "archived": False,
        "archive_timestamp": created,
        "auto_archive_duration": 1440,
        "locked": False,
        "create_timestamp": created,
    }
    data: Json = {
        "id": thread_id,
        "type": kind,
        "last_message_id": None,
        "flags": 0,
        "guild_id": parent.guild_id,
        "name": name,
        "parent_id": parent.id,
        "rate_limit_per_user": 0,
        "owner_id": owner_id,
        "thread_metadata": metadata,
        "message_count": 0,
        "member_count": 1,
        "total_message_sent": 0,
        "applied_tags": [],
    }
    if kind == THREADS[2]:
        metadata["invitable"] = True
    thread = Channel(data)
    thread.thread_members[owner_id] = {"id": thread_id, "user_id": owner_id, "join_timestamp": created, "flags": 0}
    return thread
