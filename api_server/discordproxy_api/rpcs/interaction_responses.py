"""The first response to an interaction: exactly one reaches Discord, also when the gateway worker was faster.

An application that is late by the gateway worker's clock need not know: what it sends becomes an edit of the deferred
response, or a follow-up to it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol
from urllib.parse import quote, unquote

import orjson
from google.protobuf.message import Message
from grpc import StatusCode

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.retry import Repeat, repeatability
from discordproxy_api.contract.contract import Rpc
from discordproxy_api.contract.rules.attachments import adds_files
from discordproxy_api.contract.steps import Circumstances, prepare
from discordproxy_api.contract.translate import Translator
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
_EPHEMERAL = 1 << 6
_POLL_S = 0.05
_LONGEST_S = 5.0  # the gateway worker gives up after three


@dataclass(frozen=True, slots=True)
class Response:
    """What an application answers. The repr hides what may be secret.

    Attributes:
        request: the callback, ready to be sent.
        document: its JSON.
        keeps: it adds files to the message it changes, whose attachments are to stay.
    """

    interaction_id: str
    token: str
    request: RestRequest
    document: dict[str, Any]
    keeps: bool = False

    def __repr__(self) -> str:
        return f"Response({self.interaction_id})"

    @property
    def shown(self) -> bool:
        """Whether the caller wants to see the message that Discord made of it."""
        return ("with_response", "true") in self.request.query


def late(response: Response, deferral: Deferral) -> RestRequest | None:
    """Return what to send in place of a response that comes after the deferral; None for nothing at all. Pure.

    Raises:
        ApiError: there is no way to show this any more.
    """
    kind = response.document.get("type")
    if kind in {DEFERRED_MESSAGE, DEFERRED_UPDATE}:
        return None
    if kind not in {MESSAGE, UPDATE}:
        text = (
            "The interaction was deferred before the application answered: it can be answered with a message, and no "
            "longer with a modal or another kind of response. Answer sooner, or raise DISCORDPROXY_AUTO_DEFER."
        )
        raise errors.refusal(StatusCode.FAILED_PRECONDITION, "INTERACTION_DEFERRED", text)
    if kind == MESSAGE and deferral.response_type == DEFERRED_UPDATE:
        return _to_webhook(response, deferral, "POST", FOLLOW_UP)  # an edit would change the message with the button
    return _to_webhook(response, deferral, "PATCH", ORIGINAL)


def _to_webhook(response: Response, deferral: Deferral, method: str, template: str) -> RestRequest:
    body = dict(response.document.get("data") or {})
    if method == "PATCH" and isinstance(body.get("flags"), int):
        body["flags"] &= ~_EPHEMERAL  # who may see it was settled by the deferral
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
    """Sends first responses."""

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
        """Send a response, or what stands in for it, and return what Discord answers to a callback.

        Raises:
            ApiError: as `Rest.send`, or the response is one that cannot come late.
        """
        deferral = await self._deferral(response.interaction_id)
        if deferral is None:
            return await self._first(response, call)
        request = late(response, deferral)
        if request is None:
            return _as_callback(response, None)
        if response.keeps and deferral.response_type == DEFERRED_UPDATE:
            request = await self._keeping(request, call)
        reply = await self._rest.send(request, call)
        return _as_callback(response, document_of(reply))

    async def _keeping(self, change: RestRequest, call: Call) -> RestRequest:
        """Return a late change of a message with the attachments in it that are to stay."""
        parameters = template_of(change.path)[1]
        route = route_of("GET", ORIGINAL, parameters, no_bot_auth=True)
        read = replace(change, method="GET", route=route, body=None, files=(), repeat=Repeat.ALWAYS, effect=False)
        message = document_of(await self._rest.send(read, call))
        return replace(change, body=orjson.dumps(keep_attachments(orjson.loads(change.body or b"{}"), message)))

    async def _deferral(self, interaction_id: str) -> Deferral | None:
        """Claim the first response; a deferral, which Discord has taken or had time to, if the worker was earlier."""
        deferral = None
        try:
            async with asyncio.timeout(_LONGEST_S):
                deferral = await self._interactions.answer(interaction_id)
                while deferral is not None and not deferral.given:
                    await asyncio.sleep(_POLL_S)  # another process gives it, within a round trip to Discord
                    deferral = await self._interactions.answer(interaction_id)
        except TimeoutError:
            return deferral
        except EventsUnavailableError:
            return None  # Discord itself takes one response only
        return deferral

    async def _first(self, response: Response, call: Call) -> Reply:
        try:
            return await self._rest.send(response.request, call)
        except (ApiError, asyncio.CancelledError) as error:
            if call.sent == "no" and getattr(error, "code", 0) != ALREADY_ACKNOWLEDGED:
                await asyncio.shield(self._give_back(response.interaction_id))
            raise

    async def _give_back(self, interaction_id: str) -> None:
        try:
            await self._interactions.give_back(interaction_id)
        except EventsUnavailableError:
            return  # then nobody defers it; the application may answer again all the same


class CreateInteractionResponse:
    """Serves the RPC of that name: a response that is a message, or promises one."""

    def __init__(self, rpc: Rpc, responses: InteractionResponses, *, users_only: bool = False) -> None:
        self.rpc = rpc
        self._responses = responses
        self._users_only = users_only
        routed = replace(rpc, method="POST", template=CALLBACK, files=True, no_bot_auth=True, result="message")
        self._translator = Translator(routed)

    def job(self, request: Any, call: Call) -> Job:
        """Return the job for a request message; raises ApiError when it is invalid."""
        check(self.rpc, request)
        circumstances = Circumstances("", 0, users_only=self._users_only)
        (outgoing,) = prepare(self.rpc.name, request, self._translator.outgoing(request), circumstances)
        rest = rest_request(outgoing, now_ms=0)
        keeps = request.type == UPDATE and adds_files(request)
        response = Response(str(request.interaction_id), request.interaction_token, rest, outgoing.body or {}, keeps)
        return Job(partial(self._run, response, call), rest.repeat)

    async def _run(self, response: Response, call: Call) -> Message:
        document = document_of(await self._responses.send(response, call)) or {}
        message = (document.get("resource") or {}).get("message")
        answer: Message = self._translator.incoming(message)
        return answer


def _as_callback(response: Response, message: Any) -> Reply:
    """Return what the callback would have been answered with."""
    if not response.shown:
        return Reply(204, {}, b"")
    document: dict[str, Any] = {"interaction": {"id": response.interaction_id}}
    if message is not None:
        document["interaction"]["response_message_id"] = message["id"]
        document["resource"] = {"type": response.document["type"], "message": message}
    return Reply(200, {"Content-Type": "application/json"}, orjson.dumps(document))
