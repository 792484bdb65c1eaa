"""Rules between the fields of a message, and sums over embeds, files and components."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from discordproxy.components_pb2 import Component
from discordproxy.messages_pb2 import OVERFLOW_FILE, OVERFLOW_SPLIT, Message
from discordproxy_api.calls.field_errors import FieldErrors
from discordproxy_api.contract.overflow import split
from discordproxy_api.contract.rules import limits
from discordproxy_api.contract.rules.file_names import ATTACHMENT, referenced_index, upload_names
from discordproxy_api.contract.rules.message_request import (
    COMPONENTS_V2,
    FIRST_V2_TYPE,
    component_tree,
    edits,
    embeds_of,
    has,
    overflows,
    raw_component_types,
    raw_components,
)

_MAX_JSON_DEPTH = 32
_MESSAGES = ("poll", "shared_client_theme")
_MAX_FILE_METADATA = 16 * 1024
"""Bytes of the name and description of a file."""
_EMBED_MEDIA = (
    ("image", "url"),
    ("thumbnail", "url"),
    ("video", "url"),
    ("footer", "icon_url"),
    ("author", "icon_url"),
)


def check_message(request: Any, problems: FieldErrors) -> None:
    """Check the rules between the fields of a request that writes a message."""
    for rule in (_not_empty, _content, _embeds, _files, _components_json, _v2, _reference, _voice, _attachments_exist):
        rule(request, problems)


def too_many_components(request: Any) -> bool:
    """Return whether a request has too many components, without traversing more than allowed."""
    return next(islice(component_tree(request.components), limits.COMPONENTS, None), None) is not None


def _not_empty(request: Any, problems: FieldErrors) -> None:
    if edits(request):
        return
    given = request.content.strip() or request.components or request.components_json or request.files
    given = given or any(embed.ListFields() for embed in embeds_of(request))
    given = given or any(_is_set(request, name) for name in ("poll", "shared_client_theme"))
    given = given or (has(request, "sticker_ids") and request.sticker_ids) or _forwards(request)
    if not given:
        problems.add("content", "BASE_TYPE_REQUIRED", "A message needs content, embeds, components, files or a poll.")


def _forwards(request: Any) -> bool:
    return has(request, "message_reference") and request.message_reference.type == Message.Reference.FORWARD


def _content(request: Any, problems: FieldErrors) -> None:
    if not overflows(request):
        problems.length("content", len(request.content), 0, limits.CONTENT)
        return
    if request.overflow == OVERFLOW_FILE and len(request.files) >= limits.FILES:
        problems.conflict("files", f"OVERFLOW_FILE needs one of the {limits.FILES} places.")
    if request.overflow != OVERFLOW_SPLIT:
        return
    if has(request, "thread_name") and request.thread_name:
        problems.conflict("thread_name", "A new thread cannot start with split content.")
    too_long = len(request.content) > limits.CONTENT * limits.SPLIT_MESSAGES  # certain without splitting
    if too_long or len(split(request.content, limits.CONTENT)) > limits.SPLIT_MESSAGES:
        problems.add("content", "BASE_TYPE_MAX_LENGTH", f"Would be more than {limits.SPLIT_MESSAGES} messages.")


def _embeds(request: Any, problems: FieldErrors) -> None:
    embeds = embeds_of(request)
    problems.length("embeds", len(embeds), 0, limits.EMBEDS)
    if sum(_characters(embed) for embed in embeds) > limits.EMBED_CHARACTERS:
        text = f"Embed size exceeds maximum size of {limits.EMBED_CHARACTERS}"
        problems.add("embeds", "MAX_EMBED_SIZE_EXCEEDED", text)


def _characters(embed: Any) -> int:
    texts = [embed.title, embed.description, embed.footer.text, embed.author.name]
    texts += [text for field in embed.fields for text in (field.name, field.value)]
    return sum(len(text.strip()) for text in texts)


def _files(request: Any, problems: FieldErrors) -> None:
    kept = len(request.attachments) if has(request, "attachments") else 0
    if len(request.files) <= limits.FILES < len(request.files) + kept:
        problems.length("attachments", len(request.files) + kept, 0, limits.FILES)
    for index, file in enumerate(request.files[: limits.FILES]):
        if file.ByteSize() > limits.FILE_BYTES + _MAX_FILE_METADATA:  # `content` would be copied
            problems.add(f"files[{index}].content", "FILE_SIZE_MAX", f"Must be {limits.FILE_BYTES} bytes or fewer.")


def _components_json(request: Any, problems: FieldErrors) -> None:
    if request.components and request.components_json:
        problems.conflict("components_json", "Give components or components_json, not both.")
    if len(request.components_json) > limits.COMPONENTS_JSON:
        return
    try:
        raw = raw_components(request)
    except ValueError:
        problems.add("components_json", "JSON_INVALID", "Must be a JSON array of component objects.")
        return
    if _depth(raw) > _MAX_JSON_DEPTH:
        problems.add("components_json", "TOO_DEEP", "Nested too deep.")
        return
    count = sum(1 for kind in raw_component_types(raw) if isinstance(kind, int))
    problems.length("components_json", count, 0, limits.COMPONENTS)


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level and depth <= _MAX_JSON_DEPTH:
        inner = [list(each.values()) if isinstance(each, dict) else each for each in level]
        level = [each for children in inner if isinstance(children, list) for each in children]
        depth += 1
    return depth


def _v2(request: Any, problems: FieldErrors) -> None:
    flagged = has(request, "flags") and bool(request.flags & COMPONENTS_V2)
    if flagged:
        for name in ("content", "embeds", "sticker_ids", "poll", "shared_client_theme"):
            if _is_set(request, name):
                problems.conflict(name, "IS_COMPONENTS_V2 excludes content, embeds, stickers, polls and themes.")
    elif not edits(request):
        for path, component in component_tree(request.components):
            if FIRST_V2_TYPE <= component.type <= Component.CONTAINER:
                text = f"This type needs flags to include IS_COMPONENTS_V2 ({COMPONENTS_V2})."
                problems.conflict(f"{path}.type", text)


def _is_set(request: Any, name: str) -> bool:
    if name == "embeds":
        return bool(embeds_of(request))
    if not has(request, name):
        return False
    return bool(request.HasField(name) if name in _MESSAGES else getattr(request, name))


def _reference(request: Any, problems: FieldErrors) -> None:
    if not _forwards(request):
        return
    if not request.message_reference.channel_id:
        problems.required("message_reference.channel_id")
    for name in ("content", "embeds", "sticker_ids", *_MESSAGES, "files", "components", "components_json"):
        if _is_set(request, name):
            problems.conflict(name, "A forwarded message has no content of its own.")


def _voice(request: Any, problems: FieldErrors) -> None:
    voice = has(request, "flags") and bool(request.flags & Message.IS_VOICE_MESSAGE)
    if not voice or edits(request):
        return
    if len(request.files) != 1 or not request.files[0].waveform or not request.files[0].duration_secs:
        problems.conflict("files", "A voice message has one file with duration_secs and waveform.")
    for name in ("content", "embeds", "sticker_ids", *_MESSAGES):
        if _is_set(request, name):
            problems.conflict(name, "A voice message contains only its file.")


def _attachments_exist(request: Any, problems: FieldErrors) -> None:
    if edits(request):
        return  # an edit may reference existing files of the message
    files = upload_names(request.files)
    for path, url in _media_urls(request):
        if url.startswith(ATTACHMENT) and referenced_index(url.removeprefix(ATTACHMENT), files) is None:
            problems.add(path, "ATTACHMENT_NOT_FOUND", "No file of this request has that name.")


def _media_urls(request: Any) -> Iterator[tuple[str, str]]:
    for index, embed in enumerate(embeds_of(request)):
        for name, key in _EMBED_MEDIA:
            if embed.HasField(name):
                yield f"embeds[{index}].{name}.{key}", getattr(getattr(embed, name), key)
    for path, component in component_tree(request.components):
        yield f"{path}.media.url", component.media.url
        yield f"{path}.file.url", component.file.url
        yield from ((f"{path}.items[{index}].media.url", item.media.url) for index, item in enumerate(component.items))


def check_mentions(mentions: Any, prefix: str, problems: FieldErrors) -> None:
    """Check that mentions are allowed either by group or by id; `prefix` ends with a dot."""
    for name in ("users", "roles"):
        if name in mentions.parse and getattr(mentions, name):
            text = f'parse: ["{name}"] and {name}: [ids...] are mutually exclusive.'
            problems.add(f"{prefix}{name}", "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", text)
