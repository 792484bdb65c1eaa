"""The circuit of this machine's address: Discord blocks an address that makes too many invalid requests.

All workers of an address count together (Discord's documentation: 10,000 answers of 401, 403 or 429 per ten minutes;
429s of scope `shared` do not count). Refusing early is kinder than a ban of the whole address.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from discordproxy_ratelimit.errors import BrokerUnavailable, CircuitOpen
from discordproxy_ratelimit.headers import TOO_MANY, Answer
from discordproxy_ratelimit.link import Link, Script
from discordproxy_ratelimit.metrics import Decisions

log = logging.getLogger(__name__)

BUDGET = 10_000
WARN, CAREFUL, STOP = 0.5, 0.8, 0.95
PROBE_S = 10.0


@dataclass(frozen=True, slots=True)
class CircuitState:
    """What is known about this address.

    Attributes:
        state: closed, open or half_open.
        invalid: invalid requests of the last ten minutes.
        open_for_s: seconds until a call may try again; 0 unless open.
    """

    state: str
    invalid: int
    open_for_s: float


class Circuit:
    """One address's budget of invalid requests and Cloudflare's blocks.

    Args:
        link: connection to Redis.
        key: the address's hash tag, e.g. `{dp:ip:default}`.
        channel: where all workers listen.
        clock: us; None means Redis TIME.
    """

    SCRIPT = Script("circuit")

    def __init__(
        self, link: Link, key: str, *, channel: str, decisions: Decisions, clock: Callable[[], int] | None = None
    ) -> None:
        self._link, self._channel, self._decisions, self._clock = link, channel, decisions, clock
        self._keys = [f"{key}:cells", f"{key}:breaker"]
        self._loop = asyncio.get_running_loop()
        self._open_until = 0.0
        self._half_open = False
        self._used = 0
        self._reports: set[asyncio.Task[None]] = set()
        decisions.circuit("closed")
        decisions.invalid_left(BUDGET)

    @property
    def name(self) -> str:
        """The key by which published hints name this circuit."""
        return self._keys[0]

    @property
    def state(self) -> str:
        """closed, open or half_open."""
        if self._loop.time() < self._open_until:
            return "open"
        return "half_open" if self._half_open else "closed"

    @property
    def is_careful(self) -> bool:
        """Whether calls that were refused a moment ago should not be tried again."""
        return self._used >= BUDGET * CAREFUL

    async def look(self) -> CircuitState:
        """Ask Redis for what all workers of this address know. Raises BrokerUnavailable."""
        await self._ask("count", 0)
        return CircuitState(self.state, self._used, max(0.0, self._open_until - self._loop.time()))

    async def check(self) -> None:
        """Let a call pass, or not.

        Raises:
            CircuitOpen: with the time after which one call may try.
        """
        left_s = self._open_until - self._loop.time()
        if left_s > 0:
            self._refuse("Discord's edge blocks this address", left_s)
        if self._used >= BUDGET * STOP:
            await self._ask("count", 0)
            if self._used >= BUDGET * STOP:
                self._refuse("Nearly all invalid requests Discord allows this address are used up", 60.0)
        if self._half_open and not await self._ask("probe", 0):
            self._refuse("Another call is finding out whether Discord answers again", PROBE_S)

    def _refuse(self, why: str, retry_after_s: float) -> None:
        self._decisions.refused("circuit")
        raise CircuitOpen(f"{why}; calls are held back to keep it from getting worse", retry_after_s=retry_after_s)

    def heard(self, answer: Answer) -> None:
        """Take notice of an answer; Redis is told in the background."""
        if answer.status == TOO_MANY and not answer.from_discord:
            if self.state != "open":
                log.error("Discord's edge blocks this address (429 that is not from Discord)")
            self.told(int((answer.retry_after_s or 60.0) * 1e6))
            self._report("blocked", int((answer.retry_after_s or 0) * 1e6))
        elif answer.is_invalid:
            self._report("count", 1)
        if self._half_open and answer.status and answer.from_discord:
            self._half_open = False
            self._report("works", 0)

    def told(self, open_for_us: int) -> None:
        """The circuit opened for this long, or closed (0), as another worker found out."""
        self._half_open = open_for_us > 0
        self._open_until = self._loop.time() + open_for_us / 1e6 if open_for_us else 0.0
        self._decisions.circuit(self.state)

    def _report(self, what: str, number: int) -> None:
        task = asyncio.create_task(self._quietly(what, number), name="broker-circuit")
        self._reports.add(task)
        task.add_done_callback(self._reports.discard)

    async def _quietly(self, what: str, number: int) -> None:
        try:
            await self._ask(what, number)
        except BrokerUnavailable:
            log.debug("Redis did not take the note of an invalid request")

    async def _ask(self, what: str, number: int) -> bool:
        now = str(self._clock()) if self._clock else ""
        reply = await self._link.run(self.SCRIPT, self._keys, [now, what, number, self._channel])
        before, self._used = self._used, int(reply[0])
        open_us = int(reply[1])
        if open_us:
            self._open_until = max(self._open_until, self._loop.time() + open_us / 1e6)
        self._half_open = bool(open_us) or reply[2] == 1
        self._decisions.invalid_left(max(0, BUDGET - self._used))
        self._decisions.circuit(self.state)
        if before < BUDGET * WARN <= self._used:
            log.warning("Half of the invalid requests Discord allows this address in ten minutes are used up")
        return int(reply[3]) == 1

    async def close(self) -> None:
        """Finish the reports under way."""
        await asyncio.gather(*self._reports, return_exceptions=True)
