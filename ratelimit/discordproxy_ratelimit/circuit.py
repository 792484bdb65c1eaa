"""The circuit breaker of this machine's address, which Discord blocks after too many invalid requests.

The workers of an address count together (Discord's documentation: 10,000 responses of 401, 403 or 429 per ten minutes;
429s of scope `shared` do not count). Calls are refused before Discord blocks the address. An application may use half
of what the others leave of the budget, so that an application that floods is stopped alone.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from discordproxy_ratelimit.errors import BrokerUnavailableError, CircuitOpenError, ShareUsedError
from discordproxy_ratelimit.headers import ERRORS, MIN_BLOCK_S, TOO_MANY, Answer
from discordproxy_ratelimit.metrics import Decisions
from discordproxy_ratelimit.redis.link import RedisLink, Script

log = logging.getLogger(__name__)

BUDGET = 10_000
WARN, CAREFUL, STOP = 0.5, 0.8, 0.95
PROBE_S = 10.0
CHECK_INTERVAL_S = 1.0
"""Interval at which Redis is queried whether a used-up budget has room again."""

MAX_APPS = 1_000
"""Applications whose share a worker caches; Redis stores all."""


@dataclass(frozen=True, slots=True)
class AppShare:
    """An application's use of the budget.

    Attributes:
        app: its name.
        invalid: its invalid requests, as counted with the last one.
        stopped: whether its share is used up.
    """

    app: str
    invalid: int
    stopped: bool


@dataclass(frozen=True, slots=True)
class CircuitState:
    """The state of this address.

    Attributes:
        state: closed, open or half_open.
        invalid: invalid requests of the last ten minutes.
        open_for_s: seconds until a call may try again; 0 unless open.
        since_s: seconds since it opened; 0 if it is closed.
        reason: `blocked` by Discord's edge, or `spent` if the budget is; empty if it is closed.
        apps: applications with invalid requests, the largest number first.
    """

    state: str
    invalid: int
    open_for_s: float
    since_s: float = 0.0
    reason: str = ""
    apps: tuple[AppShare, ...] = ()


@dataclass(slots=True)
class _Used:
    """Until when an application's share is used up, and when Redis was queried; loop times."""

    until: float
    checked_at: float


class Circuit:
    """One address's budget of invalid requests and Cloudflare's blocks.

    Attributes:
        is_quiet: whether nothing is restricted, so that `check` would let every call pass.
        is_careful: whether calls that were refused a moment ago should not be tried again.

    Args:
        link: connection to Redis.
        key: the address's hash tag, e.g. `{dp:ip:default}`.
        channel: that all workers subscribe to.
        decisions: the metrics.
        clock: returns us; None means Redis TIME.
    """

    SCRIPT = Script("circuit")

    def __init__(
        self, link: RedisLink, key: str, *, channel: str, decisions: Decisions, clock: Callable[[], int] | None = None
    ) -> None:
        self._link, self._channel, self._decisions, self._clock = link, channel, decisions, clock
        self._key = key
        self._loop = asyncio.get_running_loop()
        self._open_until = 0.0
        self._spent_until = 0.0
        self._checked_at = float("-inf")
        self._half_open = False
        self._used = 0
        self._shares: dict[str, _Used] = {}
        self._reports: set[asyncio.Task[None]] = set()
        self._publish_state()

    def _publish_state(self) -> None:
        self.is_quiet = not (self._half_open or self._open_until or self._spent_until or self._shares)
        self.is_careful = self._used >= BUDGET * CAREFUL
        self._decisions.invalid_left(max(0, BUDGET - self._used))
        self._decisions.circuit(self.state)

    @property
    def name(self) -> str:
        """The key by which published hints name this circuit."""
        return f"{self._key}:cells"

    @property
    def state(self) -> str:
        """closed, open or half_open."""
        if self._loop.time() < max(self._open_until, self._spent_until):
            return "open"
        return "half_open" if self._half_open else "closed"

    async def inspect(self) -> CircuitState:
        """Return the state that all workers of this address share. Raises BrokerUnavailableError."""
        _, since_us, apps = await self._run_script("count", 0)
        open_for_s = max(0.0, self._open_until - self._loop.time(), self._spent_until - self._loop.time())
        blocked = self._half_open or self._loop.time() < self._open_until
        reason = "" if self.state == "closed" else "blocked" if blocked else "spent"
        shares = [
            AppShare(app.decode(), int(invalid), stopped=stopped == 1)
            for app, invalid, stopped in zip(apps[::3], apps[1::3], apps[2::3], strict=True)
        ]
        return CircuitState(self.state, self._used, open_for_s, int(since_us) / 1e6, reason, tuple(shares))

    async def check(self, app: str = "") -> bool:
        """Return whether this call probes if Discord responds again; raise if it may not pass.

        Raises:
            CircuitOpenError: no call may pass, with the time after which one may probe.
            ShareUsedError: this application may not call, others may.
        """
        share, before = self._shares.get(app), self._loop.time() - CHECK_INTERVAL_S
        if (self._spent_until and self._checked_at <= before) or (share and share.checked_at <= before):
            with contextlib.suppress(BrokerUnavailableError):  # without Redis, the last known state decides
                await self._run_script("count", 0, app)
        self._check_budgets(app)
        if not self._half_open:
            return False
        probing, _, _ = await self._run_script("probe", 0)
        if not probing:
            self._refuse_probe()
        return True

    def check_again(self, app: str, *, probing: bool) -> None:
        """Raise as `check` if the state has changed while the call waited for its permit, without a query of Redis."""
        self._check_budgets(app)
        if self._half_open and not probing:
            self._refuse_probe()

    def _check_budgets(self, app: str) -> None:
        now = self._loop.time()
        if now < self._open_until:
            self._refuse("Discord's edge blocks this address", self._open_until - now)
        if now < self._spent_until:
            wait_s = min(60.0, self._spent_until - now)
            self._refuse("Nearly all invalid requests Discord allows this address are used up", wait_s)
        share = self._shares.get(app)
        if share and now < share.until:
            self._decisions.refused("share")
            text = (
                f"The application {app} has used up its share of the invalid requests (answers of 401, 403 and 429) "
                "that Discord allows this address in ten minutes; other applications go on. Look for wrong tokens, ids "
                "or permissions in its calls"
            )
            raise ShareUsedError(text, retry_after_s=min(60.0, share.until - now))

    def _refuse_probe(self) -> None:
        self._refuse("Another call probes whether Discord responds again", PROBE_S)

    def _refuse(self, why: str, retry_after_s: float) -> None:
        self._decisions.refused("circuit")
        raise CircuitOpenError(
            f"{why}; calls are refused so that the block does not become longer", retry_after_s=retry_after_s
        )

    def observe(self, answer: Answer, app: str = "") -> None:
        """Count a response to an application; it is reported to Redis in the background."""
        if answer.status < ERRORS and not self._half_open:
            return
        if answer.status == TOO_MANY and not answer.from_discord:
            if self.state != "open":
                log.error("Discord's edge blocks this address (429 that is not from Discord)")
            self.on_change(int(max(MIN_BLOCK_S, answer.retry_after_s or 0.0) * 1e6))
            self._report("blocked", int((answer.retry_after_s or 0) * 1e6), app)
        elif answer.is_invalid:
            self._report("count", 1, app)
        if self._half_open and answer.status and answer.from_discord:
            self._half_open = False
            self._report("works", 0, app)

    def on_change(self, open_for_us: int) -> None:
        """Set the state that another worker has found: open for this long, or closed (0)."""
        self._half_open = open_for_us > 0
        self._open_until = self._loop.time() + open_for_us / 1e6 if open_for_us else 0.0
        self._publish_state()

    def _report(self, what: str, number: int, app: str) -> None:
        task = asyncio.create_task(self._send_report(what, number, app), name="broker-circuit")
        self._reports.add(task)
        task.add_done_callback(self._reports.discard)

    async def _send_report(self, what: str, number: int, app: str) -> None:
        try:
            await self._run_script(what, number, app)
        except BrokerUnavailableError:
            log.debug("Redis is unavailable for the report of an invalid request")

    async def _run_script(self, what: str, number: int, app: str = "") -> tuple[bool, bytes, list[Any]]:
        """Run the script; return whether this call may probe, the us since the circuit opened, and the applications."""
        clock = str(self._clock()) if self._clock else ""
        keys = [f"{self._key}:{part}" for part in ("cells", "breaker", f"cells:{app}", "apps")]
        arguments = [clock, what, number, self._channel, app, int(BUDGET * STOP)]
        used, open_us, half_open, may_probe, spent_us, own_us, since_us, apps = await self._link.run(
            self.SCRIPT, keys, arguments
        )
        now, before, self._used = self._loop.time(), self._used, int(used)
        if int(open_us):
            self._open_until = max(self._open_until, now + int(open_us) / 1e6)
        self._half_open = bool(int(open_us)) or half_open == 1
        if int(spent_us) and now >= self._spent_until:
            log.error(
                "Nearly all invalid requests that Discord allows this address are used up: no request is sent for now"
            )
        self._spent_until, self._checked_at = now + int(spent_us) / 1e6 if int(spent_us) else 0.0, now
        if app:
            self._learn_share(app, int(own_us), now)
        self._publish_state()
        if before < BUDGET * WARN <= self._used:
            log.warning("Half of the invalid requests that Discord allows this address in ten minutes are used up")
        return int(may_probe) == 1, since_us, apps

    def _learn_share(self, app: str, own_us: int, now: float) -> None:
        if not own_us:
            self._shares.pop(app, None)
            return
        if app not in self._shares:
            log.error(
                "The application %s has used up its share of the invalid requests; its calls are refused for now", app
            )
        if len(self._shares) >= MAX_APPS:
            self._shares = {name: share for name, share in self._shares.items() if now < share.until}
        self._shares[app] = _Used(now + own_us / 1e6, now)

    async def close(self) -> None:
        """Finish the reports in flight."""
        await asyncio.gather(*self._reports, return_exceptions=True)
