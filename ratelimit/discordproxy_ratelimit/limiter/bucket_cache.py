"""What this worker was last told of routes and their buckets, also for a Redis that forgets."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from discordproxy_ratelimit.route import Route

MAX_BUCKETS = 20_000

FORMER_S = 300.0
"""How long after its route has got another hash a bucket's former state may still say something."""


@dataclass(slots=True)
class CachedBucket:
    """The last known state of a bucket.

    Attributes:
        route, lane: where it was learned.
        state: as the script wrote it; opaque here.
        hash: of the bucket.
        at: loop time.
    """

    route: str
    lane: str
    state: str
    hash: str
    at: float


class BucketCache:
    """The latest `MAX_BUCKETS` buckets by name, and the bucket hash of each route."""

    def __init__(self) -> None:
        self._by_bucket: OrderedDict[str, CachedBucket] = OrderedDict()
        self._hashes: dict[str, str] = {}
        self._former: dict[str, tuple[str, float]] = {}

    def hash_of(self, route: str) -> str:
        """Return the hash a route (by name) was last known to have: empty = unknown, `-` = it has none."""
        return self._hashes.get(route, "")

    def learn_hash(self, route: str, known: str, now: float) -> None:
        """Remember the hash of a route; `now` is loop time."""
        before = self.hash_of(route)
        if before not in {"", "-", known}:
            self._former[route] = before, now
        self._hashes[route] = known

    def former_of(self, route: Route, now: float) -> str:
        """Return the name of the bucket that was a route's until its hash changed lately; empty = it did not."""
        former, since = self._former.get(route.name, ("", 0.0))
        return f"{former}|{route.major}" if former and now - since < FORMER_S else ""

    def bucket_of(self, route: Route, known: str | None = None) -> str:
        """Return the name of a route's bucket, for the hash it is known to have or for another one."""
        known = self.hash_of(route.name) if known is None else known
        return f"{known}|{route.major}" if known not in {"", "-"} else f"?{route.name}|{route.major}"

    def names_of(self, route: Route, now: float) -> tuple[str, str, str]:
        """Return `hash_of`, `bucket_of` and `former_of` of a route."""
        known = self._hashes.get(route.name, "")
        bucket = f"?{route.lane}" if known in {"", "-"} else f"{known}|{route.major}"
        return known, bucket, self.former_of(route, now) if route.name in self._former else ""

    def keep(self, bucket: str, cached: CachedBucket) -> None:
        """Remember a bucket's newest state; the oldest one goes when there are too many."""
        self._by_bucket[bucket] = cached
        self._by_bucket.move_to_end(bucket)
        if len(self._by_bucket) > MAX_BUCKETS:
            self._by_bucket.popitem(last=False)

    def forget_hashes(self) -> None:
        """Keep only what the buckets tell: Redis has forgotten the rest and would not know it from us."""
        self._hashes = {cached.route: cached.hash for cached in self._by_bucket.values()}

    def newest(self, most: int) -> Iterator[tuple[str, CachedBucket]]:
        """Yield the buckets that were heard of last, the newest first."""
        return islice(reversed(self._by_bucket.items()), most)

    def __iter__(self) -> Iterator[tuple[str, CachedBucket]]:
        return iter(self._by_bucket.items())
