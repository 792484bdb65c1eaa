"""Runs the checks of `discordproxy doctor`."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import ANSWERED_BY, ApiError
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.discord.request import Reply, RestRequest
from discordproxy_api.discord.rest import Rest
from discordproxy_api.status import findings
from discordproxy_api.status.findings import Finding
from discordproxy_api.status.status_reader import StatusReader
from discordproxy_ratelimit.errors import BrokerError
from discordproxy_ratelimit.route import route_of

WITHIN_S, CONNECT_S = 10.0, 2.0
FRESH_S = 5.0
"""Findings are returned to all callers within this time, which limits the requests to Discord."""

InspectRedis = Callable[[], Awaitable[tuple[str, list[str]] | None]]
"""Returns the server's name and version, and its problems; None if it does not answer."""


@dataclass(frozen=True, slots=True)
class Setup:
    """The settings that the checks need.

    Attributes:
        discord_url: base of Discord's API.
        http_proxy: URL of the HTTP proxy to Discord, without credentials; "" for none.
        redis: URL of the shared server, without secrets.
        host: address that the worker listens on.
        local: whether that is a loopback address.
        rest_port: of Discord's HTTP API, None for none.
        encrypted, keys: whether TLS and a key or client certificate are required.
        file_problems: returns the problems of the files of certificates and keys.
    """

    discord_url: str
    redis: str
    host: str
    local: bool
    encrypted: bool
    keys: bool
    http_proxy: str = ""
    rest_port: int | None = None
    file_problems: Callable[[], Iterable[str]] = tuple

    @property
    def discord(self) -> str:
        """Discord's URL and the HTTP proxy, as text."""
        return f"{self.discord_url} through the HTTP proxy {self.http_proxy}" if self.http_proxy else self.discord_url


@dataclass(frozen=True, slots=True)
class _Response:
    """Discord's response to one request; status 0 and a reason if there is none.

    Attributes:
        skew_s: seconds that this machine's clock is ahead of the Date header, None without one.
        edge: the response came from Discord's edge or a proxy.
        problem: text of the error in place of a response.
    """

    http_status: int
    reason: str
    took_s: float
    reply: Reply | None = None
    skew_s: float | None = None
    edge: bool = False
    problem: str = ""

    def document(self) -> dict[str, Any] | None:
        try:
            found = self.reply.document() if self.reply else None
        except orjson.JSONDecodeError:
            return None
        return found if isinstance(found, dict) else None


class Doctor:
    """Runs the checks.

    Args:
        rest: sends the requests to Discord, each with a permit.
        status: reads the status of workers and gateways.
        inspect_redis: checks the shared server.
        setup: the relevant settings.
    """

    def __init__(self, rest: Rest, status: StatusReader, inspect_redis: InspectRedis, setup: Setup) -> None:
        self._rest, self._status, self._inspect_redis, self._setup = rest, status, inspect_redis, setup
        self._lock = asyncio.Lock()
        self._found: list[Finding] = []
        self._found_at = float("-inf")

    async def examine(self) -> list[Finding]:
        """Return the findings of all checks."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            if loop.time() - self._found_at > FRESH_S:
                self._found = await self._examine()
                self._found_at = loop.time()
        return self._found

    async def _examine(self) -> list[Finding]:
        user, application = await self._get("/users/@me"), await self._get("/applications/@me")
        setup, described = self._setup, application.document()
        found = [
            findings.token(
                user.http_status, str((user.document() or {}).get("username", "")), user.took_s, edge=user.edge
            ),
            findings.reachability(user.http_status, user.reason, user.took_s, setup.discord, user.problem),
            *await self._redis(),
            findings.clock(user.skew_s, "Discord"),
        ]
        try:
            document = await self._status.read()
        except BrokerError:
            return found
        return [
            *found,
            findings.clock(time.time() - document["at"], "Redis"),
            findings.workers(document),
            *(findings.gateway(bot["gateway"], bot["bot"]) for bot in document["bots"]),
            findings.intents(document["bots"][0]["gateway"]["intents"], described),
            *findings.interactions(described),
            findings.circuit(document),
            *findings.calls(document),
            findings.tls(setup.host, local=setup.local, encrypted=setup.encrypted, keys=setup.keys),
            *findings.files(setup.file_problems()),
            *await self._rest_port(document["doors"].get("http", 0)),
        ]

    async def _rest_port(self, calls: int) -> list[Finding]:
        setup = self._setup
        if setup.rest_port is None:
            return []
        is_open = await accepts_connections(setup.host, setup.rest_port)
        return [findings.rest(setup.host, setup.rest_port, is_open=is_open, encrypted=setup.encrypted, calls=calls)]

    async def _redis(self) -> list[Finding]:
        seen = await self._inspect_redis()
        return [findings.no_redis(self._setup.redis)] if seen is None else findings.redis(*seen, self._setup.redis)

    async def _get(self, path: str) -> _Response:
        loop = asyncio.get_running_loop()
        began = loop.time()
        request = RestRequest("GET", path, route_of("GET", path, {}), repeat=Repeat.NEVER)
        call = Call(
            rpc="Doctor",
            app="doctor",
            request_id=secrets.token_hex(8),
            deadline_at=began + WITHIN_S,
            max_wait_s=WITHIN_S / 2,
        )
        try:
            reply = await self._rest.send(request, call)
        except ApiError as error:
            edge = ANSWERED_BY in error.extras
            return _Response(error.http_status, error.reason, loop.time() - began, edge=edge, problem=str(error))
        return _Response(reply.status, "", loop.time() - began, reply, _skew_s(reply))


async def accepts_connections(host: str, port: int) -> bool:
    """Return whether a port of this machine accepts connections; `host` is the address that it is bound to."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "localhost"}.get(host, host)
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(reachable, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _skew_s(reply: Reply) -> float | None:
    dates = [value for name, value in reply.headers.items() if name.lower() == "date"]
    try:
        return time.time() - parsedate_to_datetime(dates[0]).timestamp()
    except (IndexError, ValueError):
        return None
