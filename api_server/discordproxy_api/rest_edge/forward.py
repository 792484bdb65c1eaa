"""The path of an admitted HTTP request: read, checked by route, sent to Discord, answered with Discord's bytes."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from urllib.parse import parse_qsl, unquote

import orjson

from discordproxy_api.access.permission import PathRequest
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.retry import Repeat, repeatability
from discordproxy_api.contract.steps import nonce_of
from discordproxy_api.discord.request import Reply, RestRequest
from discordproxy_api.discord.rest import Rest
from discordproxy_api.pipeline.arrivals import Read
from discordproxy_api.pipeline.idempotency import LogicalCall
from discordproxy_api.pipeline.unary_calls import Execution, Prepared
from discordproxy_api.pipeline.uploads import Uploads
from discordproxy_api.rest_edge.body import (
    Body,
    enforces_nonce,
    fingerprint_of,
    read_body,
    takes_nonce,
    with_nonce,
)
from discordproxy_api.rest_edge.head import JSON
from discordproxy_api.rest_edge.relay import NonceNotes, Relay
from discordproxy_api.rpcs.commands.own import OwnCommands
from discordproxy_api.rpcs.interaction_responses import InteractionResponses
from discordproxy_api.rpcs.ordering import order_of
from discordproxy_api.rpcs.procedure import Job
from discordproxy_api.rpcs.route_policy import (
    CALLBACK,
    CREATE_MESSAGE,
    RequestLine,
    RoutePolicy,
    limits_of,
    require_permitted,
)
from discordproxy_ratelimit.process.tasks import BackgroundTasks


@dataclass(slots=True)
class Incoming:
    """An HTTP request in progress. The repr hides what may be secret.

    Attributes:
        query: as it was sent.
        content_type: as it was sent, "" without.
        reason: value of X-Audit-Log-Reason.
        authorization: the caller's own for Discord, "" to use the bot's.
        version: of Discord's API, "" for the configured one.
        read: returns the body.
        declared: its size, 0 if unknown.
        compressed: it is compressed with gzip.
        takes_over_commands: commands that no application owns may be replaced.
        began_at: loop time at which the body had arrived, None before.
        repeat: what a second request would do.
        replayed: the answer is that of an earlier request with the same idempotency key.
        undelivered: work to be done if the answer does not reach the caller.
    """

    line: RequestLine
    query: str = field(repr=False)
    content_type: str = field(repr=False)
    reason: str = field(repr=False)
    authorization: str = field(repr=False)
    version: str
    read: Read = field(repr=False)
    declared: int = 0
    compressed: bool = False
    takes_over_commands: bool = False
    began_at: float | None = None
    repeat: Repeat = Repeat.ALWAYS
    replayed: bool = False
    undelivered: Callable[[], Awaitable[None]] | None = field(default=None, repr=False)


class Forward:
    """Serves the HTTP requests of one bot.

    Args:
        name: of the bot.
        responses: sends interaction callbacks through the relay.
        own_commands: serves the routes of commands for applications that have their own.
        notes: nonces of messages whose answer was lost.
    """

    def __init__(
        self,
        name: str,
        rest: Rest,
        *,
        relay: Relay,
        responses: InteractionResponses,
        own_commands: OwnCommands,
        policy: RoutePolicy,
        uploads: Uploads,
        execution: Execution,
        notes: NonceNotes,
    ) -> None:
        self._name = name
        self._rest = rest
        self._relay = relay
        self._responses = responses
        self._own_commands = own_commands
        self._policy = policy
        self._uploads = uploads
        self._execution = execution
        self._notes = notes
        self._background = BackgroundTasks()

    async def finish(self) -> None:
        """Wait until every nonce is kept."""
        await self._background.finish()

    async def serve(self, call: Call, incoming: Incoming) -> Reply:
        """Return Discord's answer to a request.

        Raises:
            RelayedError: it is an error.
            ApiError: the request is invalid, not permitted, or failed.
        """
        require_permitted(self._policy, incoming.line)
        received = await self._uploads.receive(incoming.read, incoming.declared, compressed=incoming.compressed)
        try:
            incoming.began_at = asyncio.get_running_loop().time()
            body = read_body(received.pop(), incoming.content_type)
            replies: list[Reply] = []
            prepared = self._prepared(incoming, body, call, replies)
            del body
            packed = await self._execution.run(prepared, call)
        finally:
            self._uploads.release(received)
        incoming.replayed = not replies
        return replies[0] if replies else _unpacked(packed)

    def _prepared(self, incoming: Incoming, body: Body, call: Call, replies: list[Reply]) -> Prepared:
        line = incoming.line
        query = parse_qsl(incoming.query, keep_blank_values=True)
        request = PathRequest(line.method, line.path, query, body.json_text, incoming.authorization)
        targets = self._execution.permission.targets_of_path(request, call)
        has_nonce = (line.method, line.template) == CREATE_MESSAGE and (takes_nonce(body) or enforces_nonce(body))
        incoming.repeat = repeatability(line.method, nonce=has_nonce)
        order = order_of(line.method, line.template, line.parameters, body.object)
        send = self._own_sender(incoming, body, call) or partial(self._send, incoming, body, call)
        job = Job(send, incoming.repeat, effect=line.method != "GET", order=order)
        logical = None
        if call.idempotency_key and job.effect:
            identity = fingerprint_of(body, "http", line.method, line.path, incoming.query, incoming.authorization)
            logical = LogicalCall.of(call, identity.encode(), job.repeat)
        return Prepared(job, logical, targets, partial(_kept, replies, pack=logical is not None))

    def _own_sender(self, incoming: Incoming, body: Body, call: Call) -> Callable[[], Awaitable[Reply]] | None:
        """Return a function that serves a request about commands, if the application is limited to its own."""
        if not self._own_commands.serves(incoming.line, call):
            return None
        request = self._request(incoming, body, body.data or None)
        take_over = incoming.takes_over_commands
        return self._own_commands.sender(request, incoming.line, body.document, call, take_over=take_over)

    async def _send(self, incoming: Incoming, body: Body, call: Call) -> Reply:
        line = incoming.line
        if (line.method, line.template) == CREATE_MESSAGE and takes_nonce(body):
            return await self._send_message(incoming, body, call)
        if (line.method, line.template) == ("POST", CALLBACK):
            request = self._callback(incoming, body)
            return await self._responses.sender(request, line, body.object, call)()
        return await self._relay.send(self._request(incoming, body, body.data or None), call)

    async def _send_message(self, incoming: Incoming, body: Body, call: Call) -> Reply:
        """Send a message with a nonce: a request whose answer was lost is sent with the same one."""
        name = fingerprint_of(body, self._name, call.app, incoming.line.path)
        earlier = "" if call.idempotency_key else await self._notes.nonce_of(name)
        nonce = earlier or nonce_of(self._rest.nonces.seed(call), 0)
        keep = partial(self._notes.keep, name, nonce)
        try:
            reply = await self._relay.send(self._request(incoming, body, with_nonce(body, nonce)), call)
        except BaseException:
            if call.sent != "no" and not call.idempotency_key:
                await asyncio.shield(self._background.start(keep()))
            raise
        incoming.undelivered = keep
        if earlier:
            await self._notes.forget(name)
        return reply

    def _callback(self, incoming: Incoming, body: Body) -> RestRequest:
        """Return a response to an interaction in parts: if it comes late, it is sent in another form."""
        return replace(
            self._request(incoming, body, body.json_bytes),
            query=parse_qsl(incoming.query, keep_blank_values=True),
            raw_query="",
            content_type=JSON,
            files=body.files(),
        )

    def _request(self, incoming: Incoming, body: Body, data: bytes | None) -> RestRequest:
        line = incoming.line
        route, authorization = limits_of(
            line, incoming.authorization, body_keys=tuple(body.object), now_ms=self._rest.clock.now_ms()
        )
        return RestRequest(
            method=line.method,
            path=line.path,
            route=route,
            raw_query=incoming.query,
            body=data,
            content_type=incoming.content_type,
            reason=unquote(incoming.reason),
            authorization=authorization,
            repeat=incoming.repeat,
            version=incoming.version,
        )


def _kept(replies: list[Reply], reply: Reply, *, pack: bool) -> bytes:
    """Keep a reply for the caller; return its bytes for the idempotency key."""
    replies.append(reply)
    if not pack:
        return b""
    return orjson.dumps([reply.status, dict(reply.headers)]) + b"\n" + reply.body


def _unpacked(packed: bytes) -> Reply:
    head, _, body = packed.partition(b"\n")
    try:
        status, headers = orjson.loads(head)
    except ValueError:  # another form of result: the key was used over gRPC
        text = "This idempotency key was used for another request."
        raise errors.refusal("INVALID_ARGUMENT", "INVALID_REQUEST", text) from None
    return Reply(status, headers, body)
