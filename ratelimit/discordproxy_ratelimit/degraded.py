"""The careful local pace while Redis is away: opt-in, one worker alone, never faster than its share.

One request in flight per lane, the last answer's reset obeyed, every 429 obeyed, and this worker's share of the global
limit evenly spaced. (A burst allowance would let nearly two seconds' worth through in one.)
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiolimiter import AsyncLimiter

from discordproxy_ratelimit.errors import WaitRefused
from discordproxy_ratelimit.headers import NO_ANSWER, TOO_MANY, Answer
from discordproxy_ratelimit.permit import Permit, Verdict
from discordproxy_ratelimit.route import Route


class LocalPace:
    """Permits without Redis.

    Args:
        global_limit: of the bot, per second.
        workers: how many share it.
        heard: told of every answer, for the circuit.
    """

    def __init__(self, global_limit: int, workers: int, *, heard: Callable[[Answer], None]) -> None:
        self._heard = heard
        self._spacing = AsyncLimiter(1, max(1, workers) / (0.8 * global_limit))
        self._lanes: dict[str, asyncio.Lock] = {}
        self._not_before: dict[str, float] = {}
        self._global_not_before = 0.0

    @asynccontextmanager
    async def acquire(self, route: Route, *, deadline: float) -> AsyncIterator[Permit]:
        """Wait for this lane's turn; the permit is ended on leaving.

        Raises:
            WaitRefused: the deadline came first.
        """
        lock = self._lanes.setdefault(route.lane, asyncio.Lock())
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(deadline):
                await lock.acquire()
        except TimeoutError:
            raise WaitRefused("The deadline came while waiting; Redis is away and calls go one at a time") from None
        try:
            await self._pause(route, deadline, loop)
            permit = Permit(self, "local", route, "", 0)
            try:
                yield permit
            finally:
                permit.leave()
        finally:
            lock.release()

    async def _pause(self, route: Route, deadline: float, loop: asyncio.AbstractEventLoop) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    wait_s = self._earliest(route) - loop.time()
                    if loop.time() + wait_s > deadline:
                        raise WaitRefused("The wait would outlast the deadline", retry_after_s=wait_s)
                    await asyncio.sleep(max(0.0, wait_s))
                    if not route.exempt:
                        await self._spacing.acquire()
                    if self._earliest(route) <= loop.time():  # no 429 came meanwhile
                        return
        except TimeoutError:
            raise WaitRefused("The deadline came while waiting; Redis is away and calls go one at a time") from None

    def _earliest(self, route: Route) -> float:
        not_before = self._not_before.get(route.lane, 0.0)
        return not_before if route.exempt else max(not_before, self._global_not_before)

    def leaving(self, permit: Permit) -> None:
        """Nothing can have run out: there is no lease."""
        permit.sent_at = asyncio.get_running_loop().time()

    def ended(self, permit: Permit, answer: Answer | None) -> Verdict:
        """Obey what the answer says until Redis is back."""
        now = asyncio.get_running_loop().time()
        answer = answer or NO_ANSWER
        self._heard(answer)
        if answer.status == TOO_MANY:
            wait_s = answer.retry_after_s if answer.retry_after_s is not None else 1.0
            if answer.scope == "global":
                self._global_not_before = max(self._global_not_before, now + wait_s)
            self._not_before[permit.route.lane] = now + wait_s
            return Verdict("exhausted", wait_s)
        if answer.hash and answer.remaining == 0:
            self._not_before[permit.route.lane] = now + answer.reset_after_s
        else:
            self._not_before.pop(permit.route.lane, None)
        return Verdict("answered" if answer.status else "unknown")
