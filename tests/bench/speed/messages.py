"""The message of about 1 kB that every subject sends, and the answer of Discord to it."""

from typing import Any

from discordproxy import discord_api_pb2 as pb

FIRST_CHANNEL = 500_000_000_000_000_100
"""Callers send to channels that count up from here."""

CONTENT = "Fleet leaves at **19:00** from Jita 4-4, doctrine is in the pinned message. Bring ammo and logistics!"
EMBED: dict[str, Any] = {
    "title": "Strategic operation",
    "description": "Armour fleet, expected to last two hours. Full replacement programme.",
    "color": 15158332,
    "fields": [{"name": f"Wing {n}", "value": f"{10 * n} pilots", "inline": True} for n in range(1, 10)],
}
BODY = {"content": CONTENT, "embeds": [EMBED]}

ANSWER = {
    "id": "1300000000000000001",
    "type": 0,
    "author": {
        "id": "100000000000000001",
        "username": "sandbox-bot",
        "discriminator": "0001",
        "global_name": None,
        "avatar": None,
        "bot": True,
        "public_flags": 0,
    },
    "timestamp": "2026-01-01T19:00:00.000000+00:00",
    "edited_timestamp": None,
    "tts": False,
    "mention_everyone": False,
    "mentions": [],
    "mention_roles": [],
    "attachments": [],
    "components": [],
    "pinned": False,
    "flags": 0,
}
"""A message as Discord returns it, without `channel_id`, `content` and `embeds`."""


def embed() -> pb.Embed:
    """Return the embed of the message."""
    fields = [pb.Embed.Field(**field) for field in EMBED["fields"]]
    return pb.Embed(title=EMBED["title"], description=EMBED["description"], color=EMBED["color"], fields=fields)


def request(channel_id: int) -> pb.SendChannelMessageRequest:
    """Return the request for one channel."""
    return pb.SendChannelMessageRequest(channel_id=channel_id, content=CONTENT, embeds=[embed()])


def legacy_request(channel_id: int) -> pb.SendChannelMessageRequest:
    """Return the same for a server of version 1, which knows one embed only."""
    return pb.SendChannelMessageRequest(channel_id=channel_id, content=CONTENT, embed=embed())
