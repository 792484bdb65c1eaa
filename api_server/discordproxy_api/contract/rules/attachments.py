"""Keeps the attachments of a message when an edit adds files. Pure.

In API v10, an edit with files or a list of attachments removes all attachments that it does not list
(discord-api-docs#5170). Files in embeds or components are attachments, too, but Discord does not list them.
"""

import re
from collections.abc import Iterator
from typing import Any

from discordproxy_api.calls.field_errors import FieldErrors
from discordproxy_api.contract.rules.limits import FILES

MESSAGE_AGE_MS = 60_000
"""A message's uploads are not older than the message. Embeds can show files of older messages, which cannot be kept."""
_STORED = re.compile(r"https?://[^/]+/(ephemeral-)?attachments/([0-9]+)/([0-9]+)/([^/?#]+)")

Json = dict[str, Any]


def adds_files(request: Any) -> bool:
    """Return whether an edit adds files without listing or clearing attachments."""
    return bool(request.files and not request.attachments and "attachments" not in request.clear)


def with_kept_attachments(body: Json, message: Json) -> Json:
    """Return the body of an edit that adds files, with the attachments of `message` added to its list.

    Raises:
        InvalidRequestError: there are more attachments than a message can have.
    """
    ids = [str(one["id"]) for one in message.get("attachments") or ()]
    for part in ("embeds", "components"):
        change = repr(body[part]) if part in body else None
        for attachment_id, filename in _shown(message.get(part), message):
            if change is None or attachment_id in change or f"attachment://{filename}" in change:
                ids.append(attachment_id)
    attachments = [*({"id": each} for each in dict.fromkeys(ids)), *(body.get("attachments") or ())]
    problems = FieldErrors()
    problems.length("attachments", len(attachments), 0, FILES)
    problems.raise_if_any()
    return {**body, "attachments": attachments}


def _shown(part: Any, message: Json) -> Iterator[tuple[str, str]]:
    """Yield id and name of the message's own files in its embeds or components."""
    for text in _texts(part):
        found = _STORED.match(text)
        if found is None:
            continue
        ephemeral, channel_id, attachment_id, filename = found.groups()
        ours = ephemeral or channel_id == str(message.get("channel_id"))
        if ours and (int(attachment_id) >> 22) > (int(message["id"]) >> 22) - MESSAGE_AGE_MS:
            yield attachment_id, filename


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
