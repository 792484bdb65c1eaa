"""RPC `Request`: requests to any route of Discord, with the same limits and errors as other RPCs.

Requests that could leave Discord's API, inject a header or send the bot's token elsewhere are refused.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

import orjson
from google.protobuf.message import Message

from discordproxy.discord_api_pb2 import ApiResponse
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.field_errors import FieldError
from discordproxy_api.calls.retry import repeatability
from discordproxy_api.contract.contract import Rpc
from discordproxy_api.contract.rules.checks import has_control_characters
from discordproxy_api.contract.steps import is_nonce, nonce_of
from discordproxy_api.contract.translate import OutgoingFile
from discordproxy_api.discord.form import PAYLOAD
from discordproxy_api.discord.request import Reply, RestRequest, is_writable, own_nonce
from discordproxy_api.discord.rest import Rest
from discordproxy_api.rpcs.commands.own import OwnCommands
from discordproxy_api.rpcs.interaction_responses import InteractionResponses
from discordproxy_api.rpcs.ordering import order_of
from discordproxy_api.rpcs.procedure import Job
from discordproxy_api.rpcs.route_policy import (
    CONTROL,
    CREATE_MESSAGE,
    METHODS,
    RequestLine,
    RoutePolicy,
    limits_of,
    path_errors,
    request_line,
    require_permitted,
)
from discordproxy_api.rpcs.routed import check

_RETURNED_HEADERS = re.compile(r"x-ratelimit-.*|retry-after", re.IGNORECASE)
_FILE_FIELD = re.compile(r"[A-Za-z0-9_]{1,64}")


class Request:
    """Serves the RPC."""

    def __init__(
        self,
        rpc: Rpc,
        rest: Rest,
        responses: InteractionResponses,
        policy: RoutePolicy,
        own_commands: OwnCommands,
    ) -> None:
        self.rpc = rpc
        self._rest = rest
        self._responses = responses
        self._policy = policy
        self._own_commands = own_commands

    def job(self, request: Any, call: Call) -> Job:
        """Return the job for a request message; raises ApiError if it is refused."""
        invalid_fields = find_field_errors(request)
        if invalid_fields:
            raise errors.invalid_request(invalid_fields)
        check(self.rpc, request)
        line = request_line(request.method, request.path)
        require_permitted(self._policy, line)
        document = _object(request.json) if request.json else {}
        rest = self._rest_request(request, line, document, call)
        own = None
        if self._own_commands.serves(line, call):
            own = self._own_commands.sender(rest, line, _decoded(request.json), call)
        send = own or self._responses.sender(rest, line, document or {}, call)
        order = order_of(line.method, line.template, line.parameters, document or ())
        return Job(partial(_run, send), rest.repeat, order=order)

    def _rest_request(
        self, request: Any, line: RequestLine, document: dict[str, Any] | None, call: Call
    ) -> RestRequest:
        rest = _rest_request(request, line, tuple(document or ()), self._rest.clock.now_ms())
        if (line.method, line.template) != CREATE_MESSAGE or document is None:
            return rest
        own = document.get("nonce")
        if (own and not is_nonce(own)) or not is_writable(document):
            return rest  # Discord returns the error
        sent = nonce_of(self._rest.nonces.seed(call, str(own or "")), 0)
        return replace(
            rest,
            body=orjson.dumps({**document, "nonce": sent, "enforce_nonce": True}),
            repeat=repeatability(request.method, nonce=True),
            own_nonce=own_nonce(own, sent) if own else None,
        )


async def _run(send: Callable[[], Awaitable[Reply]]) -> Message:
    reply = await send()
    headers = {name.lower(): value for name, value in reply.headers.items()}
    return ApiResponse(
        status=reply.status,
        body=reply.body,
        content_type=headers.get("content-type", ""),
        headers={name: value for name, value in headers.items() if _RETURNED_HEADERS.fullmatch(name)},
    )


def find_field_errors(request: Any) -> list[FieldError]:
    """Return the errors of a request that must not be sent."""
    found = [
        FieldError(path, "CONTROL_CHARACTERS", "Line breaks and other control characters are not allowed.")
        for path, text in _texts(request)
        if CONTROL.search(text)
    ]
    if has_control_characters(request.reason, except_for="\t\r\n"):
        found.append(FieldError("reason", "CONTROL_CHARACTERS", "Only line breaks are allowed as control characters."))
    if request.method not in METHODS:
        found.append(FieldError("method", "BASE_TYPE_CHOICES", f"Must be one of {', '.join(METHODS)}."))
    found += [FieldError("path", "INVALID_PATH", text) for text in path_errors(request.path)]
    if request.json and _object(request.json) is None and not _is_json(request.json):
        found.append(FieldError("json", "JSON_INVALID", "Must be valid JSON."))
    if request.json and request.method == "GET":
        found.append(FieldError("json", "FIELD_CONFLICT", "GET has no body."))
    found += _authorization_errors(request.authorization)
    return found + _file_errors(request)


def _texts(request: Any) -> list[tuple[str, str]]:
    query = [
        (f"query[{index}].{part}", text)
        for index, pair in enumerate(request.query)
        for part, text in (("name", pair.name), ("value", pair.value))
    ]
    single = ("path", "authorization", "file_field")
    return [(name, getattr(request, name)) for name in single] + query


def _authorization_errors(authorization: str) -> list[FieldError]:
    if authorization in {"", "none"} or re.fullmatch(r"Bearer [!-~]+", authorization):
        return []
    return [FieldError("authorization", "BASE_TYPE_CHOICES", 'Must be empty, "none" or "Bearer ...".')]


def _file_errors(request: Any) -> list[FieldError]:
    found = []
    if request.file_field and len(request.files) > 1:
        found.append(FieldError("file_field", "FIELD_CONFLICT", "Must be empty if there is more than one file."))
    if request.file_field and not _FILE_FIELD.fullmatch(request.file_field):
        found.append(FieldError("file_field", "INVALID_NAME", "Must consist of letters, digits and underscores."))
    if request.file_field == PAYLOAD:
        found.append(FieldError("file_field", "INVALID_NAME", "This is the name of the body; use `json` instead."))
    if request.files and request.method == "GET":
        found.append(FieldError("files", "FIELD_CONFLICT", "GET has no body."))
    for index, file in enumerate(request.files):
        if not file.filename or CONTROL.search(file.filename + file.content_type):
            text = "Must not be empty or contain control characters."
            found.append(FieldError(f"files[{index}].filename", "INVALID_NAME", text))
    return found


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _decoded(text: str) -> Any:
    """Return the JSON of a valid request, None without."""
    return orjson.loads(text) if text and _is_json(text) else None


def _object(text: str) -> dict[str, Any] | None:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _rest_request(request: Any, line: RequestLine, body_keys: tuple[str, ...], now_ms: int) -> RestRequest:
    route, authorization = limits_of(line, request.authorization, body_keys=body_keys, now_ms=now_ms)
    return RestRequest(
        method=line.method,
        path=line.path,
        route=route,
        query=[(pair.name, pair.value) for pair in request.query],
        body=request.json.encode() if request.json else None,
        files=[
            OutgoingFile(request.file_field or f"files[{index}]", file.filename, file.content, file.content_type)
            for index, file in enumerate(request.files)
        ],
        reason=request.reason,
        authorization=authorization,
        repeat=repeatability(line.method, nonce=False),
    )
