"""Steps of RPCs whose requests need more than the annotations: splitting, nonces, bulk deletes.

Pure: clock and randomness are passed as `Circumstances`. `prepare` returns the requests to send, in order; `follow_ups`
those to send after the response. Both expect a validated request.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from discordproxy.messages_pb2 import OVERFLOW_SPLIT, OVERFLOW_TRUNCATE
from discordproxy.threads_pb2 import CreateForumPostRequest
from discordproxy_api.contract.contract import json_key
from discordproxy_api.contract.overflow import split, truncate
from discordproxy_api.contract.rules.limits import CONTENT
from discordproxy_api.contract.rules.message_body import attach_text, complete_body
from discordproxy_api.contract.rules.message_request import overflows, raw_components
from discordproxy_api.contract.rules.request_rules import OWN_FIELDS
from discordproxy_api.contract.translate import Outgoing, OutgoingFile

BULK = 100
"""Maximum number of messages of a bulk delete; the minimum is two (Discord's documentation of the route)."""
BULK_AGE_MS = 14 * 24 * 3600 * 1000
"""Older messages must be deleted one by one."""
WAITING_MS = 3600 * 1000
"""Margin for the wait for a permit, in which messages get older."""
DISCORD_EPOCH_MS = 1_420_070_400_000

ALREADY_DELETED = frozenset({10008})  # unknown message
TOO_OLD = 50034  # a message for a bulk delete
NOTHING_TO_PUBLISH = frozenset({50024, 40033})  # no announcement channel; published already

NONCE_LENGTH = 25
_LAST_PART_ONLY = ("embeds", "components", "sticker_ids", "attachments", "poll", "shared_client_theme")
_ONE_MESSAGE = "/channels/{channel_id}/messages/{message_id}"


@dataclass(slots=True)  # not frozen: that makes its creation five times as slow
class Circumstances:
    """Inputs of a step besides the request. Never changed.

    Attributes:
        seed: seed of the nonces. The same seed yields the same nonces, so that Discord recognizes a retried call.
        now_ms: Discord's time in milliseconds since 1970.
        users_only: by default, messages can mention only users.
    """

    seed: str
    now_ms: int
    users_only: bool = False


Step = Callable[[Any, Outgoing, Circumstances], list[Outgoing]]


def prepare(name: str, request: Any, outgoing: Outgoing, circumstances: Circumstances) -> list[Outgoing]:
    """Return the requests for a call of the RPC `name`, to be sent one after the other."""
    step = PREPARE.get(name)
    return [outgoing] if step is None else step(request, outgoing, circumstances)


def follow_ups(name: str, request: Any, response: Any) -> list[Outgoing]:
    """Return the requests to send after the response: a crosspost of each message, if requested."""
    if name != "SendChannelMessage" or not request.crosspost:
        return []
    template = f"{_ONE_MESSAGE}/crosspost"
    return [
        Outgoing(
            "POST",
            template,
            {"channel_id": str(request.channel_id), "message_id": str(message.id)},
            tolerated=NOTHING_TO_PUBLISH,
        )
        for message in (response.message, *response.more_messages)
    ]


def is_nonce(value: Any) -> bool:
    """Return whether Discord accepts a value as a nonce."""
    return (isinstance(value, str) and len(value) <= NONCE_LENGTH) or type(value) is int


def nonce_of(seed: str, part: int) -> str:
    """Return the nonce of one part of a call: 25 characters, Discord's maximum."""
    return hashlib.sha256(f"{part}:{seed}".encode()).hexdigest()[:NONCE_LENGTH]


def _send(request: Any, outgoing: Outgoing, circumstances: Circumstances) -> list[Outgoing]:
    parts = _write(request, outgoing, circumstances)
    for index, part in enumerate(parts):
        part.body = {**(part.body or {}), "nonce": nonce_of(circumstances.seed, index), "enforce_nonce": True}
    parts[0].own_nonce = request.nonce
    return parts


def _write(request: Any, outgoing: Outgoing, circumstances: Circumstances) -> list[Outgoing]:
    complete_body(request, outgoing, users_only=circumstances.users_only)
    body = outgoing.body
    if body is None or not overflows(request):
        return [outgoing]
    if request.overflow == OVERFLOW_SPLIT:
        return _parts(outgoing, split(body.pop("content"), CONTENT))
    if request.overflow == OVERFLOW_TRUNCATE:
        body["content"] = truncate(request.content, CONTENT)
    else:
        attach_text(outgoing, body, "message.txt", body.pop("content"))
    return [outgoing]


def _parts(outgoing: Outgoing, texts: list[str]) -> list[Outgoing]:
    """Return one request per text: the first has the message reference, the last embeds and files."""
    last = len(texts) - 1
    parts = []
    for index, text in enumerate(texts):
        body = {"content": text, **(outgoing.body or {})}
        if index:
            body.pop("message_reference", None)
        if index < last:
            body = {key: value for key, value in body.items() if key not in _LAST_PART_ONLY}
        parts.append(replace(outgoing, body=body, files=outgoing.files if index == last else []))
    return parts or [outgoing]


def _execute_webhook(request: Any, outgoing: Outgoing, circumstances: Circumstances) -> list[Outgoing]:
    if not request.HasField("wait"):
        outgoing.query.append(("wait", "true"))  # without it, Discord answers before it validates the message
    return _write_webhook(request, outgoing, circumstances)


def _write_webhook(request: Any, outgoing: Outgoing, circumstances: Circumstances) -> list[Outgoing]:
    parts = _write(request, outgoing, circumstances)
    for part in parts:
        if part.body and part.body.get("components") and not request.HasField("with_components"):
            part.query = [*part.query, ("with_components", "true")]
    return parts


def _create_forum_post(request: Any, outgoing: Outgoing, circumstances: Circumstances) -> list[Outgoing]:
    (post,) = _write(request, outgoing, circumstances)
    body = post.body or {}
    message = {key: body.pop(key) for key in list(body) if key in _FORUM_MESSAGE}
    post.body = {**body, "message": message}
    return [post]


def _interaction_response(request: Any, outgoing: Outgoing, circumstances: Circumstances) -> list[Outgoing]:
    if request.type in OWN_FIELDS:
        data = _response_data(request, outgoing)
    else:
        (outgoing,) = _write(request, outgoing, circumstances)
        data = {"data": outgoing.body or {}}
    outgoing.body = {"type": request.type or request.MESSAGE, **data}
    if request.with_response or not request.HasField("with_response"):
        outgoing.query = [*outgoing.query, ("with_response", "true")]
    return [outgoing]


def _response_data(request: Any, outgoing: Outgoing) -> dict[str, Any]:
    """Return the data of a response that is no message."""
    if request.type == request.LAUNCH_ACTIVITY:
        return {}
    if request.type == request.AUTOCOMPLETE:
        return {"data": {"choices": [], **(outgoing.body or {})}}
    components = {"components": raw_components(request)} if request.components_json else {}
    return {"data": {**(outgoing.body or {}), **components}}


def _create_invite(request: Any, outgoing: Outgoing, circumstances: Circumstances) -> list[Outgoing]:
    return _set_target_users(request, outgoing, circumstances) if request.user_ids else [outgoing]


def _create_sticker(request: Any, outgoing: Outgoing, _circumstances: Circumstances) -> list[Outgoing]:
    outgoing.files = [OutgoingFile("file", request.file.filename, request.file.content, request.file.content_type)]
    return [outgoing]


def _set_target_users(request: Any, outgoing: Outgoing, _circumstances: Circumstances) -> list[Outgoing]:
    content = "\n".join(["user_id", *map(str, request.user_ids)]) + "\n"
    outgoing.files = [OutgoingFile("target_users_file", "users.csv", content.encode(), "text/csv")]
    return [outgoing]


def _bulk_delete(request: Any, outgoing: Outgoing, circumstances: Circumstances) -> list[Outgoing]:
    oldest_ms = circumstances.now_ms - BULK_AGE_MS + WAITING_MS
    ids = list(dict.fromkeys(request.message_ids))
    young = [message_id for message_id in ids if _created_ms(message_id) > oldest_ms]
    chunks = [young[start : start + BULK] for start in range(0, len(young), BULK)]
    alone = [message_id for message_id in ids if _created_ms(message_id) <= oldest_ms]
    if chunks and len(chunks[-1]) == 1:
        alone[:0] = chunks.pop()
    return [_delete_together(outgoing, chunk) for chunk in chunks] + _delete_each(outgoing, alone)


def _delete_together(outgoing: Outgoing, message_ids: Sequence[int]) -> Outgoing:
    return replace(
        outgoing,
        body={"messages": [str(each) for each in message_ids]},
        otherwise={TOO_OLD: partial(_delete_each, outgoing, message_ids)},  # the clock or the wait was misjudged
    )


def _delete_each(outgoing: Outgoing, message_ids: Sequence[int]) -> list[Outgoing]:
    return [_delete_one(outgoing, message_id) for message_id in message_ids]


def _delete_one(outgoing: Outgoing, message_id: int) -> Outgoing:
    return replace(
        outgoing,
        method="DELETE",
        template=_ONE_MESSAGE,
        parameters={**outgoing.parameters, "message_id": str(message_id)},
        body=None,
        tolerated=ALREADY_DELETED,
    )


def _created_ms(snowflake: int) -> int:
    return (snowflake >> 22) + DISCORD_EPOCH_MS


_FORUM_MESSAGE = {
    json_key(field)
    for field in CreateForumPostRequest.DESCRIPTOR.fields
    if 1 < field.number < 30  # noqa: PLR2004 - the contract's range of message fields
} | {"attachments"}

PREPARE: Mapping[str, Step] = {
    "SendChannelMessage": _send,
    "SendDirectMessage": _send,
    "EditMessage": _write,
    "ExecuteWebhook": _execute_webhook,
    "EditWebhookMessage": _write_webhook,
    "CreateForumPost": _create_forum_post,
    "CreateInteractionResponse": _interaction_response,
    "CreateInvite": _create_invite,
    "BulkDeleteMessages": _bulk_delete,
    "EditInteractionResponse": _write_webhook,
    "CreateGuildSticker": _create_sticker,
    "SetInviteTargetUsers": _set_target_users,
}
"""By RPC; all other RPCs are sent as translated."""
