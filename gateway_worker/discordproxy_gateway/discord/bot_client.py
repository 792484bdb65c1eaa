"""Opens the bot's connections with discord.py's client, and describes how each one ended.

Private names of discord.py that are touched here are pinned by tests/contract/libraries/test_discord_py.py.
"""

import asyncio
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import aiohttp
import discord
import yarl
from discord.gateway import ReconnectWebSocket
from discord.http import Route

from discordproxy_gateway.discord.discord_socket import SILENCE_S, Opening, Socket, SocketListener, opening_now
from discordproxy_gateway.discord.gateway_info import GatewayInfo, read_info
from discordproxy_gateway.discord.inflate import UnreadableError
from discordproxy_gateway.discord.reconnect import ConnectionEnd
from discordproxy_gateway.discord.request_errors import advised_wait_s, describe
from discordproxy_gateway.discord.session import Session
from discordproxy_gateway.request_permits import RequestPermits
from discordproxy_ratelimit.process.http_proxy import http_proxy_for

HANDSHAKE_S = 30.0
"""Time limit for opening the socket up to IDENTIFY or RESUME."""

CALLBACK_S = 3.0
"""Discord rejects a later first response."""

MAX_RATE_LIMIT_S = 30.0
"""A request does not wait for a longer rate limit."""

_ORDERLY = 1000
_LOST = 1006  # code of a websocket that ended without a close frame


class BotClient(discord.Client):
    """discord.py's client as a connection factory: no object caches, no listeners, our REST base.

    Args:
        intents: the number Discord takes.
        rest_url: base of Discord's REST API, version included.
        silence_s: a connection without a message for this long counts as dead.
        permits: takes a permit before each request with the bot's token; None for none.
    """

    def __init__(
        self, *, intents: int, rest_url: str, silence_s: float = SILENCE_S, permits: RequestPermits | None = None
    ) -> None:
        Route.BASE = rest_url
        flags = discord.Intents.none()
        flags.value = intents
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # voice is not used
        super().__init__(
            intents=flags,
            max_messages=None,
            chunk_guilds_at_startup=False,
            member_cache_flags=discord.MemberCacheFlags.none(),
            max_ratelimit_timeout=MAX_RATE_LIMIT_S,
            heartbeat_timeout=silence_s,
            http_trace=permits.trace() if permits else None,  # type: ignore[arg-type] # None is its default
        )
        self._callbacks: aiohttp.ClientSession | None = None
        self._connection.parsers = {}
        self._rest_url = rest_url
        self.use_proxy_for(rest_url)

    def use_proxy_for(self, url: str) -> None:
        """Send the next request of the library through the environment's HTTP proxy for `url`, others as before."""
        proxy = http_proxy_for(url)
        self.http.proxy = proxy.url if proxy else None
        if url != self._rest_url:  # the library reads the attributes before it first waits
            asyncio.get_running_loop().call_soon(self.use_proxy_for, self._rest_url)

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        """Do nothing: events leave through the socket's listener."""

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:  # noqa: ARG002 - signature of the library
        """Call the listener; the library calls this right before it sends IDENTIFY."""
        await opening_now.get().listener.before_identify()

    async def log_in(self, token: str) -> dict[str, Any]:
        """Log in and return the bot's user.

        Raises:
            discord.LoginFailure: the token is not accepted.
            Exception: the answer is missing or malformed.
        """
        await self._async_setup_hook()
        user: Any = await self.http.static_login(token)
        if not isinstance(user, dict) or "id" not in user:
            raise ValueError("the answer is no user")
        return user

    async def gateway_info(self, url: str = "") -> GatewayInfo:
        """Return the answer to GET /gateway/bot; `url` replaces its address. Raises on a malformed answer."""
        return read_info(await self.http.request(Route("GET", "/gateway/bot")), url=url)

    async def respond(self, interaction_id: str, token: str, body: dict[str, Any]) -> None:
        """Send the first response to an interaction; raises one of REQUEST_ERRORS.

        Callbacks are outside the bot's global limit (Discord: receiving and responding), so no permit is needed; they
        would count if the bot's token came with them.
        """
        path = f"interactions/{quote(interaction_id, safe='')}/{quote(token, safe='')}/callback"
        if self._callbacks is None:
            timeout, proxy = aiohttp.ClientTimeout(total=CALLBACK_S), http_proxy_for(self._rest_url)
            self._callbacks = aiohttp.ClientSession(
                timeout=timeout,
                headers={"User-Agent": self.http.user_agent},
                proxy=proxy.url if proxy else None,
            )
        url = yarl.URL(f"{Route.BASE}/{path}", encoded=True)
        async with self._callbacks.post(url, json=body, raise_for_status=True):
            return

    async def interactions_endpoint(self) -> str:
        """Return the URL that Discord sends interactions to instead of the gateway, or ""; raises REQUEST_ERRORS."""
        self.use_proxy_for(self._rest_url)
        application: Any = await self.http.request(Route("GET", "/applications/@me"))
        return str(application.get("interactions_endpoint_url") or "") if isinstance(application, dict) else ""

    async def close(self) -> None:
        """Close all connections."""
        if self._callbacks is not None:
            await self._callbacks.close()
        await super().close()

    def set_shard_count(self, shard_count: int) -> None:
        """Send this number of shards with every IDENTIFY from now on."""
        self._connection.shard_count = shard_count


class NoConnectionError(Exception):
    """No connection came about; `end` has the reason."""

    def __init__(self, end: ConnectionEnd) -> None:
        super().__init__(end.reason)
        self.end = end


async def connect(
    bot: BotClient,
    listener: SocketListener,
    *,
    shard_id: int,
    gateway: str,
    session: Session | None,
    compress: bool = True,
) -> Socket:
    """Open a socket and send RESUME for `session`, or IDENTIFY when there is none.

    Raises:
        NoConnectionError: no connection came about, no socket is left open.
        whatever the listener raises; same.
    """
    opening = Opening(listener)
    context = opening_now.set(opening)
    try:
        async with asyncio.timeout(HANDSHAKE_S):
            url = session.resume_url if session else gateway
            bot.use_proxy_for(url)
            socket = await Socket.from_client(
                bot,
                gateway=yarl.URL(url),
                shard_id=shard_id,
                session=session.id if session else None,
                sequence=session.sequence if session else None,
                resume=session is not None,
                compress=compress,
            )
            socket.prepare_reading()
            return socket
    except BaseException as error:
        if opening.socket is not None:
            await opening.socket.close_resumable()
        if isinstance(error, CONNECTION_ERRORS):
            raise NoConnectionError(replace(end_of(error, opening.socket), established=False)) from error
        raise
    finally:
        opening_now.reset(context)


REQUEST_ERRORS = (discord.HTTPException, discord.GatewayNotFound, aiohttp.ClientError, OSError, TimeoutError)
"""Errors of a request to Discord."""

CONNECTION_ERRORS = (ReconnectWebSocket, discord.ConnectionClosed, UnreadableError, *REQUEST_ERRORS)
"""Errors with which connecting and reading end."""


def end_of(error: BaseException, socket: Socket | None) -> ConnectionEnd:
    """Return how the connection ended; `socket` is None if none came about."""
    if isinstance(error, discord.ConnectionClosed):
        return ConnectionEnd("closed by Discord", error.code)
    if isinstance(error, UnreadableError):
        return ConnectionEnd(str(error), unreadable=True)
    if not isinstance(error, ReconnectWebSocket):
        return ConnectionEnd(describe(error), wait_s=advised_wait_s(error))
    if not error.resume:
        return ConnectionEnd("session invalid", session_gone=True)
    return ConnectionEnd(socket.close_reason) if socket is not None and socket.close_reason else _closed(socket)


def _closed(socket: Socket | None) -> ConnectionEnd:
    """Return how the other side ended the connection."""
    code = socket.socket.close_code if socket else None
    if code in {None, _LOST}:
        return ConnectionEnd("connection lost")
    # aiohttp shows the end of a TCP connection without a close frame like an orderly close.
    return ConnectionEnd("closed without an error" if code == _ORDERLY else "closed by Discord", code)
