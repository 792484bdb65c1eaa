"""Serves every RPC that is one route of Discord: message -> request -> reply -> message, driven by the contract."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from google.protobuf.message import Message
from grpc import StatusCode

from discordproxy_api import errors
from discordproxy_api.call import Call
from discordproxy_api.contract import Rpc
from discordproxy_api.errors import ApiError
from discordproxy_api.outbound import Reply, repeat_of, rest_request
from discordproxy_api.rest import Rest
from discordproxy_api.retry import Repeat
from discordproxy_api.translate import Outgoing, Translator
from discordproxy_api.validation import InvalidRequest, validate

MORE = "more_messages"
"""Field of the responses that can carry several messages."""

Run = Callable[[], Awaitable[Message]]


@dataclass(frozen=True, slots=True)
class Job:
    """What a request asks for, ready to run; the request itself has been let go, files and all.

    Attributes:
        repeat: how far running it a second time does no harm.
    """

    run: Run
    repeat: Repeat


class Routed:
    """One RPC with a route."""

    def __init__(self, rpc: Rpc, rest: Rest) -> None:
        self.rpc = rpc
        self._rest = rest
        self._translator = Translator(rpc)

    def job(self, request: Any, call: Call) -> Job:
        """Return the job for a request message; raises ApiError when it is invalid."""
        check(self.rpc, request)
        parts = self.plan(request, call)
        return Job(partial(self.run, parts, call), repeat_of(parts))

    def plan(self, request: Any, call: Call) -> list[Outgoing]:  # noqa: ARG002 - the steps look at both
        """Return what has to be sent, in order; usually one part."""
        return [self._translator.outgoing(request)]

    async def run(self, parts: Sequence[Outgoing], call: Call) -> Message:
        """Send the parts one after the other and return the response."""
        replies: list[Reply] = []
        try:
            for part in parts:
                request = rest_request(part, now_ms=int(time.time() * 1000))
                replies.append(await self._rest.send(request, call))
        except ApiError as error:
            error.sent_message_ids = tuple(_ids(replies))
            raise
        return self._response(replies, parts[0].parameters)

    def _response(self, replies: Sequence[Reply], parameters: dict[str, str]) -> Message:
        response: Any = self._translator.incoming(document_of(replies[0]), parameters)
        if len(replies) > 1 and MORE in self.rpc.response_type.DESCRIPTOR.fields_by_name:
            more = (self._translator.incoming(document_of(reply), parameters) for reply in replies[1:])
            response.more_messages.extend(each.message for each in more)
        return response  # type: ignore[no-any-return]  # the translator makes what the contract says


def check(rpc: Rpc, request: Any) -> None:
    """Raise ApiError unless Discord could take the request."""
    try:
        validate(rpc, request)
    except InvalidRequest as invalid:
        raise errors.invalid_request(invalid.fields) from None


def document_of(reply: Reply) -> Any:
    """Return the JSON of a reply; one that cannot be read is an error, although Discord did what was asked."""
    try:
        return reply.document()
    except orjson.JSONDecodeError:
        text = "Discord accepted the request, but its answer is not JSON."
        raise errors.refusal(StatusCode.INTERNAL, "INTERNAL", text) from None


def _ids(replies: Sequence[Reply]) -> list[int]:
    """Return the ids of the messages that were made."""
    documents = [document_of(reply) for reply in replies]
    return [int(document["id"]) for document in documents if isinstance(document, dict) and "id" in document]
