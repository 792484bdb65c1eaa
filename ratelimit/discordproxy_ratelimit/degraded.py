"""The local pace of one worker while Redis is unavailable (opt-in), never faster than its share.

It allows one request in flight per lane, respects the last response's reset and every 429, and spaces this worker's
share of the global limit evenly. (With a burst allowance, one second could see nearly two seconds' worth.)
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from aiolimiter import AsyncLimiter

from discordproxy_ratelimit.errors import STOPPING, BrokerError, DrainingError, WaitRefusedError
from discordproxy_ratelimit.headers import NO_ANSWER, TOO_MANY, Answer
from discordproxy_ratelimit.permit import Permit, Verdict
from discordproxy_ratelimit.route import Route


@dataclass(slots=True)
class _Lane:
    """The lock of a lane, the number of calls that wait for it or hold it, and the loop time of the next request."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    not_before: float = 0.0


class LocalPace:
    """Permits without Redis.

    Args:
        global_limit: of the bot, per second.
        workers: how many share it.
        on_answer: called with every response of Discord and its application, for the circuit.
    """

    def __init__(self, global_limit: int, workers: int, *, on_answer: Callable[[Answer, str], None]) -> None:
        self._on_answer = on_answer
        self._spacing = AsyncLimiter(1, max(1, workers) / (0.8 * global_limit))
        self._lanes: dict[str, _Lane] = {}
        self._global_not_before = 0.0
        self._timeouts: set[asyncio.Timeout] = set()
        self._draining = False

    async def acquire(self, route: Route, *, deadline: float) -> Permit:
        """Wait until this lane is free; it stays occupied until the permit ends.

        Raises:
            WaitRefusedError: the wait exceeds the deadline.
            DrainingError: this worker stops.
        """
        lane = self._lanes.setdefault(route.lane, _Lane())
        lane.users += 1
        try:
            await self._wait(lane, route, deadline)
        except BaseException:
            self._release(route.lane, lane)
            raise
        return Permit(self, "local", route, "", 0)

    async def _wait(self, lane: _Lane, route: Route, deadline: float) -> None:
        timeout = asyncio.timeout_at(deadline)
        try:
            async with timeout:
                self._timeouts.add(timeout)
                await lane.turn.acquire()
                try:
                    await self._pause(lane, route, deadline)
                except BaseException:
                    lane.turn.release()
                    raise
        except TimeoutError:
            raise self._refusal() from None
        finally:
            self._timeouts.discard(timeout)

    async def _pause(self, lane: _Lane, route: Route, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            wait_s = self._earliest(lane, route) - loop.time()
            if loop.time() + wait_s > deadline:
                raise WaitRefusedError("The wait is longer than this call may wait", retry_after_s=wait_s)
            await asyncio.sleep(max(0.0, wait_s))
            if not route.exempt:
                await self._spacing.acquire()
            if self._earliest(lane, route) <= loop.time():  # no 429 came meanwhile
                return

    def _earliest(self, lane: _Lane, route: Route) -> float:
        return lane.not_before if route.exempt else max(lane.not_before, self._global_not_before)

    def _refusal(self) -> BrokerError:
        if self._draining:
            return DrainingError(STOPPING, retry_after_s=1.0)
        return WaitRefusedError(
            "The deadline passed while the call waited; Redis is unavailable and calls leave one at a time"
        )

    def _release(self, name: str, lane: _Lane) -> None:
        """Remove a lane without calls once its next request would be allowed."""
        lane.users -= 1
        if not lane.users:
            asyncio.get_running_loop().call_at(lane.not_before, self._forget, name, lane)

    def _forget(self, name: str, lane: _Lane) -> None:
        if not lane.users and self._lanes.get(name) is lane:
            del self._lanes[name]

    def drain(self) -> None:
        """Fail all calls that wait with `DrainingError`."""
        self._draining = True
        for timeout in self._timeouts:
            if not timeout.expired():
                timeout.reschedule(asyncio.get_running_loop().time())

    def before_send(self, permit: Permit) -> None:
        """Allow the request; there is no lease that could have expired."""
        permit.sent_at = asyncio.get_running_loop().time()

    def on_end(self, permit: Permit, answer: Answer | None) -> Verdict:
        """Apply the response's limits until Redis is available."""
        lane = self._lanes[permit.route.lane]
        try:
            return self._apply(lane, answer or NO_ANSWER, permit.app)
        finally:
            lane.turn.release()
            self._release(permit.route.lane, lane)

    def _apply(self, lane: _Lane, answer: Answer, app: str) -> Verdict:
        now = asyncio.get_running_loop().time()
        self._on_answer(answer, app)
        if answer.status == TOO_MANY:
            wait_s = answer.retry_after_s if answer.retry_after_s is not None else 1.0
            if answer.scope == "global":
                self._global_not_before = max(self._global_not_before, now + wait_s)
            lane.not_before = now + wait_s
            return Verdict("exhausted", wait_s)
        lane.not_before = now + answer.reset_after_s if answer.hash and answer.remaining == 0 else 0.0
        return Verdict("answered" if answer.status else "unknown")
