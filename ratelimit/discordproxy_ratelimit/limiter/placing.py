"""How a call gets its place: asked for until Redis has given a permit, a place, or a refusal; and asked for anew."""

import asyncio
from typing import Any

from discordproxy_ratelimit.errors import (
    BrokerUnavailableError,
    KnownRefusalError,
    TokenRejectedError,
    WaitRefusedError,
)
from discordproxy_ratelimit.limiter.bucket_cache import BucketCache
from discordproxy_ratelimit.limiter.outcomes import UNAUTHORIZED
from discordproxy_ratelimit.limiter.serving import Serving
from discordproxy_ratelimit.limiter.wait_queue import Waiter
from discordproxy_ratelimit.metrics import Decisions
from discordproxy_ratelimit.redis.link import RedisLink

GRACE_S = 0.7
"""For how long a call waits for a Redis that does not answer."""

TRIES = 5

IN_CASE_US = -5_000_000
"""In so many us (below 0: only in case) somebody asks for a call that waits for the global limit alone."""


class Placing:
    """Asks for places.

    Args:
        link: to know whether Redis answers.
        serving: speaks with the script.
        memories: which bucket a route has.
        decisions: the metrics.
    """

    def __init__(self, link: RedisLink, serving: Serving, memories: BucketCache, decisions: Decisions) -> None:
        self._link, self._serving, self._memories, self._decisions = link, serving, memories, decisions
        self._loop = asyncio.get_running_loop()

    async def place(self, waiter: Waiter, refusal: str) -> None:
        """Ask for a permit until Redis has given one, a place, or a refusal.

        Args:
            waiter: the call.
            refusal: name of a remembered refusal to respect.

        Raises:
            BrokerError: there is no place.
        """
        waiter.placing = True
        try:
            await self._place(waiter, refusal)
        finally:
            waiter.placing = False

    async def _place(self, waiter: Waiter, refusal: str) -> None:
        for _ in range(TRIES):
            await self._until_up()
            known = self._memories.hash_of(waiter.route.name)
            former = self._memories.former_of(waiter.route, self._loop.time())
            urgent = waiter.caller.priority == "high"
            options = options_of(waiter, known, former, refusal)
            item = self._serving.add("a", waiter, options, hurry=True, other=former, urgent=urgent)
            try:
                with self._link.trace("redis acquire"):
                    reply = await item.reply
            except BrokerUnavailableError:
                waiter.placed = False  # whether it ran is unknown; the same id is never charged twice
                continue
            if reply[0] == "moved":
                self._memories.learn_hash(waiter.route.name, reply[1], self._loop.time())
                continue
            waiter.placed = True
            self._raise_refusal(reply)
            waiter.seq = int(reply[2])
            if reply[0] == "wait":
                self._decisions.waited()
                self._serving.ask_in(waiter.route.lane, int(reply[1]))
            elif reply[0] == "global":
                self._serving.ask_in(waiter.route.lane, IN_CASE_US)  # the hint of its grant may be lost, too
            return
        raise BrokerUnavailableError("Redis answers, but not for long enough to give a place", retry_after_s=1.0)

    def start_anew(self, waiter: Waiter) -> None:
        """Ask for a waiting call's place once more, in the background; what goes wrong is its caller's."""
        if waiter.grant.done():
            return
        waiter.placed = False
        if not waiter.placing and (waiter.task is None or waiter.task.done()):
            waiter.task = asyncio.create_task(self._anew(waiter), name="broker-replace")

    async def _anew(self, waiter: Waiter) -> None:
        if waiter.placed or waiter.placing or waiter.grant.done():
            return
        try:
            await self.place(waiter, "")
        except Exception as error:  # noqa: BLE001 - it belongs to the waiting caller
            if not waiter.grant.done():
                waiter.grant.set_exception(error)

    async def _until_up(self) -> None:
        if self._link.is_up:
            return
        try:
            async with asyncio.timeout(max(0.0, GRACE_S - self._link.down_for_s())):
                await self._link.until_up()
        except TimeoutError:
            raise BrokerUnavailableError("Redis does not answer", retry_after_s=1.0) from None

    def _raise_refusal(self, reply: list[Any]) -> None:
        if reply[0] == "refused":
            self._decisions.refused("deadline")
            raise WaitRefusedError(
                "The wait for a rate limit is longer than this call may wait", retry_after_s=int(reply[1]) / 1e6
            )
        if reply[0] == "known":
            status, code, again_s = int(reply[1]), int(reply[2]), int(reply[3]) / 1e6
            self._decisions.refused("known")
            if status == UNAUTHORIZED:
                raise TokenRejectedError("Discord refuses this token", retry_after_s=again_s)
            text = f"Discord answered {status} to this a moment ago"
            raise KnownRefusalError(text, status=status, code=code, retry_after_s=again_s)


def options_of(waiter: Waiter, known: str, former: str, refusal: str) -> dict[str, Any]:
    """Return what the script is told of a call (lua/transitions/acquire.lua).

    Args:
        waiter: the call.
        known: hash its route is believed to have.
        former: name of the bucket it had before that; empty for none.
        refusal: name of a remembered refusal to respect.
    """
    route, caller = waiter.route, waiter.caller
    left_s = waiter.until - asyncio.get_running_loop().time()
    options: dict[str, Any] = {
        "left_us": max(0, int(left_s * 1e6)),
        "app": caller.app,
        "weight": caller.weight,
        "priority": caller.priority,
        "hash": known,
    }
    flags = {"ordered": route.ordered, "exempt": route.exempt, "returned": waiter.returned}
    flags |= {"token": route.credential != "ip", "restored": bool(waiter.seq) and not waiter.returned}
    options |= {name: True for name, value in flags.items() if value}
    if waiter.seq:
        options["seq"] = waiter.seq
    if refusal:
        options["refusal"] = refusal
    if former:
        options["former"] = former
    return options
