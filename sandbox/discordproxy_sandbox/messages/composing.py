"""Builds the stored message from a request: embeds with proxy URLs, attachments, mentions, polls."""

import re
from collections.abc import Sequence
from datetime import timedelta
from hashlib import blake2b

import orjson

from discordproxy_sandbox.errors import Json, discord_error, invalid_form
from discordproxy_sandbox.messages.echo import PICTURES, echo_component, echo_embed
from discordproxy_sandbox.messages.file_names import clean, stored
from discordproxy_sandbox.messages.forms import flatten
from discordproxy_sandbox.messages.uploads import Upload
from discordproxy_sandbox.messages.validation import failure
from discordproxy_sandbox.world.permissions import VIEW_CHANNEL, bot_may
from discordproxy_sandbox.world.snowflakes import iso
from discordproxy_sandbox.world.world import THREADS, Channel, World

_USER = re.compile(r"<@!?(\d+)>")
_ROLE = re.compile(r"<@&(\d+)>")
_EVERYONE = re.compile(r"@(everyone|here)\b")
FORWARD = 1
_IS_REMIX, _IS_SPOILER = 1 << 2, 1 << 3
_CDN = "https://cdn.discordapp.com"


def is_empty(body: Json, uploads: Sequence[Upload]) -> bool:
    """Return whether a message would be empty."""
    carriers = ("embeds", "components", "sticker_ids", "poll", "attachments", "shared_client_theme")
    parts = (body.get(key) for key in carriers)
    forward = (body.get("message_reference") or {}).get("type") == FORWARD
    return not (uploads or forward or (body.get("content") or "").strip() or any(parts))


def digest_of(message: Json) -> str:
    """Return a hash of the visible content of a message."""
    seen = [message[key] for key in ("content", "embeds", "components")]
    seen.append([(one["filename"], one["size"]) for one in message["attachments"]])
    return blake2b(orjson.dumps(seen), digest_size=8).hexdigest()


def compose(world: World, channel: Channel, author: Json, body: Json, uploads: Sequence[Upload]) -> Json:
    """Return a new message; raises Discord's errors for references to unknown objects."""
    message_id = world.new_id()
    message: Json = {
        "type": 0,
        "content": "",
        "mentions": [],
        "mention_roles": [],
        "attachments": [],
        "embeds": [],
        "timestamp": iso(world.clock()),
        "edited_timestamp": None,
        "flags": body.get("flags") or 0,
        "components": [],
        "id": message_id,
        "channel_id": channel.id,
        "author": author,
        "pinned": False,
        "mention_everyone": False,
        "tts": bool(body.get("tts")),
    }
    _refer(world, channel, message, body.get("message_reference"))
    if sticker_ids := body.get("sticker_ids"):
        message["sticker_items"] = [_sticker(world, channel, str(sticker_id)) for sticker_id in sticker_ids]
    if poll := body.get("poll"):
        message["poll"] = _poll(world, poll)
    if theme := body.get("shared_client_theme"):
        message["shared_client_theme"] = {"base_theme": 0, **theme}
    write(world, channel, message, body, uploads)
    return message


def write(world: World, channel: Channel, message: Json, body: Json, uploads: Sequence[Upload]) -> None:
    """Write the fields that create and edit have in common into a message."""
    attachments = channel.files[message["id"]] = _attachments(world, channel, message, body, uploads)
    _drop_pictures(message, attachments)
    files = {clean(one["filename"]): one for one in attachments}
    if "embeds" in body:
        message["embeds"] = [echo_embed(embed, files) for embed in body["embeds"] or ()]
    shown = {one.get("url") for embed in message["embeds"] for one in (embed.get(key) or {} for key in PICTURES)}
    # Discord does not list a file that an embed shows.
    message["attachments"] = [one for one in attachments if one["url"] not in shown]
    if "components" in body:
        message["components"] = [echo_component(one, files) for one in body["components"] or ()]
        for number, component in enumerate(flatten(message["components"]), 1):
            component["id"] = component.get("id") or number
    if "flags" in body and message["edited_timestamp"]:
        message["flags"] = body["flags"] or 0
    if "content" in body:
        message["content"] = (body["content"] or "").strip()
        _mention(world, channel, message, body.get("allowed_mentions"))


def _attachments(world: World, channel: Channel, message: Json, body: Json, uploads: Sequence[Upload]) -> list[Json]:
    """Return the attachments after a change; a change with files removes the attachments that it does not list."""
    listed = (body["attachments"] or []) if "attachments" in body else [] if uploads else None
    described = {str(one["id"]): one for one in listed or ()}
    kept = [one for one in channel.files.get(message["id"], ()) if listed is None or one["id"] in described]
    numbers = {re.sub(r"\D", "", upload.field) or "0" for upload in uploads}
    for position, one in enumerate(listed or ()):
        if str(one["id"]) not in numbers | {attachment["id"] for attachment in kept}:
            wrong = failure("ATTACHMENT_NOT_FOUND", f"No attachment data was found for ID {one['id']}")
            raise invalid_form({"attachments": {str(position): wrong}})
    for attachment in kept:
        change = described.get(attachment["id"], {})
        attachment.update({key: value for key, value in change.items() if key == "description"})
        _mark(attachment, change)
    return kept + [_attachment(world, message, upload, described) for upload in uploads]


def _drop_pictures(message: Json, attachments: list[Json]) -> None:
    """Remove pictures whose attachment no longer exists from the embeds."""
    stored, left = f"{_CDN}/attachments/{message['channel_id']}/", {one["url"] for one in attachments}
    for embed in message["embeds"]:
        for key in PICTURES:
            address = (embed.get(key) or {}).get("url") or ""
            if address.startswith(stored) and address not in left:
                del embed[key]


def _attachment(world: World, message: Json, upload: Upload, described: dict[str, Json]) -> Json:
    about = described.get(re.sub(r"\D", "", upload.field) or "0", {})
    attachment_id, name = world.new_id(), stored(about.get("filename") or upload.filename)
    path = f"attachments/{message['channel_id']}/{attachment_id}/{name['filename']}?ex=0&is=0&hm={upload.digest}&"
    attachment: Json = {
        "id": attachment_id,
        **name,
        "size": upload.size,
        "url": f"{_CDN}/{path}",
        "proxy_url": f"https://media.discordapp.net/{path}",
        "content_type": upload.content_type,
    }
    optional = {key: about[key] for key in ("title", "description", "duration_secs", "waveform") if about.get(key)}
    attachment |= optional
    _mark(attachment, about)
    return attachment


def _mark(attachment: Json, about: Json) -> None:
    """Set or remove the flags of an attachment, as far as the request has them."""
    flags = attachment.get("flags", 0)
    for key, flag in (("is_remix", _IS_REMIX), ("is_spoiler", _IS_SPOILER)):
        if about.get(key) is not None:
            flags = flags | flag if about[key] else flags & ~flag
    if flags or "flags" in attachment:
        attachment["flags"] = flags


def _mention(world: World, channel: Channel, message: Json, allowed: Json | None) -> None:
    content = message["content"]
    parse = ["users", "roles", "everyone"] if allowed is None else allowed.get("parse") or []
    listed = {key: {str(one) for one in (allowed or {}).get(key) or ()} for key in ("users", "roles")}
    users = [one for one in dict.fromkeys(_USER.findall(content)) if "users" in parse or one in listed["users"]]
    message["mentions"] = [world.user(one) for one in users if one in world.users]
    replied = message.get("referenced_message")
    if replied and (allowed is None or allowed.get("replied_user")) and replied["author"]["id"] not in users:
        message["mentions"].append(replied["author"])
    roles = world.guilds[channel.guild_id].roles if channel.guild_id else {}
    mentioned = (one for one in dict.fromkeys(_ROLE.findall(content)) if "roles" in parse or one in listed["roles"])
    message["mention_roles"] = [one for one in mentioned if one in roles]
    message["mention_everyone"] = "everyone" in parse and bool(_EVERYONE.search(content))


def _refer(world: World, channel: Channel, message: Json, sent: Json | None) -> None:
    if not sent:
        return
    kind, source_id = sent.get("type") or 0, str(sent.get("channel_id") or channel.id)
    reference: Json = {"type": kind, "channel_id": source_id, "message_id": str(sent["message_id"])}
    source = world.channels.get(source_id)
    original = source.messages.get(reference["message_id"]) if source else None
    if original is None and (kind == FORWARD or sent.get("fail_if_not_exists", True)):
        wrong = failure("REPLIES_UNKNOWN_MESSAGE", "Unknown message")
        raise invalid_form({"message_reference": wrong})
    if kind == FORWARD and source and not bot_may(world, source, VIEW_CHANNEL):
        raise discord_error(160014)
    if source and source.guild_id:
        reference["guild_id"] = source.guild_id
    message["message_reference"] = reference
    if original is None:
        return
    if kind == FORWARD:
        keys = ("type", "content", "mentions", "mention_roles", "attachments", "embeds", "timestamp")
        copied = {key: original[key] for key in (*keys, "edited_timestamp", "flags", "components")}
        message["message_snapshots"] = [{"message": copied}]
        message["flags"] |= 1 << 14
    else:
        message["type"] = 19
        message["referenced_message"] = original


def _sticker(world: World, channel: Channel, sticker_id: str) -> Json:
    stickers = world.guilds[channel.guild_id].stickers if channel.guild_id else {}
    if sticker_id not in stickers:
        raise discord_error(10060)
    return {key: stickers[sticker_id][key] for key in ("id", "name", "format_type")}


def _poll(world: World, sent: Json) -> Json:
    hours = timedelta(hours=sent.get("duration") or 24)
    answers = [
        {"answer_id": number, "poll_media": answer["poll_media"]} for number, answer in enumerate(sent["answers"], 1)
    ]
    return {
        "question": sent["question"],
        "answers": answers,
        "expiry": iso(world.clock() + hours.total_seconds()),
        "allow_multiselect": bool(sent.get("allow_multiselect")),
        "layout_type": sent.get("layout_type") or 1,
        "results": {"answer_counts": [], "is_finalized": False},
    }


def as_event(world: World, channel: Channel, message: Json) -> Json:
    """Return a message as the gateway sends it: with the guild and the author's member object."""
    if not channel.guild_id:
        return message
    member = world.guilds[channel.guild_id].members.get(message["author"]["id"])
    return {**message, "guild_id": channel.guild_id} | ({"member": member} if member else {})


def count_in(channel: Channel, message: Json) -> None:
    """Add a new message to a channel and its counters."""
    channel.messages[message["id"]] = message
    channel.data["last_message_id"] = message["id"]
    if channel.type in THREADS:
        channel.data["message_count"] += 1
        channel.data["total_message_sent"] += 1
