"""Caches the state of buckets and the hashes of routes, also to restore a Redis that has lost them."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from discordproxy_ratelimit.route import Route

MAX_BUCKETS = 20_000

FORMER_S = 300.0
"""How long a bucket's state stays relevant after its route has got another hash."""


@dataclass(slots=True)
class CachedBucket:
    """The last known state of a bucket.

    Attributes:
        route, lane: of the call that taught it.
        state: as packed by the script; opaque here.
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
        """Return the last known hash of a route (by name): empty = unknown, `-` = it has none."""
        return self._hashes.get(route, "")

    def learn_hash(self, route: str, known: str, now: float) -> None:
        """Store the hash of a route; `now` is loop time."""
        before = self.hash_of(route)
        if before not in {"", "-", known}:
            self._former[route] = before, now
        self._hashes[route] = known

    def former_of(self, route: Route, now: float) -> str:
        """Return the bucket's name before a recent change of a route's hash; empty without one."""
        former, since = self._former.get(route.name, ("", 0.0))
        return f"{former}|{route.major}" if former and now - since < FORMER_S else ""

    def bucket_of(self, route: Route, known: str | None = None) -> str:
        """Return the name of a route's bucket, for its last known hash or for the given one."""
        known = self.hash_of(route.name) if known is None else known
        return f"{known}|{route.major}" if known not in {"", "-"} else f"?{route.name}|{route.major}"

    def names_of(self, route: Route, now: float) -> tuple[str, str, str]:
        """Return `hash_of`, `bucket_of` and `former_of` of a route."""
        known = self._hashes.get(route.name, "")
        bucket = f"?{route.lane}" if known in {"", "-"} else f"{known}|{route.major}"
        return known, bucket, self.former_of(route, now) if route.name in self._former else ""

    def keep(self, bucket: str, cached: CachedBucket) -> None:
        """Store a bucket's newest state; the oldest entry is removed beyond `MAX_BUCKETS`."""
        self._by_bucket[bucket] = cached
        self._by_bucket.move_to_end(bucket)
        if len(self._by_bucket) > MAX_BUCKETS:
            self._by_bucket.popitem(last=False)

    def forget_hashes(self) -> None:
        """Keep only the hashes of cached buckets: Redis has lost the others, and they are not restored."""
        self._hashes = {cached.route: cached.hash for cached in self._by_bucket.values()}

    def newest(self, limit: int) -> Iterator[tuple[str, CachedBucket]]:
        """Yield the most recently updated buckets, the newest first."""
        return islice(reversed(self._by_bucket.items()), limit)

    def __iter__(self) -> Iterator[tuple[str, CachedBucket]]:
        return iter(self._by_bucket.items())
