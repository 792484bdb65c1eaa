"""The intent of each event, and the fields that the content intent hides. Pure.

Source: events/gateway of Discord's documentation, August 2026.
"""

from discordproxy_sandbox.errors import Json

_EVENTS = {
    0: "GUILD_CREATE GUILD_UPDATE GUILD_DELETE GUILD_ROLE_CREATE GUILD_ROLE_UPDATE GUILD_ROLE_DELETE CHANNEL_CREATE "
    "CHANNEL_UPDATE CHANNEL_DELETE CHANNEL_PINS_UPDATE THREAD_CREATE THREAD_UPDATE THREAD_DELETE THREAD_LIST_SYNC "
    "THREAD_MEMBER_UPDATE STAGE_INSTANCE_CREATE STAGE_INSTANCE_UPDATE STAGE_INSTANCE_DELETE "
    "VOICE_CHANNEL_STATUS_UPDATE VOICE_CHANNEL_START_TIME_UPDATE",
    1: "GUILD_MEMBER_ADD GUILD_MEMBER_UPDATE GUILD_MEMBER_REMOVE THREAD_MEMBERS_UPDATE",
    2: "GUILD_AUDIT_LOG_ENTRY_CREATE GUILD_BAN_ADD GUILD_BAN_REMOVE",
    3: "GUILD_EMOJIS_UPDATE GUILD_STICKERS_UPDATE",
    4: "GUILD_INTEGRATIONS_UPDATE INTEGRATION_CREATE INTEGRATION_UPDATE INTEGRATION_DELETE",
    5: "WEBHOOKS_UPDATE",
    6: "INVITE_CREATE INVITE_DELETE",
    7: "VOICE_STATE_UPDATE VOICE_CHANNEL_EFFECT_SEND",
    8: "PRESENCE_UPDATE",
    9: "MESSAGE_CREATE MESSAGE_UPDATE MESSAGE_DELETE MESSAGE_DELETE_BULK",
    10: "MESSAGE_REACTION_ADD MESSAGE_REACTION_REMOVE MESSAGE_REACTION_REMOVE_ALL MESSAGE_REACTION_REMOVE_EMOJI",
    11: "TYPING_START",
    16: "GUILD_SCHEDULED_EVENT_CREATE GUILD_SCHEDULED_EVENT_UPDATE GUILD_SCHEDULED_EVENT_DELETE "
    "GUILD_SCHEDULED_EVENT_USER_ADD GUILD_SCHEDULED_EVENT_USER_REMOVE",
    24: "MESSAGE_POLL_VOTE_ADD MESSAGE_POLL_VOTE_REMOVE",
}
_BIT = {name: bit for bit, names in _EVENTS.items() for name in names.split()}
_IN_DM = {0: 12, 9: 12, 10: 13, 11: 14, 24: 25}
_ALWAYS_OWN = "GUILD_MEMBER_UPDATE"
MEMBERS = 1 << 1
PRESENCES = 1 << 8
CONTENT = 1 << 15
PRIVILEGED = MEMBERS | PRESENCES | CONTENT
_LIMITED_FLAGS = {PRESENCES: 1 << 13, MEMBERS: 1 << 15, CONTENT: 1 << 19}  # of applications in less than 100 guilds
KNOWN = sum(1 << bit for bit in (*range(17), 20, 21, 24, 25))
_CONTENT_EVENTS = ("MESSAGE_CREATE", "MESSAGE_UPDATE")
_HIDDEN: Json = {"content": "", "embeds": [], "attachments": [], "components": []}


def application_flags(privileged: int) -> int:
    """Return the flags of an application with these privileged intents enabled."""
    return sum(flag for intent, flag in _LIMITED_FLAGS.items() if privileged & intent)


def wants(intents: int, name: str, data: Json, bot_id: str, *, in_guild: bool) -> bool:
    """Return whether a session with these intents receives an event; events without an intent go to all sessions."""
    bit = _BIT.get(name)
    if bit is None:
        return True
    if name == _ALWAYS_OWN and data["user"]["id"] == bot_id:
        return True
    return bool(intents >> (bit if in_guild else _IN_DM.get(bit, bit)) & 1)


def visible(intents: int, name: str, data: Json, bot_id: str, *, in_guild: bool) -> Json:
    """Return the event's data without the fields that need the content intent.

    The bot's own messages, DMs and messages that mention the bot keep their content.
    """
    if name not in _CONTENT_EVENTS or intents & CONTENT or not in_guild:
        return data
    mentioned = any(user["id"] == bot_id for user in data.get("mentions", ()))
    if mentioned or data["author"]["id"] == bot_id:
        return data
    return {**data, **{key: empty for key, empty in _HIDDEN.items() if key in data}}
