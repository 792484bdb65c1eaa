"""Completes responses with the shapes that 1.5.1 clients read and with ids that Discord omits.

Each function completes the values of one message type in place; keys are names of proto fields, not of JSON.
"""

from collections.abc import Callable, Mapping
from typing import Any

Values = dict[str, Any]

_NUMBER = 10
"""Type of an option whose numbers may have a fraction."""


def _media(values: Values) -> None:
    """In 1.5.1, the `proxy_url` of images and videos was named `proxy_icon_url`."""
    if "proxy_url" in values:
        values["proxy_icon_url"] = values["proxy_url"]


def _message(values: Values) -> None:
    """1.5.1 had `mention_channels` as ids. Discord omits the member's guild."""
    if "channel_mentions" in values:
        values["mention_channels"] = [mention["id"] for mention in values["channel_mentions"] if "id" in mention]
    if "member" in values and "guild_id" in values:
        values["member"]["guild_id"] = values["guild_id"]


def _role(values: Values) -> None:
    """Add the permissions as a number."""
    permissions = values.get("permissions", "")
    if permissions.isascii() and permissions.isdecimal() and (bits := int(permissions[:20])) < 2**64:
        values["permission_bits"] = bits


def _guild(values: Values) -> None:
    """Add the guild id to the roles of a guild, where Discord omits it."""
    if "id" in values:
        for role in values.get("roles", ()):
            role["guild_id"] = values["id"]


def _interaction(values: Values) -> None:
    """Add the user, which Discord sends inside of the member, and the member's guild."""
    member = values.get("member")
    if member is not None:
        if "user" in member:
            values.setdefault("user", member["user"])
        if "guild_id" in values:
            member["guild_id"] = values["guild_id"]


def _option(values: Values) -> None:
    """Move the value of an option into the field of its type."""
    value = values.pop("string_value", None)
    if isinstance(value, str | bool):
        values["string_value" if isinstance(value, str) else "boolean_value"] = value
    elif isinstance(value, int) and values.get("type") != _NUMBER and abs(value) < 2**63:
        values["integer_value"] = value
    elif isinstance(value, int | float) and abs(value) < 2**63:
        values["number_value"] = float(value)


def _unwrapped(snapshots: Any) -> Any:
    """Discord wraps each forwarded message in an object: {"message": ...}."""
    if not isinstance(snapshots, list):
        return None
    return [snapshot.get("message") for snapshot in snapshots if isinstance(snapshot, dict)]


def _flattened(groups: Any) -> Any:
    """A search returns each message as a list of one element."""
    if not isinstance(groups, list):
        return None
    return [each for group in groups if isinstance(group, list) for each in group]


def _in_list(tags: Any) -> Any:
    """Discord sends an object where 1.5.1 had a list."""
    return [tags] if isinstance(tags, dict) else tags


COMPLETIONS: Mapping[str, Callable[[Values], None]] = {
    "discord_api.Embed.Image": _media,
    "discord_api.Embed.Video": _media,
    "discord_api.Message": _message,
    "discord_api.Role": _role,
    "discord_api.Guild": _guild,
    "discord_api.Interaction": _interaction,
    "discord_api.Interaction.Option": _option,
}

LISTS: Mapping[str, Callable[[Any], Any]] = {
    "discord_api.Message.message_snapshots": _unwrapped,
    "discord_api.Role.tags": _in_list,
    "discord_api.SearchMessagesResponse.messages": _flattened,
}
"""By full field name: the conversion of a list before that of its elements."""

UNCHANGED = frozenset({"discord_api.Interaction.Option.string_value"})
"""Fields whose JSON value is not converted: a completion does that."""
