"""Events like those of a busy guild, about a kilobyte each: seven of ten are messages."""

import random
from typing import Any

CHANCE = random.Random(1)
_KINDS = {
    "MESSAGE_CREATE": 70,
    "MESSAGE_REACTION_ADD": 12,
    "GUILD_MEMBER_UPDATE": 10,
    "CHANNEL_UPDATE": 4,
    "VOICE_STATE_UPDATE": 4,
}


def some_events(number: int, guild_id: str, channel_ids: list[str], members: list[dict]) -> list[tuple[str, Any]]:
    """Return so many events of members of one guild, in a mixture that is the same every time."""
    names = CHANCE.choices(list(_KINDS), list(_KINDS.values()), k=number)
    return [(name, _event(name, guild_id, CHANCE.choice(channel_ids), CHANCE.choice(members))) for name in names]


def _event(name: str, guild_id: str, channel_id: str, member: dict) -> dict:
    user = member["user"]
    place = {"guild_id": guild_id, "channel_id": channel_id}
    match name:
        case "MESSAGE_CREATE":
            own = {key: value for key, value in member.items() if key != "user"}
            return _message() | place | {"author": user, "member": own}
        case "MESSAGE_REACTION_ADD":
            emoji = {"id": None, "name": "\N{FIRE}"}
            return place | {"user_id": user["id"], "message_id": _id(), "member": member, "emoji": emoji, "type": 0}
        case "GUILD_MEMBER_UPDATE":
            return {"guild_id": guild_id, **member}
        case "CHANNEL_UPDATE":
            overwrites = [{"id": guild_id, "type": 0, "allow": "0", "deny": "1024"}]
            channel = {"id": channel_id, "type": 0, "name": "talk", "topic": "anything", "last_message_id": _id()}
            return channel | {"guild_id": guild_id, "position": 1, "permission_overwrites": overwrites, "nsfw": False}
        case _:
            flags = dict.fromkeys(("deaf", "mute", "self_deaf", "self_video", "suppress"), False)
            return (
                place | flags | {"user_id": user["id"], "member": member, "session_id": f"{CHANCE.getrandbits(128):x}"}
            )


def _message() -> dict:
    lists = ("mentions", "mention_roles", "attachments", "embeds", "components")
    text = "".join(
        CHANCE.choices("abcdefghijklmnopqrstuvwxyz \N{LATIN SMALL LETTER E WITH ACUTE}", k=CHANCE.randrange(250))
    )
    fixed = {"type": 0, "flags": 0, "tts": False, "pinned": False, "mention_everyone": False, "edited_timestamp": None}
    own = {"id": _id(), "nonce": _id(), "content": text, "timestamp": "2024-05-01T12:00:00.123000+00:00"}
    return fixed | own | {name: [] for name in lists}


def _id() -> str:
    return str((1 << 60) + CHANCE.getrandbits(40))
