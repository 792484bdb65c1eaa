"""A fake Discord gateway for fault tests: counts connections, IDENTIFYs and RESUMEs, and injects faults."""

import asyncio
import contextlib
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
import zstandard
from aiohttp import WSMsgType, web

TOKEN = "MTAwMDAwMDAwMDAwMDAwMDAx.x.fake-token-of-the-tests"
BOT = {"id": "100000000000000001", "username": "bot", "discriminator": "0000", "avatar": None, "bot": True}


@dataclass
class FakeSession:
    """A session with all its events; `socket` is None while no client is connected."""

    id: str
    shard: tuple[int, int]
    intents: int
    sequence: int = 0
    events: list[bytes] = field(default_factory=list)
    socket: "FakeSocket | None" = None


class FakeSocket:
    """One websocket, with Discord's compression on request."""

    def __init__(self, response: web.WebSocketResponse, compression: str | None) -> None:
        self.response = response
        self._pack = _PACKERS[compression]() if compression else None
        self._lock = asyncio.Lock()

    async def send(self, message: bytes) -> None:
        async with self._lock:
            with contextlib.suppress(ConnectionError):
                if self._pack is None:
                    await self.response.send_str(message.decode())
                else:
                    await self.response.send_bytes(self._pack(message))


def _zlib_stream() -> Callable[[bytes], bytes]:
    stream = zlib.compressobj()
    return lambda message: stream.compress(message) + stream.flush(zlib.Z_SYNC_FLUSH)


def _zstd_stream() -> Callable[[bytes], bytes]:
    stream = zstandard.ZstdCompressor().compressobj()
    return lambda message: stream.compress(message) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)


_PACKERS = {"zlib-stream": _zlib_stream, "zstd-stream": _zstd_stream}


class FakeGateway:
    """`async with FakeGateway() as discord`; listens on a free port of the loopback interface.

    Attributes:
        guilds: the guilds of a new session, one GUILD_CREATE each.
        members: guild id -> members for op 8.
        callback_status: HTTP status of the response to interaction callbacks.
        identify_answer: close code sent instead of READY; None sends READY.
        compression: overrides the requested compression; "" for none, None for the requested one.
        garbled: compressed streams start with invalid bytes.
        seen: counts of connections, identifies, resumes, refused_resumes, heartbeats, chunk_requests, logins, rest.
        most_at_once: maximum of simultaneously connected sessions.
    """

    def __init__(self, *, heartbeat_s: float = 30.0) -> None:
        self.guilds: dict[str, dict[str, Any]] = {}
        self.members: dict[str, list[dict[str, Any]]] = {}
        self.identify_answer: int | None = None
        self.compression: str | None = None
        self.garbled = False
        self.shards = 1
        self.identifies_left = 1000
        self.max_concurrency = 1
        self.rate_limit_chunks: float | None = None
        self.seen: Counter[str] = Counter()
        self.most_at_once = 0
        self.sessions: dict[str, FakeSession] = {}
        self.heartbeats: list[int | None] = []
        self.callbacks: list[tuple[str, dict[str, Any]]] = []
        self.callback_status = 204
        self.interactions_endpoint: str | None = None
        self.close_codes: list[int | None] = []
        self.chunked: list[str] = []
        self._heartbeat_s = heartbeat_s
        self._changed = asyncio.Event()
        self._handlers: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        application = web.Application(middlewares=[self._count])
        application.add_routes(
            [
                web.get("/api/v10/users/@me", self._me),
                web.get("/api/v10/gateway/bot", self._gateway_bot),
                web.get("/api/v10/applications/@me", self._application),
                web.get("/api/v10/channels/{channel_id}", self._unknown_channel),
                web.post("/api/v10/interactions/{id}/{token}/callback", self._callback),
                web.get("/{where:gateway|resume}", self._websocket),
                web.get("/{where:gateway|resume}/", self._websocket),
            ]
        )
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in self.sessions.values():
            if session.socket:
                self._abort(session.socket)
        await self._runner.cleanup()

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v10"

    @property
    def live(self) -> list[FakeSession]:
        """The connected sessions."""
        return [session for session in self.sessions.values() if session.socket]

    async def until(self, condition: Any, within_s: float = 60.0) -> None:
        """Return once `condition()` is true; it is checked after every message and every 20 ms."""
        async with asyncio.timeout(within_s):
            while not condition():
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), 0.02)

    async def emit(self, name: str, data: dict[str, Any]) -> None:
        """Send an event to every session; a disconnected one gets it on RESUME."""
        for session in list(self.sessions.values()):
            await self._dispatch(session, name, data)

    async def abort(self) -> None:
        """Abort every connection without a close frame."""
        for session in self.live:
            self._abort(session.socket)
            session.socket = None

    async def close(self, code: int) -> None:
        """Close every connection with `code`."""
        for session in self.live:
            socket, session.socket = session.socket, None
            await socket.response.close(code=code)

    async def babble(self, message: bytes) -> None:
        """Send invalid messages."""
        for session in self.live:
            await session.socket.send(message)

    async def interfere(self) -> None:
        """Send bytes outside the compressed stream."""
        for session in self.live:
            await session.socket.response.send_bytes(b"\x00 no part of it \x00\x00\xff\xff")

    async def ask_reconnect(self) -> None:
        """Op 7."""
        for session in self.live:
            await session.socket.send(orjson.dumps({"op": 7, "d": None}))

    async def invalidate(self, *, resumable: bool) -> None:
        """Op 9; sessions that are not resumable are deleted."""
        for session in self.live:
            if not resumable:
                del self.sessions[session.id]
            await session.socket.send(orjson.dumps({"op": 9, "d": resumable}))

    def _abort(self, socket: FakeSocket) -> None:
        transport = socket.response._req.transport
        if transport is not None:
            transport.abort()

    def _json(self, document: Any, status: int = 200) -> web.Response:
        # discord.py reads JSON only if the type has no charset.
        return web.Response(body=orjson.dumps(document), status=status, headers={"Content-Type": "application/json"})

    @web.middleware
    async def _count(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.seen["rest"] += request.path.startswith("/api/")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _me(self, request: web.Request) -> web.Response:
        self.seen["logins"] += 1
        if request.headers.get("Authorization") != f"Bot {TOKEN}":
            return self._json({"message": "401: Unauthorized", "code": 0}, 401)
        return self._json(BOT)

    async def _gateway_bot(self, request: web.Request) -> web.Response:
        limit = {
            "total": 1000,
            "remaining": self.identifies_left,
            "reset_after": 0
            if self.identifies_left == 1000
            else 3_600_000,  # Discord returns 0 without recent IDENTIFYs
            "max_concurrency": self.max_concurrency,
        }
        url = f"ws://127.0.0.1:{self.port}/gateway"
        return self._json({"url": url, "shards": self.shards, "session_start_limit": limit})

    async def _unknown_channel(self, _request: web.Request) -> web.Response:
        return self._json({"message": "Unknown Channel", "code": 10003}, 404)

    async def _application(self, _request: web.Request) -> web.Response:
        return self._json({"id": BOT["id"], "interactions_endpoint_url": self.interactions_endpoint})

    async def _callback(self, request: web.Request) -> web.Response:
        assert "Authorization" not in request.headers, "with the bot's token, a callback counts as a global call"
        self.callbacks.append((request.match_info["id"], orjson.loads(await request.read())))
        self._changed.set()
        return web.Response(status=self.callback_status)

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        self.seen["connections"] += 1
        response = web.WebSocketResponse(max_msg_size=0)
        await response.prepare(request)
        compression = request.query.get("compress") if self.compression is None else self.compression
        socket = FakeSocket(response, compression)
        if self.garbled and compression:
            await response.send_bytes(b"\x00 no part of a stream \x00\x00\xff\xff")
        await socket.send(orjson.dumps({"op": 10, "d": {"heartbeat_interval": round(self._heartbeat_s * 1000)}}))
        session: FakeSession | None = None
        async for message in response:
            if message.type is not WSMsgType.TEXT:
                break
            payload = orjson.loads(message.data)
            session = await self._handle(socket, session, payload["op"], payload.get("d")) or session
            self._changed.set()
        if session and session.socket is socket:
            session.socket = None
            if response.close_code in {1000, 1001}:
                self.sessions.pop(session.id, None)
        self.close_codes.append(response.close_code)
        self._changed.set()
        return response

    async def _handle(self, socket: FakeSocket, session: FakeSession | None, op: int, data: Any) -> FakeSession | None:
        match op:
            case 1:
                self.heartbeats.append(data)
                await socket.send(orjson.dumps({"op": 11}))
            case 2:
                return await self._identify(socket, data)
            case 6:
                return await self._resume(socket, data)
            case 8 if session:
                await self._chunk(session, data)
        return None

    async def _identify(self, socket: FakeSocket, data: dict[str, Any]) -> FakeSession | None:
        self.seen["identifies"] += 1
        if self.identify_answer is not None:
            await socket.response.close(code=self.identify_answer)
            return None
        shard = tuple(data.get("shard", [0, 1]))
        session = FakeSession(f"session-{len(self.close_codes)}-{self.seen['identifies']}", shard, data["intents"])
        session.socket = socket
        self.sessions[session.id] = session
        self.most_at_once = max(self.most_at_once, len(self.live))
        mine = [guild for guild in self.guilds.values() if (int(guild["id"]) >> 22) % shard[1] == shard[0]]
        ready = {
            "v": 10,
            "user": BOT,
            "session_id": session.id,
            "resume_gateway_url": f"ws://127.0.0.1:{self.port}/resume",
            "guilds": [{"id": guild["id"], "unavailable": True} for guild in mine],
            "application": {"id": BOT["id"], "flags": 0},
            "shard": list(shard),
        }
        await self._dispatch(session, "READY", ready)
        for guild in mine:
            await self._dispatch(session, "GUILD_CREATE", guild)
        return session

    async def _resume(self, socket: FakeSocket, data: dict[str, Any]) -> FakeSession | None:
        session = self.sessions.get(data["session_id"])
        if session is None or data["seq"] is None:
            self.seen["refused_resumes"] += 1
            await socket.send(orjson.dumps({"op": 9, "d": False}))
            return None
        self.seen["resumes"] += 1
        session.socket = socket
        self.most_at_once = max(self.most_at_once, len(self.live))
        for message in session.events[data["seq"] :]:
            await socket.send(message)
        await self._dispatch(session, "RESUMED", {"_trace": []})
        return session

    async def _dispatch(self, session: FakeSession, name: str, data: Any) -> None:
        session.sequence += 1
        message = orjson.dumps({"op": 0, "t": name, "s": session.sequence, "d": data})
        session.events.append(message)
        if session.socket:
            await session.socket.send(message)

    async def _chunk(self, session: FakeSession, data: dict[str, Any]) -> None:
        self.seen["chunk_requests"] += 1
        guild_id, nonce = str(data["guild_id"]), data.get("nonce")
        self.chunked.append(guild_id)
        if self.rate_limit_chunks is not None:
            limited = {
                "opcode": 8,
                "retry_after": self.rate_limit_chunks,
                "meta": {"guild_id": guild_id, "nonce": nonce},
            }
            self.rate_limit_chunks = None
            await self._dispatch(session, "RATE_LIMITED", limited)
            return
        members = self.members.get(guild_id, [])
        pages = [members[at : at + 1000] for at in range(0, len(members), 1000)] or [[]]
        for index, page in enumerate(pages):
            chunk = {
                "guild_id": guild_id,
                "members": page,
                "chunk_index": index,
                "chunk_count": len(pages),
                "nonce": nonce,
            }
            await self._dispatch(session, "GUILD_MEMBERS_CHUNK", chunk)
