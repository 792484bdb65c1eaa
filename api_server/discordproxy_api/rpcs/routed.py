"""RPCs that are one route of Discord, driven by the contract: message, HTTP request, HTTP response, message."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from google.protobuf.message import Message

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.contract.contract import Rpc
from discordproxy_api.contract.encode import Json
from discordproxy_api.contract.rules.attachments import with_kept_attachments
from discordproxy_api.contract.steps import Circumstances, follow_ups, prepare
from discordproxy_api.contract.translate import Outgoing, Translator
from discordproxy_api.contract.validation import InvalidRequestError, validate
from discordproxy_api.discord.request import Reply, repeat_of, rest_request
from discordproxy_api.discord.rest import Rest
from discordproxy_api.rpcs.ordering import order_of
from discordproxy_api.rpcs.procedure import Job

MORE = "more_messages"
"""Field of the responses that can contain several messages."""


@dataclass(slots=True)  # not frozen: that makes its creation five times as slow
class RequestPlan:
    """The requests of a call. Never changed.

    Attributes:
        parts: sent one after another.
        follow_ups: returns the requests that are sent afterwards, given the response; None without any.
        keeps_attachments: whether the first part adds files to a message that keeps its attachments.
    """

    parts: list[Outgoing]
    follow_ups: Callable[[Any], list[Outgoing]] | None = None
    keeps_attachments: bool = False


class Routed:
    """One RPC with a route.

    Args:
        users_only: the default for mentions in the settings, see `steps.Circumstances`.
    """

    def __init__(self, rpc: Rpc, rest: Rest, *, users_only: bool = False) -> None:
        self.rpc = rpc
        self._rest = rest
        self._users_only = users_only
        self._translator = Translator(rpc)

    def job(self, request: Any, call: Call) -> Job:
        """Return the job for a request message; raises ApiError if it is invalid."""
        check(self.rpc, request)
        plan = self.plan(request, call)
        return Job(
            partial(self.run, plan, call),
            repeat_of(plan.parts),
            effect=self.rpc.method != "GET",
            order=_order(plan.parts),
        )

    def plan(self, request: Any, call: Call) -> RequestPlan:
        """Return the plan for a valid request."""
        seed = self._rest.nonces.seed(call, getattr(request, "nonce", ""))
        circumstances = Circumstances(seed, self._rest.clock.now_ms(), users_only=self._users_only)
        parts = prepare(self.rpc.name, request, self._translator.outgoing(request), circumstances)
        if not getattr(request, "crosspost", False):
            return RequestPlan(parts)
        small = type(request)(channel_id=request.channel_id, crosspost=True)  # the files are not needed any more
        return RequestPlan(parts, partial(follow_ups, self.rpc.name, small))

    async def run(self, plan: RequestPlan, call: Call) -> Message:
        """Carry out a plan and return the response."""
        replies: list[Reply] = []
        try:
            await self._send(plan.parts, call, replies)
            response = self._response(replies, plan.parts[0].parameters)
            if plan.follow_ups is not None:
                await self._send(plan.follow_ups(response), call, [])
        except ApiError as error:
            if MORE in self.rpc.response_type.DESCRIPTOR.fields_by_name:
                error.sent_message_ids = tuple(_ids(replies))
            raise
        return response

    async def _send(self, parts: Sequence[Outgoing], call: Call, replies: list[Reply]) -> None:
        for part in parts:
            reply = await self._send_one(part, call)
            if reply is not None:
                replies.append(reply)

    async def _send_one(self, part: Outgoing, call: Call) -> Reply | None:
        try:
            return await self._rest.send(rest_request(part, now_ms=self._rest.clock.now_ms()), call)
        except ApiError as error:
            if error.code in part.tolerated:
                return None
            instead = part.otherwise.get(error.code)
            if instead is None:
                raise
        await self._send(instead(), call, [])
        return None

    def _response(self, replies: Sequence[Reply], parameters: dict[str, str]) -> Message:
        first = checked(self.rpc, document_of(replies[0])) if replies else None
        response: Any = self._translator.incoming(first, parameters)
        if len(replies) > 1 and MORE in self.rpc.response_type.DESCRIPTOR.fields_by_name:
            documents = (checked(self.rpc, document_of(reply)) for reply in replies[1:])
            more = (self._translator.incoming(document, parameters) for document in documents)
            response.more_messages.extend(each.message for each in more)
        return response  # type: ignore[no-any-return]  # the translator returns the contract's type


def _order(parts: Sequence[Outgoing]) -> str:
    first = parts[0]
    return order_of(first.method, first.template, first.parameters, first.body or ())


def check(rpc: Rpc, request: Any) -> None:
    """Raise ApiError if the request is invalid by the contract."""
    try:
        validate(rpc, request)
    except InvalidRequestError as invalid:
        raise errors.invalid_request(invalid.fields) from None


def document_of(reply: Reply) -> Any:
    """Return the JSON of a reply. An unreadable one is an error, although the request took effect."""
    try:
        return reply.document()
    except orjson.JSONDecodeError:
        text = "Discord accepted the request, but its response is not JSON."
        raise errors.refusal("INTERNAL", "INTERNAL", text) from None


def keep_attachments(change: Json, message: Any) -> Json:
    """Return the body of a change that adds files, with the attachments of `message` that it keeps."""
    try:
        return with_kept_attachments(change, message)
    except InvalidRequestError as invalid:
        raise errors.invalid_request(invalid.fields) from None
    except (TypeError, KeyError, ValueError, AttributeError):
        raise errors.unexpected_answer() from None


def checked(rpc: Rpc, document: Any) -> Any:
    """Return a document that fits the RPC's response. Another one is an error, not an empty response."""
    if rpc.fits(document):
        return document
    raise errors.unexpected_answer()


def _ids(replies: Sequence[Reply]) -> list[int]:
    """Return the ids of the created messages."""
    return [message_id for message_id in map(_id, replies) if message_id]


def _id(reply: Reply) -> int:
    try:
        return int(reply.document()["id"])
    except (ValueError, KeyError, TypeError):
        return 0  # a truncated response; the error states that the request was sent
