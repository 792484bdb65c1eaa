"""Reads the state of a credential's limits, its buckets and queues, without changing anything."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from discordproxy_ratelimit.redis.link import RedisLink, Script

SCRIPT = Script("inspect")
MINUTE_US = 60_000_000
MAX_SHRINK = 5


@dataclass(frozen=True, slots=True)
class BucketState:
    """The current state of a bucket, which all workers share.

    Attributes:
        limit: requests per window; None while unknown.
        remaining: permits that may be granted now.
        reset_after_s: seconds until it is full again.
        granted: permits without a response yet, or with a start time in the future.
    """

    limit: int | None
    remaining: int
    reset_after_s: float
    granted: int


@dataclass(frozen=True, slots=True)
class AccountState:
    """One credential's limits.

    Attributes:
        global_limit: current requests per second; reduced for some minutes after a global 429.
        global_taken: slots of it that are taken.
        global_waiting: calls that wait only for a slot.
        blocked_for_s: seconds until a global 429 is over.
        held: places and permits of all workers.
        buckets: the requested ones, by name.
    """

    global_limit: int
    global_taken: int
    global_waiting: int
    blocked_for_s: float
    held: int
    buckets: dict[str, BucketState]


async def inspect_account(
    link: RedisLink, tag: str, buckets: Iterable[str], *, limit: int, clock: Callable[[], int] | None = None
) -> AccountState:
    """Return the state of one account. Raises BrokerUnavailableError.

    Args:
        link: connection to Redis.
        tag: the account's, as in `Store`.
        buckets: names of buckets.
        limit: requests per second that Discord grants.
        clock: returns us; None means Redis TIME. Only tests set it.
    """
    names = list(buckets)
    keys = [tag + name for name in ("g", "slots", "paced", "held", "gq", *(f"b:{name}" for name in names))]
    now, numbers, taken, queued, held, rows = await link.run(SCRIPT, keys, [clock() if clock else ""])
    blocked, shrink, shrunk = (float(number or 0) for number in numbers)
    shrink = max(0.0, shrink - (int(now) - shrunk) // MINUTE_US)
    return AccountState(
        global_limit=max(1, int(limit * (1 - 0.1 * min(shrink, MAX_SHRINK)))),
        global_taken=taken,
        global_waiting=queued,
        blocked_for_s=max(0.0, blocked - int(now)) / 1e6,
        held=held,
        buckets={name: _bucket(row, int(now)) for name, row in zip(names, rows, strict=True)},
    )


def _bucket(row: list[bytes], now_us: int) -> BucketState:
    limit, remaining, reset, leaky, step, granted = (part.decode() for part in row)
    taken = int(granted or 0)
    if not limit:
        return BucketState(None, 0, 0.0, taken)
    left_us = max(0.0, float(reset or 0) - now_us)
    if leaky == "1":
        free = int((int(limit) * float(step) - left_us) // float(step))
    else:
        free = int(remaining) if left_us or not float(reset or 0) else int(limit)
    return BucketState(int(limit), max(0, free - taken), left_us / 1e6, taken)
