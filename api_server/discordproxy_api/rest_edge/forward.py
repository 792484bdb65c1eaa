"""The path of an admitted HTTP request: read, checked by route, sent to Discord, answered with Discord's bytes."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from urllib.parse import parse_qsl, unquote

from discordproxy_api.access.permission import PathRequest
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.retry import Repeat, repeatability
from discordproxy_api.contract.steps import nonce_of
from discordproxy_api.discord.request import Reply, RestRequest
from discordproxy_api.discord.rest import Rest
from discordproxy_api.pipeline.idempotency import LogicalCall
from discordproxy_api.pipeline.unary_calls import Execution, Prepared
from discordproxy_api.pipeline.uploads import Received, Uploads
from discordproxy_api.rest_edge.body import (
    Body,
    enforces_nonce,
    fingerprint_of,
    read_body,
    takes_nonce,
    with_nonce,
)
from discordproxy_api.rest_edge.head import JSON
from discordproxy_api.rest_edge.relay import OnceRelay, Relay, SlowNote, UnansweredNotes, pack, unpack
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
        notes: requests whose answer was not delivered.
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
        notes: UnansweredNotes,
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
        self._notes = notes
        self._metrics = metrics
        self._background = BackgroundTasks()
        self._once = OnceRelay(relay, notes, metrics, self._background)

    async def finish(self) -> None:
        """Wait until every undelivered answer is kept."""
        await self._background.finish()

    async def serve(self, call: Call, incoming: Incoming) -> Reply:
        """Return Discord's answer to a request.

        Raises:
            RelayedError: it is an error.
            ApiError: the request is invalid, not permitted, or failed.
        """
        require_permitted(self._policy, incoming.line)
        received = Received()
        read = partial(incoming.read, partial(self._uploads.count_part, received))
        await self._uploads.receive(read, incoming.declared, compressed=incoming.compressed, received=received)
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
        return Prepared(job, logical, targets, partial(_kept, replies, packed=logical is not None))

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
        if (line.method, line.template) == ("POST", CALLBACK) and body.json_at is not None:
            request = self._callback(incoming, body)
            return await self._responses.sender(request, line, body.object, call)()
        request = self._request(incoming, body, body.data or None)
        if incoming.repeat is not Repeat.NEVER or call.idempotency_key:
            return await self._relay.send(request, call)
        name = fingerprint_of(
            body, self._name, call.app, line.method, line.path, incoming.query, incoming.authorization
        )
        reply = await self._once.send(request, call, name)
        incoming.undelivered = partial(self._once.keep, name, reply)
        return reply

    async def _send_message(self, incoming: Incoming, body: Body, call: Call) -> Reply:
        """Send a message with a nonce: a request whose answer was lost is sent with the same one."""
        nonce = nonce_of(self._rest.nonces.seed(call), 0)
        if call.idempotency_key:
            return await self._relay.send(self._request(incoming, body, with_nonce(body, nonce)), call)
        name = fingerprint_of(body, self._name, call.app, incoming.line.path)
        earlier = await self._notes.get(name)
        if earlier:
            self._metrics.resent.labels("same_nonce").inc()
            nonce = earlier.decode()
        keep = partial(self._notes.keep, name, nonce.encode())
        slow = SlowNote(keep, call, self._background)
        try:
            reply = await self._relay.send(self._request(incoming, body, with_nonce(body, nonce)), call)
        except BaseException:
            if call.sent != "no":
                await asyncio.shield(self._background.start(keep()))
            raise
        finally:
            noted = await slow.close()
        incoming.undelivered = keep
        if earlier or noted:
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
            content_type=body.content_type,
            reason=unquote(incoming.reason),
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
