"""First responses to interactions: exactly one reaches Discord, also if the gateway worker has deferred it.

An application that responds after the deferral requires no special case: its response becomes an edit of the deferred
response, or a follow-up to it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, cast
from urllib.parse import quote, unquote

import orjson
from google.protobuf.message import Message

from discordproxy.messages_pb2 import InteractionCallback
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.retry import Repeat, repeatability
from discordproxy_api.contract.contract import Rpc
from discordproxy_api.contract.rules.attachments import adds_files
from discordproxy_api.contract.steps import Circumstances, prepare
from discordproxy_api.contract.translate import Translator, message_reader
from discordproxy_api.discord.request import Reply, RestRequest, rest_request
from discordproxy_api.rpcs.procedure import Job
from discordproxy_api.rpcs.route_policy import CALLBACK, RequestLine
from discordproxy_api.rpcs.routed import check, document_of, keep_attachments
from discordproxy_gateway.events import Deferral, EventsUnavailableError, Interactions
from discordproxy_ratelimit.route import route_of, template_of

FOLLOW_UP = "/webhooks/{webhook_id}/{webhook_token}"
ORIGINAL = "/webhooks/{webhook_id}/{webhook_token}/messages/@original"

MESSAGE, DEFERRED_MESSAGE, DEFERRED_UPDATE, UPDATE = 4, 5, 6, 7
"""Discord's types of responses."""

ALREADY_ACKNOWLEDGED = 40060
_EPHEMERAL, _LOADING = 1 << 6, 1 << 7
_TRUE = {"true", "1"}
"""Boolean query strings; Discord also accepts True."""

_COMMAND, _COMPONENT = 2, 3
_NOT_FOR_EDITS = ("tts", "nonce", "enforce_nonce")
_POLL_S = 0.05
_read_callback = message_reader(InteractionCallback.DESCRIPTOR)
_MAX_WAIT_S = 5.0  # the gateway worker gives up after three


@dataclass(frozen=True, slots=True)
class Response:
    """A response of an application. The repr hides the token.

    Attributes:
        request: the callback, ready to be sent.
        document: its JSON.
        keeps_attachments: whether it adds files to a message that keeps its attachments.
    """

    interaction_id: str
    token: str
    request: RestRequest
    document: dict[str, Any]
    keeps_attachments: bool = False

    def __repr__(self) -> str:
        return f"Response({self.interaction_id})"

    @property
    def returns_message(self) -> bool:
        """Whether the caller requests the created message."""
        return any(name == "with_response" and value.lower() in _TRUE for name, value in self.request.query)


def late_request(response: Response, deferral: Deferral) -> RestRequest | None:
    """Return the request that replaces a response after the deferral; None if nothing has to be sent. Pure.

    Raises:
        ApiError: a response of this type is impossible after the deferral.
    """
    kind = response.document.get("type")
    if kind == DEFERRED_UPDATE or kind == DEFERRED_MESSAGE == deferral.response_type:
        return None
    if kind not in (MESSAGE, UPDATE):
        # A message that is only announced would be sent later as an edit: of the message with the button.
        text = (
            "The interaction was deferred before the application responded. The response can be a message, and no "
            "longer a modal, a deferred message in response to a component, or another type. Respond sooner, or raise "
            "DISCORDPROXY_AUTO_DEFER."
        )
        raise errors.refusal("FAILED_PRECONDITION", "INTERACTION_DEFERRED", text)
    if kind == MESSAGE and deferral.response_type == DEFERRED_UPDATE:
        return _to_webhook(response, deferral, "POST", FOLLOW_UP)  # an edit would change the message with the button
    return _to_webhook(response, deferral, "PATCH", ORIGINAL)


def _to_webhook(response: Response, deferral: Deferral, method: str, template: str) -> RestRequest:
    data = response.document.get("data")
    body = dict(data) if isinstance(data, dict) else {}
    if method == "PATCH":
        body = {name: value for name, value in body.items() if name not in _NOT_FOR_EDITS}
        if isinstance(body.get("flags"), int):
            body["flags"] &= ~_EPHEMERAL  # the deferral has determined who can see it
    parameters = {"webhook_id": deferral.application_id, "webhook_token": response.token}
    return replace(
        response.request,
        method=method,
        path=template.format_map({name: quote(value, safe="") for name, value in parameters.items()}),
        route=route_of(method, template, parameters, body_keys=tuple(body), no_bot_auth=True),
        query=[],
        body=orjson.dumps(body),
        repeat=repeatability(method, nonce=False),
    )


class Sender(Protocol):
    """Sends requests to Discord."""

    async def send(self, request: RestRequest, call: Call) -> Reply:
        """Return Discord's reply; raises ApiError."""


class InteractionResponses:
    """Sends the first responses."""

    def __init__(self, rest: Sender, interactions: Interactions) -> None:
        self._rest = rest
        self._interactions = interactions

    def sender(
        self, request: RestRequest, line: RequestLine, document: dict[str, Any], call: Call
    ) -> Callable[[], Awaitable[Reply]]:
        """Return a function that sends a request, as a first response if it is a callback; `document` is its JSON."""
        if (line.method, line.template) != ("POST", CALLBACK):
            return partial(self._rest.send, request, call)
        token = unquote(line.parameters["interaction_token"])
        return partial(self.send, Response(line.parameters["interaction_id"], token, request, document), call)

    async def send(self, response: Response, call: Call) -> Reply:
        """Send a response, or the request that replaces it; return the reply in the form of a callback's.

        Raises:
            ApiError: as `Rest.send`, or the response is impossible after a deferral.
        """
        deferral = await self._claim(response.interaction_id)
        if deferral is None:
            return await self._send_first(response, call)
        request = late_request(response, deferral)
        if request is None:
            return _as_callback(response, deferral, None)
        if response.keeps_attachments and deferral.response_type == DEFERRED_UPDATE:
            request = await self._with_attachments(request, call)
        reply = await self._rest.send(request, call)
        return _as_callback(response, deferral, _object_of(reply))

    async def _with_attachments(self, change: RestRequest, call: Call) -> RestRequest:
        """Read the message, and return its late change with the message's attachments."""
        parameters = template_of(change.path)[1]
        route = route_of("GET", ORIGINAL, parameters, no_bot_auth=True)
        read = replace(change, method="GET", route=route, body=None, files=(), repeat=Repeat.ALWAYS, effect=False)
        message = document_of(await self._rest.send(read, call))
        return replace(change, body=orjson.dumps(keep_attachments(orjson.loads(change.body or b"{}"), message)))

    async def _claim(self, interaction_id: str) -> Deferral | None:
        """Claim the first response; return the deferral if the gateway worker was earlier.

        The deferral is returned when Discord has accepted it, or after `_MAX_WAIT_S`.
        """
        deferral = None
        try:
            async with asyncio.timeout(_MAX_WAIT_S):
                deferral = await self._interactions.claim_response(interaction_id)
                while deferral is not None and not deferral.given:
                    await asyncio.sleep(_POLL_S)  # the gateway worker is sending it
                    deferral = await self._interactions.claim_response(interaction_id)
        except TimeoutError:
            return deferral
        except EventsUnavailableError:
            return None  # Discord accepts only one first response
        return deferral

    async def _send_first(self, response: Response, call: Call) -> Reply:
        try:
            return await self._rest.send(response.request, call)
        except (ApiError, asyncio.CancelledError) as error:
            if call.sent == "no" and getattr(error, "code", 0) != ALREADY_ACKNOWLEDGED:
                await asyncio.shield(self._release_claim(response.interaction_id))
            raise

    async def _release_claim(self, interaction_id: str) -> None:
        try:
            await self._interactions.release(interaction_id)
        except EventsUnavailableError:
            return  # the interaction is not deferred; the application can still respond


class CreateInteractionResponse:
    """Serves the RPC: a response that is a message, or a deferral of one."""

    def __init__(self, rpc: Rpc, responses: InteractionResponses, *, users_only: bool = False) -> None:
        self.rpc = rpc
        self._responses = responses
        self._users_only = users_only
        routed = replace(rpc, method="POST", template=CALLBACK, files=True, no_bot_auth=True, result="message")
        self._translator = Translator(routed)

    def job(self, request: Any, call: Call) -> Job:
        """Return the job for a request message; raises ApiError if it is invalid."""
        check(self.rpc, request)
        circumstances = Circumstances("", 0, users_only=self._users_only)
        (outgoing,) = prepare(self.rpc.name, request, self._translator.outgoing(request), circumstances)
        rest = rest_request(outgoing, now_ms=0)
        response = Response(
            str(request.interaction_id),
            request.interaction_token,
            rest,
            outgoing.body or {},
            keeps_attachments=request.type == UPDATE and adds_files(request),
        )
        return Job(partial(self._run, response, call), rest.repeat)

    async def _run(self, response: Response, call: Call) -> Message:
        document = _object_of(await self._responses.send(response, call)) or {}
        resource, interaction = document.get("resource"), document.get("interaction")
        message = resource.get("message") if isinstance(resource, dict) else None
        result: Any = self._translator.incoming(message)
        if isinstance(interaction, dict):
            result.callback.CopyFrom(_read_callback(interaction))
        return cast("Message", result)


def _object_of(reply: Reply) -> dict[str, Any] | None:
    """Return the JSON object of a reply, None without a body. Another document is an error."""
    document = document_of(reply)
    if document is None or isinstance(document, dict):
        return document
    raise errors.unexpected_answer()


def _as_callback(response: Response, deferral: Deferral, message: Any) -> Reply:
    """Return the reply in the form of the reply to a callback."""
    if not response.returns_message:
        return Reply(204, {}, b"")
    document: dict[str, Any] = {"interaction": {"id": response.interaction_id, "type": _kind(deferral, message)}}
    if message is not None:
        flags = flags if isinstance(flags := message.get("flags"), int) else 0
        document["interaction"] |= {
            "response_message_id": message.get("id"),
            "response_message_loading": bool(flags & _LOADING),
            "response_message_ephemeral": bool(flags & _EPHEMERAL),
        }
        document["resource"] = {"type": response.document["type"], "message": message}
    return Reply(200, {"Content-Type": "application/json"}, orjson.dumps(document))


def _kind(deferral: Deferral, message: Any) -> int:
    """Return the type of the interaction."""
    if deferral.response_type == DEFERRED_UPDATE:
        return _COMPONENT
    metadata = (message or {}).get("interaction_metadata")
    kind = metadata.get("type") if isinstance(metadata, dict) else None
    return kind if isinstance(kind, int) else _COMMAND
