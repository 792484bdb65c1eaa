"""Runs the checks behind `discordproxy doctor`: asks Discord, Redis and the board, and has the answers judged."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
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
from discordproxy_api.status.reporter import StatusDocuments
from discordproxy_ratelimit.errors import BrokerError
from discordproxy_ratelimit.route import route_of

WITHIN_S = 10.0
FRESH_S = 5.0
"""Findings are shown to everybody who asks within this time, so that asking costs Discord little."""

InspectRedis = Callable[[], Awaitable[tuple[str, list[str]] | None]]
"""Returns the server's name and version, and its problems; None when it does not answer."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What the settings say.

    Attributes:
        discord_url: base of Discord's API.
        http_proxy: the HTTP proxy that leads there, without credentials; "" for none.
        redis: where the shared server is, without secrets.
        host: address that is listened on.
        local: whether only this machine reaches it.
        encrypted, keys: whether callers have to encrypt, and to show a key or a certificate.
    """

    discord_url: str
    redis: str
    host: str
    local: bool
    encrypted: bool
    keys: bool
    http_proxy: str = ""

    @property
    def way(self) -> str:
        """How Discord is reached, in words."""
        return f"{self.discord_url} through the HTTP proxy {self.http_proxy}" if self.http_proxy else self.discord_url


@dataclass(frozen=True, slots=True)
class _Asked:
    """Discord's answer to one question; status 0 and maybe a reason when there is none.

    `edge`: it was not Discord itself that answered.
    `skew_s`: how far this machine's clock was ahead of the answer's Date, None if it had none.
    """

    http_status: int
    reason: str
    took_s: float
    reply: Reply | None = None
    skew_s: float | None = None
    edge: bool = False

    def document(self) -> dict[str, Any] | None:
        try:
            found = self.reply.document() if self.reply else None
        except orjson.JSONDecodeError:
            return None
        return found if isinstance(found, dict) else None


class Doctor:
    """Looks for problems.

    Args:
        rest: the way to Discord; each check of it costs one permit.
        status: what workers and gateway say.
        inspect_redis: looks at the shared server.
        setup: the settings that matter.
    """

    def __init__(self, rest: Rest, status: StatusDocuments, inspect_redis: InspectRedis, setup: Setup) -> None:
        self._rest, self._status, self._inspect_redis, self._setup = rest, status, inspect_redis, setup
        self._lock = asyncio.Lock()
        self._found: list[Finding] = []
        self._found_at = float("-inf")

    async def examine(self) -> list[Finding]:
        """Return what every check found."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            if loop.time() - self._found_at > FRESH_S:
                self._found = await self._examine()
                self._found_at = loop.time()
        return self._found

    async def _examine(self) -> list[Finding]:
        user, application = await self._ask("/users/@me"), await self._ask("/applications/@me")
        setup, described = self._setup, application.document()
        found = [
            findings.token(
                user.http_status, str((user.document() or {}).get("username", "")), user.took_s, edge=user.edge
            ),
            findings.reachability(user.http_status, user.reason, user.took_s, setup.way),
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
            findings.exposure(setup.host, local=setup.local, encrypted=setup.encrypted, keys=setup.keys),
        ]

    async def _redis(self) -> list[Finding]:
        seen = await self._inspect_redis()
        return [findings.no_redis(self._setup.redis)] if seen is None else findings.redis(*seen, self._setup.redis)

    async def _ask(self, path: str) -> _Asked:
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
            return _Asked(error.http_status, error.reason, loop.time() - began, edge=edge)
        return _Asked(reply.status, "", loop.time() - began, reply, _skew_s(reply))


def _skew_s(reply: Reply) -> float | None:
    dates = [value for name, value in reply.headers.items() if name.lower() == "date"]
    try:
        return time.time() - parsedate_to_datetime(dates[0]).timestamp()
    except (IndexError, ValueError):
        return None
