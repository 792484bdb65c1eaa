"""Gateway intents by name, and what each of them brings. Pure.

Bits and event names: Discord, gateway, list of intents (2026-08).
"""

from collections.abc import Iterable

BITS = {
    "guilds": 0,
    "members": 1,
    "moderation": 2,
    "expressions": 3,
    "integrations": 4,
    "webhooks": 5,
    "invites": 6,
    "voice_states": 7,
    "presences": 8,
    "messages": 9,
    "reactions": 10,
    "typing": 11,
    "direct_messages": 12,
    "direct_reactions": 13,
    "direct_typing": 14,
    "message_content": 15,
    "scheduled_events": 16,
    "auto_moderation_configuration": 20,
    "auto_moderation_execution": 21,
    "polls": 24,
    "direct_polls": 25,
}

PRIVILEGED = {
    "members": "Server Members Intent",
    "presences": "Presence Intent",
    "message_content": "Message Content Intent",
}
"""Intents that must be switched on for the bot first -> their name on the developer portal."""

DEFAULT = ("guilds", "expressions", "voice_states")
"""What needs no switch on the portal, so that a first start never fails on it."""

EVENTS: dict[str, tuple[str, ...]] = {
    "GUILD_CREATE": ("guilds",),
    "GUILD_UPDATE": ("guilds",),
    "GUILD_DELETE": ("guilds",),
    "GUILD_ROLE_CREATE": ("guilds",),
    "GUILD_ROLE_UPDATE": ("guilds",),
    "GUILD_ROLE_DELETE": ("guilds",),
    "CHANNEL_CREATE": ("guilds",),
    "CHANNEL_UPDATE": ("guilds",),
    "CHANNEL_DELETE": ("guilds",),
    "CHANNEL_PINS_UPDATE": ("guilds", "direct_messages"),
    "THREAD_CREATE": ("guilds",),
    "THREAD_UPDATE": ("guilds",),
    "THREAD_DELETE": ("guilds",),
    "THREAD_LIST_SYNC": ("guilds",),
    "THREAD_MEMBER_UPDATE": ("guilds",),
    "THREAD_MEMBERS_UPDATE": ("guilds", "members"),
    "STAGE_INSTANCE_CREATE": ("guilds",),
    "STAGE_INSTANCE_UPDATE": ("guilds",),
    "STAGE_INSTANCE_DELETE": ("guilds",),
    "VOICE_CHANNEL_STATUS_UPDATE": ("guilds",),
    "VOICE_CHANNEL_START_TIME_UPDATE": ("guilds",),
    "GUILD_MEMBER_ADD": ("members",),
    "GUILD_MEMBER_UPDATE": ("members",),
    "GUILD_MEMBER_REMOVE": ("members",),
    "GUILD_AUDIT_LOG_ENTRY_CREATE": ("moderation",),
    "GUILD_BAN_ADD": ("moderation",),
    "GUILD_BAN_REMOVE": ("moderation",),
    "GUILD_EMOJIS_UPDATE": ("expressions",),
    "GUILD_STICKERS_UPDATE": ("expressions",),
    "GUILD_SOUNDBOARD_SOUND_CREATE": ("expressions",),
    "GUILD_SOUNDBOARD_SOUND_UPDATE": ("expressions",),
    "GUILD_SOUNDBOARD_SOUND_DELETE": ("expressions",),
    "GUILD_SOUNDBOARD_SOUNDS_UPDATE": ("expressions",),
    "GUILD_INTEGRATIONS_UPDATE": ("integrations",),
    "INTEGRATION_CREATE": ("integrations",),
    "INTEGRATION_UPDATE": ("integrations",),
    "INTEGRATION_DELETE": ("integrations",),
    "WEBHOOKS_UPDATE": ("webhooks",),
    "INVITE_CREATE": ("invites",),
    "INVITE_DELETE": ("invites",),
    "VOICE_STATE_UPDATE": ("voice_states",),
    "VOICE_CHANNEL_EFFECT_SEND": ("voice_states",),
    "PRESENCE_UPDATE": ("presences",),
    "MESSAGE_CREATE": ("messages", "direct_messages"),
    "MESSAGE_UPDATE": ("messages", "direct_messages"),
    "MESSAGE_DELETE": ("messages", "direct_messages"),
    "MESSAGE_DELETE_BULK": ("messages",),
    "MESSAGE_REACTION_ADD": ("reactions", "direct_reactions"),
    "MESSAGE_REACTION_REMOVE": ("reactions", "direct_reactions"),
    "MESSAGE_REACTION_REMOVE_ALL": ("reactions", "direct_reactions"),
    "MESSAGE_REACTION_REMOVE_EMOJI": ("reactions", "direct_reactions"),
    "TYPING_START": ("typing", "direct_typing"),
    "GUILD_SCHEDULED_EVENT_CREATE": ("scheduled_events",),
    "GUILD_SCHEDULED_EVENT_UPDATE": ("scheduled_events",),
    "GUILD_SCHEDULED_EVENT_DELETE": ("scheduled_events",),
    "GUILD_SCHEDULED_EVENT_USER_ADD": ("scheduled_events",),
    "GUILD_SCHEDULED_EVENT_USER_REMOVE": ("scheduled_events",),
    "AUTO_MODERATION_RULE_CREATE": ("auto_moderation_configuration",),
    "AUTO_MODERATION_RULE_UPDATE": ("auto_moderation_configuration",),
    "AUTO_MODERATION_RULE_DELETE": ("auto_moderation_configuration",),
    "AUTO_MODERATION_ACTION_EXECUTION": ("auto_moderation_execution",),
    "MESSAGE_POLL_VOTE_ADD": ("polls", "direct_polls"),
    "MESSAGE_POLL_VOTE_REMOVE": ("polls", "direct_polls"),
    "APPLICATION_COMMAND_PERMISSIONS_UPDATE": (),
    "CHANNEL_INFO": (),
    "ENTITLEMENT_CREATE": (),
    "ENTITLEMENT_UPDATE": (),
    "ENTITLEMENT_DELETE": (),
    "INTERACTION_CREATE": (),
    "SOUNDBOARD_SOUNDS": (),
    "SUBSCRIPTION_CREATE": (),
    "SUBSCRIPTION_UPDATE": (),
    "SUBSCRIPTION_DELETE": (),
    "USER_UPDATE": (),
    "VOICE_SERVER_UPDATE": (),
}
"""Events that can be subscribed to -> intents of which one is needed; none means that Discord always sends them."""

SECRET_EVENTS = frozenset({"VOICE_SERVER_UPDATE"})
"""Events with a secret (the token of a voice connection): only subscriptions that name them receive them."""


def value_of(names: Iterable[str]) -> int:
    """Return the number Discord takes for these intents."""
    return sum(1 << BITS[name] for name in set(names))


def names_of(value: int) -> list[str]:
    """Return the names of the intents in `value`, in the order of their bits."""
    return [name for name, bit in BITS.items() if value >> bit & 1]


def privileged(names: Iterable[str]) -> list[str]:
    """Return those of `names` that must be switched on for the bot first."""
    return [name for name in PRIVILEGED if name in set(names)]
