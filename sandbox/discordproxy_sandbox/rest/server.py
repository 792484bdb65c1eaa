"""The REST API: a request arrives after its latency, is counted and processed at that instant, and is answered."""

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from random import Random
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from discordproxy_sandbox.access import Access, Credential
from discordproxy_sandbox.errors import DiscordError, discord_error, invalid_form, unauthorized
from discordproxy_sandbox.ledger import Ledger, Record, is_invalid
from discordproxy_sandbox.limits.book import DELETE_MESSAGE, LimitBook, LimitedRequest
from discordproxy_sandbox.limits.limits import InvalidRequests
from discordproxy_sandbox.limits.ruling import Ruling
from discordproxy_sandbox.messages.validation import Check, failure, snowflake
from discordproxy_sandbox.resources.exchange import ApiAnswer, ApiRequest, ApiRoute
from discordproxy_sandbox.rest.body import Body, read_body
from discordproxy_sandbox.rest.faults import Fault, Faults
from discordproxy_sandbox.rest.latency import Latency
from discordproxy_sandbox.rest.reply import HttpReply, api_reply, ban_page, damaged, early_fault, echo, invented_limit
from discordproxy_sandbox.rest.router import Match, Router, local_path, masked
from discordproxy_sandbox.world.snowflakes import created_at
from discordproxy_sandbox.world.visibility import bot_sees
from discordproxy_sandbox.world.world import World

_NOT_SNOWFLAKES = ("instance_id", "answer_id")


@dataclass(slots=True)
class RestServer:
    """Serves all routes on one world. `strict`: unknown JSON keys are refused instead of only recorded."""

    router: Router
    world: World
    limits: LimitBook
    clock: Callable[[], float]
    random: Random
    latency: Latency = field(default_factory=Latency)
    access: Access = field(default_factory=Access)
    invalid: InvalidRequests = field(default_factory=InvalidRequests)
    faults: Faults = field(default_factory=Faults)
    ledger: Ledger = field(default_factory=Ledger)
    strict: bool = False
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    log: Callable[[Record], None] = lambda _: None

    async def handle(self, http: web.Request) -> web.StreamResponse:
        """Serve one request."""
        body = await read_body(http)
        inbound_s, outbound_s = self.latency.draw(self.random)
        await asyncio.sleep(inbound_s)
        record, reply = self.judge(http, body)
        await asyncio.sleep(outbound_s + reply.delay_s)
        if reply.outcome == "silent":
            await self._stay_silent(http)
        self.ledger.close(record, reply.status if reply.outcome == "answer" else 0, self.clock())
        self.log(record)
        if reply.outcome == "reset":
            _reset(http)
        if http.transport and not http.transport.is_closing():
            reply.ruling.announce(self.clock())
        headers = reply.headers | {"Server": "cloudflare", "Date": formatdate(self.clock(), usegmt=True)}
        return web.Response(status=reply.status, headers=headers, body=reply.body)

    def judge(self, http: web.Request, body: Body) -> tuple[Record, HttpReply]:
        """Count a request that arrives now, process it if its limits allow, and return its record and its response."""
        now = self.clock()
        path = http.raw_path.partition("?")[0]
        match = self.router.find(http.method, path)
        record = Record(self.ledger.next_number(), now, http.method, masked(unquote(local_path(path)), match))
        record.template, record.major = match.template, masked(match.major, match) if match.major else ""
        record.digest = body.digest
        record.reason = unquote(http.headers.get("X-Audit-Log-Reason", ""))
        if isinstance(body.content, dict):
            record.nonce = str(body.content.get("nonce") or "")
        if not http.headers.get("User-Agent", "").startswith("DiscordBot ("):
            record.violations.append("User-Agent is not of the form DiscordBot (url, version)")
        self.ledger.open(record)
        fault = self.faults.consume(http.method, local_path(path))
        record.fault = fault.kind if fault else ""
        reply = self._answer(http, body, match, record, fault)
        if is_invalid(reply.status, record.scope):
            self.invalid.hit(now)
        return record, reply

    def _answer(self, http: web.Request, body: Body, match: Match, record: Record, fault: Fault | None) -> HttpReply:
        now = record.arrived_at
        if left_s := self.invalid.banned_for(now):
            record.scope, record.retry_after = "ban", left_s
            return ban_page(str(int(left_s) + 1))
        if fault and fault.kind == "echo":
            return echo(fault, http.headers.get("Authorization", ""))
        if fault and (reply := early_fault(fault)):
            return reply
        ruling = Ruling(allowed=True)
        try:
            route = match.require()
            credential = self._authorize(http, route, record)
            ruling = self.limits.judge(self._call(http.method, body, match, credential), now)
            record.bucket, record.avoidable, record.hidden = ruling.bucket, ruling.avoidable, ruling.hidden is not None
            if fault and fault.kind == "hash":
                self.limits.change_hash(f"{http.method} {match.template}", f"flip {record.number}")
            reply = self._refusal(ruling, record, fault) or self._process(http, body, match, route, record)
        except DiscordError as error:
            reply = api_reply(error.status, error.body())
        reply.ruling = ruling.without_refusal() if record.fault == "rate_limited" else ruling
        reply.headers = reply.ruling.headers() | reply.headers
        return damaged(reply, fault) if fault else reply

    def _authorize(self, http: web.Request, route: ApiRoute, record: Record) -> Credential:
        credential = self.access.credential(http.headers.get("Authorization"))
        record.credential = credential.kind
        if not route.accepts(credential.kind):
            raise unauthorized()
        if route.auth == "path" and credential.kind != "none":
            record.violations.append("Authorization sent to a route that a token in the path authorizes")
        return credential

    def _call(self, method: str, body: Body, match: Match, credential: Credential) -> LimitedRequest:
        webhook = self.world.webhooks.get(match.params.get("webhook_id", ""))
        age_s = None
        if f"{method} {match.template}" == DELETE_MESSAGE:
            known = self.world.channels.get(match.params["channel_id"])
            message_id = match.params["message_id"]
            age_s = self.clock() - created_at(message_id) if known and message_id in known.messages else 0.0
        interaction = match.params.get("webhook_token") in self.world.interactions
        exempt = bool(match.route and match.route.exempt) or interaction
        return LimitedRequest(
            method=method,
            template=match.template,
            credential=credential.key,
            major=match.major,
            resource=webhook["channel_id"] if webhook else match.major,
            body_keys=frozenset(body.content) if isinstance(body.content, dict) else frozenset(),
            age_s=age_s,
            # With a bot token, Discord counts requests on these routes, too.
            exempt=exempt and credential.kind == "none",
        )

    def _refusal(self, ruling: Ruling, record: Record, fault: Fault | None) -> HttpReply | None:
        if fault and fault.kind == "rate_limited":
            record.scope, record.retry_after = fault.scope, fault.retry_after_body or 0.0
            return invented_limit(fault)
        if ruling.allowed:
            return None
        record.scope, record.retry_after = ruling.scope, ruling.retry_after
        return api_reply(429, ruling.body())

    def _process(self, http: web.Request, body: Body, match: Match, route: ApiRoute, record: Record) -> HttpReply:
        if body.error:
            raise body.error
        self._check_params(match)
        if route.body:
            self._check_form(route.body, {} if body.content is None else body.content, record)
        elif body.content:
            record.violations.append("body sent to a route without one")
        if body.uploads and not route.files:
            record.violations.append("files sent to a route that accepts none")
        request = ApiRequest(
            method=http.method,
            template=match.template,
            params=match.params,
            query=http.query,
            body=body.content if body.content is not None else {},
            uploads=body.uploads,
            reason=record.reason,
            world=self.world,
            ledger=self.ledger,
            now=record.arrived_at,
        )
        result = route.handler(request)
        if isinstance(result, ApiAnswer):
            return api_reply(result.status, result.content, result.content_type)
        return api_reply(204 if result is None else 200, result)

    def _check_params(self, match: Match) -> None:
        for name, value in match.params.items():
            if name.endswith("_id") and name not in _NOT_SNOWFLAKES and snowflake(value, "", []):
                message = f'Value "{value}" is not snowflake.'
                raise invalid_form({name: failure("NUMBER_TYPE_COERCE", message)})
            if refusal := self.world.refusal(value):
                raise refusal
        channel = self.world.channels.get(match.params.get("channel_id", ""))
        if channel is not None and not bot_sees(self.world, channel):
            raise discord_error(50001)

    def _check_form(self, check: Check, content: Any, record: Record) -> None:
        unknown: list[str] = []
        errors = check(content, "", unknown)
        record.violations += [f"unknown key {path}" for path in unknown]
        if errors:
            raise invalid_form(errors)
        if self.strict and unknown:
            raise invalid_form({path: failure("UNKNOWN_KEY", "Discord has no such key.") for path in unknown})

    async def _stay_silent(self, http: web.Request) -> None:
        while not self.closing.is_set() and http.transport and not http.transport.is_closing():
            with suppress(TimeoutError):
                await asyncio.wait_for(self.closing.wait(), 0.05)


def _reset(http: web.Request) -> None:
    if http.transport is None:
        return
    connection = http.transport.get_extra_info("socket")
    if connection is not None:
        # A linger time of zero makes the close a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    http.transport.abort()
