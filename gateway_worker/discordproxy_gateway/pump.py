"""The bot's websocket: discord.py's socket without its objects. Events come out as Discord's JSON, in order.

Private names of discord.py that are touched here are pinned by tests/contract/test_discord_py.py.
"""

import asyncio
import contextlib
import random
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

import aiohttp
import discord
import yarl
from discord.gateway import DiscordWebSocket, KeepAliveHandler, ReconnectWebSocket
from discord.http import Route

from discordproxy_gateway.dispatch import Dispatch
from discordproxy_gateway.inflate import Inflate, UnreadableError
from discordproxy_gateway.reconnect import End
from discordproxy_gateway.session import Session
from discordproxy_ratelimit.headers import TOO_MANY, read_answer
from discordproxy_ratelimit.http_proxy import http_proxy_for

HANDSHAKE_S = 30.0
"""Bound of opening the socket up to IDENTIFY or RESUME."""

CLOSE_S = 1.0
"""Bound of waiting for Discord to confirm a close."""

SILENCE_S = 60.0
"""A connection on which nothing came for so long is dead: a heartbeat was due meanwhile, and with it an answer."""

CALLBACK_S = 3.0
"""Discord takes no first response later than that."""

_OF_SESSIONS = frozenset({"READY", "RESUMED"})

HAND_OVER = 4000
"""Close code that keeps the session for a successor; 1000 and 1001 would end it (Discord: gateway, disconnecting)."""


class Link(Protocol):
    """What a connection needs from the worker."""

    async def receive(self, event: Dispatch) -> None:
        """Take an event; awaiting here stops the reading, so that TCP holds Discord back."""

    async def alive(self, latency_s: float) -> None:
        """Discord confirmed a heartbeat."""

    def resuming(self) -> None:
        """Called right before RESUME is sent; raises if this process may no longer speak for the shard."""

    async def identifying(self) -> None:
        """Called right before IDENTIFY is sent; raises if this process may no longer speak for the shard."""


@dataclass(slots=True)
class _Opening:
    link: Link
    socket: "Socket | None" = None


_opening: ContextVar[_Opening] = ContextVar("opening")  # from_client makes the socket and offers no argument for it


class Bot(discord.Client):
    """discord.py's client as a connection factory: no object caches, no listeners, our REST base.

    Args:
        intents: the number Discord takes.
        rest_url: base of Discord's REST API, version included.
        silence_s: after this time without a word a connection counts as dead.
    """

    def __init__(self, *, intents: int, rest_url: str, silence_s: float = SILENCE_S) -> None:
        Route.BASE = rest_url
        flags = discord.Intents.none()
        flags.value = intents
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # nobody speaks here
        super().__init__(
            intents=flags,
            max_messages=None,
            chunk_guilds_at_startup=False,
            member_cache_flags=discord.MemberCacheFlags.none(),
            heartbeat_timeout=silence_s,
        )
        self._callbacks: aiohttp.ClientSession | None = None
        self._connection.parsers = {}
        self._rest_url = rest_url
        self.take_proxy_for(rest_url)

    def take_proxy_for(self, url: str) -> None:
        """Send the next request of the library through the environment's HTTP proxy for `url`, others as before."""
        proxy = http_proxy_for(url)
        self.http.proxy = proxy.url if proxy else None
        if url != self._rest_url:  # the library reads the attributes before it first waits
            asyncio.get_running_loop().call_soon(self.take_proxy_for, self._rest_url)

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        """Do nothing: events leave through the socket's link."""

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:  # noqa: ARG002 - signature of the library
        """Ask the link; the library calls this right before it sends IDENTIFY."""
        await _opening.get().link.identifying()

    async def log_in(self, token: str) -> dict[str, Any]:
        """Ask Discord who the bot is and return its user.

        Raises:
            discord.LoginFailure: the token is not accepted.
            discord.HTTPException, OSError, asyncio.TimeoutError: Discord did not answer properly.
        """
        await self._async_setup_hook()
        user: dict[str, Any] = await self.http.static_login(token)  # type: ignore[assignment]
        return user

    async def respond(self, interaction_id: str, token: str, body: dict[str, Any]) -> None:
        """Send the first response to an interaction; raises one of REFUSALS.

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
        """Return the address Discord sends interactions to instead of the gateway, "" for none; raises REFUSALS."""
        self.take_proxy_for(self._rest_url)
        application = await self.http.request(Route("GET", "/applications/@me"))
        return application.get("interactions_endpoint_url") or ""

    async def close(self) -> None:
        """Close all connections."""
        if self._callbacks is not None:
            await self._callbacks.close()
        await super().close()

    def use_shards(self, shard_count: int) -> None:
        """Tell Discord of so many shards in every IDENTIFY from now on."""
        self._connection.shard_count = shard_count


class Socket(DiscordWebSocket):
    """Passes every event on, and counts in heartbeats only what has been stored."""

    _first_beat: asyncio.Task[None] | None = None
    _silence_s = SILENCE_S
    _stored: int | None = None
    _reading = False
    _seen_ack = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        opening = _opening.get()
        opening.socket = self
        self.link = opening.link
        super().__init__(*args, **kwargs)
        self._inflate = Inflate(self._decompressor)

    @property
    def sequence(self) -> int | None:
        """The sequence for heartbeats and RESUME: that of the last event that is stored."""
        return self._stored

    @sequence.setter
    def sequence(self, value: int | None) -> None:
        if not self._reading:  # from_client hands over the sequence to resume from
            self._stored = value

    def stored(self, sequence: int) -> None:
        """Note that all events up to `sequence` are stored."""
        self._stored = sequence

    async def received_message(self, msg: Any, /) -> None:
        """Read one message: an event goes to the link, the rest is discord.py's, and what it must know of a session."""
        self._reading = True
        come = self._inflate.read(msg)
        if come is None:  # the rest of it is still to come
            return
        text, message = come
        name = message.get("t")
        if name is None or name in _OF_SESSIONS:
            await super().received_message(text if isinstance(text, str) else text.decode())
        elif self._keep_alive is not None:
            self._keep_alive.tick()
        if name is not None:
            await self.link.receive(Dispatch(name, message["d"], message["s"], self.loop.time()))
        elif self._keep_alive is not None and self._keep_alive._last_ack != self._seen_ack:  # noqa: SLF001 - pinned
            first, self._seen_ack = not self._seen_ack, self._keep_alive._last_ack  # noqa: SLF001 - pinned
            if not first:  # the thread is created with a time in it, which is no answer yet
                await self.link.alive(self._keep_alive.latency)

    async def send_as_json(self, data: Any) -> None:
        """Send a message; the first heartbeat, for which the library is in a hurry, waits a part of the interval.

        Discord wants a random part (gateway, sending heartbeats): after an outage everybody connects at once.
        """
        if data.get("op") == self.HEARTBEAT and self._first_beat is None and self._keep_alive is not None:
            self._first_beat = asyncio.create_task(self._beat_later(self._keep_alive), name="gateway-first-beat")
            return
        await super().send_as_json(data)

    async def send_heartbeat(self, data: Any) -> None:
        """Send a heartbeat of the library's thread, which itself notes the time when a quick answer may have come."""
        if self._keep_alive is not None:
            self._keep_alive._last_send = time.perf_counter()  # noqa: SLF001 - pinned
        await super().send_heartbeat(data)

    async def _beat_later(self, keep_alive: KeepAliveHandler) -> None:
        await asyncio.sleep(random.random() * (keep_alive.interval or 0.0))  # noqa: S311 - spreads load
        keep_alive._last_send = time.perf_counter()  # noqa: SLF001 - pinned
        with contextlib.suppress(discord.ConnectionClosed, OSError):
            await super().send_as_json(keep_alive.get_payload())

    def trust_the_watch(self) -> None:
        """Read without a time limit from now on: one for each message costs more than reading it. See `watch`."""
        self._silence_s, self._max_heartbeat_timeout = self._max_heartbeat_timeout, 0.0

    async def watch(self) -> None:
        """Close the connection once nothing has come for too long; reading ends with it."""
        while (keep_alive := self._keep_alive) is not None:
            left_s = keep_alive._last_recv + self._silence_s - time.perf_counter()  # noqa: SLF001 - pinned
            if left_s <= 0:
                await self.leave()
                return
            await asyncio.sleep(left_s)

    async def resume(self) -> None:
        """Send RESUME, unless the lease was lost while the socket was opened."""
        self.link.resuming()
        await super().resume()

    async def leave(self, code: int = HAND_OVER) -> None:
        """Close with `code`; a peer that does not confirm in time is left without a word."""
        if self._first_beat is not None:
            self._first_beat.cancel()
        with contextlib.suppress(TimeoutError, OSError, discord.ConnectionClosed):
            async with asyncio.timeout(CLOSE_S):
                await self.close(code)


async def connect(bot: Bot, link: Link, *, shard_id: int, gateway: str, session: Session | None) -> Socket:
    """Open a socket and send RESUME for `session`, or IDENTIFY when there is none.

    Raises:
        whatever the link raises, and what `end_of` understands: no connection came about, no socket is left open.
    """
    opening = _Opening(link)
    context = _opening.set(opening)
    try:
        async with asyncio.timeout(HANDSHAKE_S):
            url = session.resume_url if session else gateway
            bot.take_proxy_for(url)
            socket = await Socket.from_client(
                bot,
                gateway=yarl.URL(url),
                shard_id=shard_id,
                session=session.id if session else None,
                sequence=session.sequence if session else None,
                resume=session is not None,
            )
            socket.trust_the_watch()
            return socket
    except BaseException:
        if opening.socket is not None:
            await opening.socket.leave()
        raise
    finally:
        _opening.reset(context)


REFUSALS = (discord.HTTPException, discord.GatewayNotFound, aiohttp.ClientError, OSError, TimeoutError)
"""What a request to Discord raises."""

EDGE_WAIT_S = 60.0
"""How long to stay away from Discord's edge at least once it has refused this machine's address."""


def wait_asked_for(error: BaseException) -> float:
    """Return for how many seconds a refused request must not be repeated, 0 if it may be."""
    if not isinstance(error, discord.HTTPException) or error.status != TOO_MANY:
        return 0.0
    answer = read_answer(error.status, error.response.headers, error.text.encode())
    return max(answer.retry_after_s or 1.0, 0.0 if answer.from_discord else EDGE_WAIT_S)


ENDINGS = (ReconnectWebSocket, discord.ConnectionClosed, UnreadableError, *REFUSALS)
"""What connecting and reading raise when a connection ends, or does not come about."""


def end_of(error: BaseException, socket: Socket | None) -> End:
    """Say how the connection ended; `socket` is None if none came about."""
    if isinstance(error, discord.ConnectionClosed):
        return End("closed by Discord", error.code)
    if isinstance(error, UnreadableError):
        return End(str(error))
    if not isinstance(error, ReconnectWebSocket):
        return End(type(error).__name__)
    if not error.resume:
        return End("session invalid", session_gone=True)
    code = socket.socket.close_code if socket else None
    # Our own close stands for RECONNECT, for an invalid session that can be resumed, and for silence.
    return End("reconnect asked") if code in {None, HAND_OVER} else End("closed by Discord", code)
