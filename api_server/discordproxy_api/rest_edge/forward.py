"""The path of an admitted HTTP request: read, checked by route, sent to Discord, answered with Discord's bytes."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from urllib.parse import parse_qsl, unquote

from discordproxy_api.access.permission import UNCHECKED, PathRequest
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.retry import Repeat, repeatability
from discordproxy_api.contract.steps import nonce_of
from discordproxy_api.discord.request import Reply, RestRequest, own_nonce
from discordproxy_api.discord.rest import Rest
from discordproxy_api.pipeline.idempotency import LogicalCall
from discordproxy_api.pipeline.receiving.uploads import Received, Uploads
from discordproxy_api.pipeline.unary_calls import Execution, Prepared
from discordproxy_api.rest_edge.body import (
    Body,
    enforced_nonce,
    fingerprint_of,
    read_body,
    takes_nonce,
    with_nonce,
)
from discordproxy_api.rest_edge.head import JSON
from discordproxy_api.rest_edge.relay import Relay, pack, unpack
from discordproxy_api.rest_edge.repeats.message import MessageRelay, NoncedMessage
from discordproxy_api.rest_edge.repeats.once import OnceRelay
from discordproxy_api.rest_edge.repeats.unanswered import SlowRequests, UnansweredRequests
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

CountPart = Callable[[int], None]
"""Takes the size of what has arrived so far; raises ApiError if there is no memory for it."""

ReadBody = Callable[[CountPart], Awaitable[bytes]]
Send = Callable[[], Awaitable[Reply]]


@dataclass(slots=True)
class Incoming:
    """An HTTP request in progress. The repr hides what may be secret.

    Attributes:
        query: as it was sent.
        content_type: as it was sent, "" without.
        reason: value of X-Audit-Log-Reason.
        authorization: the caller's own for Discord, "" to use the bot's.
        version: of Discord's API, "" for the configured one.
        read: returns the body; it passes on the size of what has arrived so far.
        small_body: the body, if it has arrived, is small and not compressed; else None.
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
    read: ReadBody = field(repr=False)
    small_body: bytes | None = field(default=None, repr=False)
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
        unanswered: requests whose answer was not delivered.
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
        unanswered: UnansweredRequests,
        metrics: Metrics,
    ) -> None:
        self._name = name
        self._rest = rest
        self._relay = relay
        self._responses = responses
        self._own_commands = own_commands
        self._policy = policy
        self._uploads = uploads
        self._execution = execution
        self._background = BackgroundTasks()
        slow = SlowRequests(self._background)
        self._once = OnceRelay(relay, unanswered, slow, metrics, self._background)
        self._messages = MessageRelay(relay, unanswered, slow, metrics, self._background)

    async def finish(self) -> None:
        """Wait until every undelivered answer is kept."""
        await self._background.finish()

    def serve(self, call: Call, incoming: Incoming) -> Awaitable[Reply]:
        """Return Discord's answer to a request.

        Raises:
            RelayedError: it is an error.
            ApiError: the request is invalid, not permitted, or failed.
        """
        require_permitted(self._policy, incoming.line)
        if incoming.small_body is not None:
            return self._serve_body(call, incoming, incoming.small_body)
        return self._receive(call, incoming)

    async def _receive(self, call: Call, incoming: Incoming) -> Reply:
        """Receive the body within the limits of uploads, then serve the request."""
        received = Received(call.app)
        read = partial(incoming.read, partial(self._uploads.count_part, received))
        await self._uploads.receive(read, incoming.declared, compressed=incoming.compressed, received=received)
        try:
            return await self._serve_body(call, incoming, received.pop())
        finally:
            self._uploads.release(received, call.continuation)
            call.continuation = None  # its error would refer to the call: a cycle that keeps the request

    async def _serve_body(self, call: Call, incoming: Incoming, data: bytes) -> Reply:
        incoming.began_at = asyncio.get_running_loop().time()
        replies: list[Reply] = []
        prepared = self._prepared(incoming, read_body(data, incoming.content_type), call, replies)
        del data
        packed = await self._execution.run(prepared, call)
        incoming.replayed = not replies
        return replies[0] if replies else _unpacked(packed)

    def _prepared(self, incoming: Incoming, body: Body, call: Call, replies: list[Reply]) -> Prepared:
        line, targets = incoming.line, UNCHECKED
        permission = self._execution.permission
        if permission.depends_on_targets(call):
            query = parse_qsl(incoming.query, keep_blank_values=True)
            request = PathRequest(line.method, line.path, query, body.json_text, incoming.authorization)
            targets = permission.targets_of_path(request, call)
        if (line.method, line.template) == CREATE_MESSAGE:  # it has no order, and is no matter of commands
            order, lacks_nonce = "", takes_nonce(body)
            own = None if lacks_nonce else enforced_nonce(body)
            incoming.repeat = repeatability(line.method, nonce=lacks_nonce or own is not None)
            send: Send = partial(self._send_message if lacks_nonce else self._send, incoming, body, call)
            if own is not None:
                send = partial(self._send_own_nonce, incoming, body, own, call)
        else:
            order = order_of(line.method, line.template, line.parameters, body.object)
            incoming.repeat = repeatability(line.method, nonce=False)
            send = self._own_sender(incoming, body, call) or partial(self._send, incoming, body, call)
        job = Job(send, incoming.repeat, effect=line.method != "GET", order=order)
        logical = None
        if call.idempotency_key and job.effect:
            identity = fingerprint_of(body, "http", line.method, line.path, incoming.query, incoming.authorization)
            logical = LogicalCall.of(call, identity.encode(), job.repeat)
        return Prepared(job, logical, targets, partial(_kept, replies, packed=logical is not None))

    def _own_sender(self, incoming: Incoming, body: Body, call: Call) -> Send | None:
        """Return a function that serves a request about commands, if the application is limited to its own."""
        if not self._own_commands.serves(incoming.line, call):
            return None
        request = self._request(incoming, body, body.data or None)
        take_over = incoming.takes_over_commands
        return self._own_commands.sender(request, incoming.line, body.document, call, take_over=take_over)

    def _send(self, incoming: Incoming, body: Body, call: Call) -> Awaitable[Reply]:
        line = incoming.line
        if (line.method, line.template) == ("POST", CALLBACK) and body.json_at is not None:
            request = self._callback(incoming, body)
            return self._responses.sender(request, line, body.object, call)()
        request = self._request(incoming, body, body.data or None)
        if incoming.repeat is not Repeat.NEVER or call.idempotency_key:
            return self._relay.send(request, call)
        return self._send_once(incoming, body, request, call)

    async def _send_once(self, incoming: Incoming, body: Body, request: RestRequest, call: Call) -> Reply:
        """Send a request that must not act twice."""
        line = incoming.line
        name = fingerprint_of(
            body, self._name, call.app, line.method, line.path, incoming.query, incoming.authorization
        )
        reply = await self._once.send(request, call, name)
        incoming.undelivered = partial(self._once.keep, name, reply)
        return reply

    def _send_message(self, incoming: Incoming, body: Body, call: Call) -> Awaitable[Reply]:
        """Send a message with a nonce: a request whose answer was lost is sent with the same one."""
        nonce = nonce_of(self._rest.nonces.seed(call), 0)
        if call.idempotency_key:
            return self._relay.send(self._request(incoming, body, with_nonce(body, nonce)), call)
        name = fingerprint_of(body, self._name, call.app, incoming.line.path)
        message = NoncedMessage(name, nonce, partial(with_nonce, body))
        incoming.undelivered = partial(self._messages.keep, message)
        return self._messages.send(self._request(incoming, body, None), call, message)

    def _send_own_nonce(self, incoming: Incoming, body: Body, own: str | int, call: Call) -> Awaitable[Reply]:
        """Send a message with a nonce of the application's own, so that no other application's message has it."""
        nonce = nonce_of(self._rest.nonces.seed(call, str(own)), 0)
        request = self._request(incoming, body, with_nonce(body, nonce))
        request.own_nonce = own_nonce(own, nonce)
        return self._relay.send(request, call)

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
        now_ms = self._rest.clock.now_ms() if line.method == "DELETE" else 0  # the age of other objects is no matter
        route, authorization = limits_of(line, incoming.authorization, body_keys=body.object, now_ms=now_ms)
        return RestRequest(
            method=line.method,
            path=line.path,
            route=route,
            raw_query=incoming.query,
            body=data,
            content_type=body.content_type,
            reason=unquote(incoming.reason) if incoming.reason else "",
            authorization=authorization,
            repeat=incoming.repeat,
            version=incoming.version,
        )


def _kept(replies: list[Reply], reply: Reply, *, packed: bool) -> bytes:
    """Keep a reply for the caller; return its bytes for the idempotency key."""
    replies.append(reply)
    if not packed:
        return b""
    return pack(reply)


def _unpacked(packed: bytes) -> Reply:
    try:
        return unpack(packed)
    except ValueError:  # another form of result: the key was used over gRPC
        text = "This idempotency key was used for another request."
        raise errors.refusal("INVALID_ARGUMENT", "INVALID_REQUEST", text) from None
