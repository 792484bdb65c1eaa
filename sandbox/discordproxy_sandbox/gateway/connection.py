"""One websocket of the gateway: reads opcodes, sends events, enforces Discord's rules."""

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from discordproxy_sandbox.errors import Json
from discordproxy_sandbox.gateway.compression import compressor
from discordproxy_sandbox.gateway.faults import ABORT
from discordproxy_sandbox.gateway.gateway import SandboxGateway
from discordproxy_sandbox.gateway.intents import PRIVILEGED
from discordproxy_sandbox.gateway.payloads import may_have_all, member_chunks, wants_all
from discordproxy_sandbox.gateway.rules import (
    RuleBrokenError,
    as_object,
    read_intents,
    read_payload,
    read_sequence,
    read_shard,
    read_token,
)
from discordproxy_sandbox.gateway.session import SandboxSession
from discordproxy_sandbox.limits.limits import SlidingWindow
from discordproxy_sandbox.world.voice import set_voice_state

_MISSED_HEARTBEATS = 2.0  # intervals until a silent client counts as gone
_ENDING_CODES = (1000, 1001)
_WITHOUT_EFFECT = (3, 31, 43)  # presence, soundboard, channel info


class GatewayConnection:
    """Serves one websocket until either side closes it."""

    def __init__(self, gateway: SandboxGateway, http: web.Request) -> None:
        self._gateway = gateway
        self._http = http
        self._socket = web.WebSocketResponse(autoping=True, compress=False, max_msg_size=1 << 20, timeout=1.0)
        self._compressor = compressor(http.query.get("compress", ""))
        self._session: SandboxSession | None = None
        self._sent = 0  # sequence number of the last event sent here
        self._sends = SlidingWindow(gateway.config.sends_per_minute, 60.0)
        self._alive = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed_by_us = 0
        self._silent = False  # set by a fault
        self._closing: asyncio.Future[bool] | None = None
        self._before_session = {
            1: self._heartbeat,
            2: self._identify,
            6: self._resume,
        }
        self._in_session = {
            4: self._set_voice_state,
            8: self._request_members,
        }

    async def run(self) -> web.StreamResponse:
        """Serve until the connection ends. The session survives unless the client closes with 1000 or 1001."""
        if (status := self._gateway.faults.handshake) != 0:
            return web.Response(status=status, headers=self._gateway.faults.handshake_headers)
        if self._http.query.get("compress") and self._compressor is None:
            text = "Unsupported compression; use zlib-stream, or install zstandard for zstd-stream."
            return web.Response(status=400, text=text)
        await self._socket.prepare(self._http)
        self._gateway.stats.connected()
        self._gateway.connections.add(self)
        try:
            with suppress(ConnectionError):  # the client has disconnected; its session waits for a RESUME
                await self._serve()
            if self._closing:  # started by another task: returning now would cut off the close frame
                await self._closing
        finally:
            self._detach()
        return self._socket

    async def send_op(self, op: int, data: object) -> None:
        """Send a payload other than an event."""
        await self._write(orjson.dumps({"op": op, "d": data, "s": None, "t": None}))

    async def invalidate(self, *, resumable: bool) -> None:
        """Send op 9; without `resumable`, delete the session."""
        self._gateway.stats.invalid_sessions += 1
        if self._session and not resumable:
            self._gateway.end(self._session)
            self._session.holder = None
            self._session = None
        await self.send_op(9, resumable)

    async def close(self, code: int, reason: str = "") -> None:
        """Close with a code, as Discord does."""
        self._closed_by_us = code
        if self._session and code in _ENDING_CODES:
            self._gateway.end(self._session)
        self._closing = asyncio.ensure_future(self._socket.close(code=code, message=reason.encode()))
        await asyncio.shield(self._closing)

    def drop(self) -> None:
        """Reset the TCP connection."""
        if self._http.transport is not None:
            raw = self._http.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._http.transport.abort()

    async def _serve(self) -> None:
        if self._http.query.get("v") != "10" or self._http.query.get("encoding", "json") != "json":
            await self.close(4012, "Invalid API version or encoding.")
            return
        hello = {"heartbeat_interval": int(self._gateway.config.heartbeat_interval_s * 1000)}
        await self.send_op(10, hello if self._gateway.faults.hello is None else self._gateway.faults.hello)
        self._start(self._watch_heartbeats())
        async for message in self._socket:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                break
            try:
                await self._receive(message.data)
            except RuleBrokenError as broken:
                self._gateway.stats.violations.append(f"{broken.code} {broken.reason}")
                await self.close(broken.code, broken.reason)

    async def _receive(self, raw: str | bytes) -> None:
        if not self._sends.hit(self._gateway.clock()).allowed:
            raise RuleBrokenError(4008, "You are sending payloads too quickly.")
        op, data = read_payload(raw)
        if op in self._before_session:
            await self._before_session[op](data)
        elif self._silent:
            return
        elif self._session is None:
            raise RuleBrokenError(4003, "Not authenticated.")
        elif op in self._in_session:
            self._in_session[op](self._session, as_object(data))
        elif op not in _WITHOUT_EFFECT:
            raise RuleBrokenError(4001, "Unknown opcode.")

    async def _heartbeat(self, _sequence: Any) -> None:
        self._gateway.stats.heartbeats += 1
        self._alive.set()
        if not self._gateway.faults.no_acks:
            await self.send_op(11, None)

    async def _identify(self, sent: Any) -> None:
        data, config = as_object(sent), self._gateway.config
        if self._session:
            raise RuleBrokenError(4005, "Already authenticated.")
        if self._http.path != "/gateway":
            self._gateway.stats.violations.append("IDENTIFY sent to the resume URL")
        token_key = self._check_token(data)
        shard = read_shard(data, config.shards if config.sharding_required else 1)
        intents = read_intents(data, PRIVILEGED & ~config.privileged)
        if not self._gateway.may_identify(shard[0]):
            await self.invalidate(resumable=False)
        elif self._gateway.faults.identify:
            self._gateway.stats.identifies += 1
            await self._misbehave(self._gateway.faults.identify)
        else:
            self._attach(self._gateway.start(token_key, intents, shard), 0)

    async def _misbehave(self, fault: str | int) -> None:
        self._silent = True
        if isinstance(fault, int):
            await self.close(fault)
        elif fault == ABORT:
            self.drop()

    async def _resume(self, sent: Any) -> None:
        data = as_object(sent)
        sequence = read_sequence(data)
        if self._gateway.faults.resume:
            self._gateway.stats.resumes += 1
            await self._misbehave(self._gateway.faults.resume)
            return
        session = self._gateway.find(str(data.get("session_id")), self._check_token(data), sequence)
        if session is None:
            await self.invalidate(resumable=False)
            return
        if session.holder is not None and session.holder is not self:
            self._start(session.holder.close(4000, "Another connection resumed the session."))
        session.append("RESUMED", {"_trace": ["sandbox"]})
        self._attach(session, sequence)

    def _check_token(self, data: Json) -> str:
        token = read_token(data)
        if not self._gateway.access.is_good(token):
            raise RuleBrokenError(4004, "Authentication failed.")
        return self._gateway.access.key_of(token)

    def _attach(self, session: SandboxSession, sequence: int) -> None:
        self._session, self._sent = session, sequence
        session.holder = self
        session.detached_at = 0.0
        self._start(self._send_events(session))

    async def _send_events(self, session: SandboxSession) -> None:
        while session.holder is self:
            session.new_events.clear()
            for payload in session.after(self._sent):
                await self._write(payload)
                self._sent += 1
            if self._sent >= session.sequence:
                await session.new_events.wait()

    def _request_members(self, session: SandboxSession, data: Json) -> None:
        self._gateway.stats.member_requests += 1
        guild = self._gateway.world.guilds.get(str(data.get("guild_id")))
        if guild is None:
            self._gateway.stats.violations.append("members requested of an unknown guild")
            return
        if wants_all(data):
            if not may_have_all(session.intents):
                self._gateway.stats.violations.append("all members requested without the intent")
                return
            if retry_after := self._gateway.may_list_members(guild.id):
                self._gateway.stats.members_rate_limited += 1
                meta: Json = {"guild_id": guild.id} | ({"nonce": data["nonce"]} if data.get("nonce") else {})
                session.append("RATE_LIMITED", {"opcode": 8, "retry_after": retry_after, "meta": meta})
                return
        self._start(self._send_members(session, guild.id, data))

    async def _send_members(self, session: SandboxSession, guild_id: str, data: Json) -> None:
        world = self._gateway.world
        for chunk in member_chunks(world, world.guilds[guild_id], data, session.intents):
            session.append("GUILD_MEMBERS_CHUNK", chunk)
            await asyncio.sleep(0)  # a large guild has many chunks; let other tasks run

    def _set_voice_state(self, _session: SandboxSession, data: Json) -> None:
        set_voice_state(self._gateway.world, str(data.get("guild_id")), data)

    async def _watch_heartbeats(self) -> None:
        while True:
            self._alive.clear()
            try:
                await asyncio.wait_for(
                    self._alive.wait(), self._gateway.config.heartbeat_interval_s * _MISSED_HEARTBEATS
                )
            except TimeoutError:
                self._gateway.stats.violations.append("no heartbeat in time")
                await self.close(4000, "No heartbeat in time.")
                return

    async def _write(self, payload: bytes) -> None:
        with suppress(ConnectionError):
            if self._compressor:
                await self._socket.send_bytes(self._compressor.compress(payload))
            else:
                await self._socket.send_str(payload.decode())

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _detach(self) -> None:
        gateway, session = self._gateway, self._session
        gateway.connections.discard(self)
        gateway.stats.connections -= 1
        by = "server" if self._closed_by_us else "client"
        code = self._closed_by_us or self._socket.close_code
        gateway.stats.closes[f"{by} {code}"] += 1
        for task in self._tasks:
            task.cancel()
        if session and session.holder is self:
            session.holder = None
            session.detached_at = gateway.clock()
            if not self._closed_by_us and code in _ENDING_CODES:
                gateway.end(session)
