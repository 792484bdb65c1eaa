"""Caches the state of buckets and the hashes of routes, also to restore a Redis that has lost them."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from discordproxy_ratelimit.route import Route

MAX_BUCKETS = 20_000

EACH_LANE = "*"
"""Stands for the hash of a route of which each lane has its own, and precedes the hash of such a lane."""

FORMER_S = 300.0
"""How long a bucket's state stays relevant after its route has got another hash."""


@dataclass(slots=True)
class CachedBucket:
    """The last known state of a bucket.

    Attributes:
        route, lane: of the call that taught it.
        state: as packed by the script; opaque here.
        hash: of the bucket, as the script replies it.
        at: loop time.
    """

    route: str
    lane: str
    state: str
    hash: str
    at: float


class BucketCache:
    """The latest `MAX_BUCKETS` buckets by name, and the bucket hashes of routes.

    Where a route's channels have hashes of their own, its hash is `EACH_LANE`, and the hashes are those of its lanes.
    A hash that is empty is unknown; `-` stands for none.
    """

    def __init__(self) -> None:
        self._by_bucket: OrderedDict[str, CachedBucket] = OrderedDict()
        self._hashes: dict[str, str] = {}
        self._of_lanes: OrderedDict[str, str] = OrderedDict()
        self._former: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._last: OrderedDict[str, str] = OrderedDict()  # names of buckets, by lane

    def known_of(self, route: Route) -> str:
        """Return what `learn_hash` has stored for a route or lane."""
        known = self._hashes.get(route.name, "")
        return EACH_LANE + self._of_lanes.get(route.lane, "") if known == EACH_LANE else known

    def hash_of(self, route: Route) -> str:
        """Return the last known hash of a route's bucket."""
        known = self._hashes.get(route.name, "")
        return self._of_lanes.get(route.lane, "") if known == EACH_LANE else known

    def learn_hash(self, route: Route, known: str, now: float) -> None:
        """Store the hash of a route, as the script replies it: after `EACH_LANE` it is that of the lane.

        Args:
            route: of the call.
            known: the hash.
            now: loop time.
        """
        before = self.hash_of(route)
        if known.startswith(EACH_LANE):
            self._hashes[route.name] = EACH_LANE
            _keep_newest(self._of_lanes, route.lane, known.removeprefix(EACH_LANE))
        else:
            self._hashes[route.name] = known
        if before not in {"", "-", self.hash_of(route)}:
            name = route.lane if known.startswith(EACH_LANE) else route.name
            _keep_newest(self._former, name, (before, now))

    def former_of(self, route: Route, bucket: str, now: float) -> str:
        """Return the name of the bucket whose state `bucket` inherits if it has none; empty without one.

        It is the last one that a response to a call of this lane named, else that of the route before a recent change.
        """
        last = self._last.get(route.lane, bucket)
        if last != bucket:
            return last
        name = route.lane if self._hashes.get(route.name) == EACH_LANE else route.name
        former, since = self._former.get(name, ("", 0.0))
        return f"{former}|{route.major}" if former and now - since < FORMER_S else ""

    def bucket_of(self, route: Route, known: str | None = None) -> str:
        """Return the name of a route's bucket, for its last known hash or for the given one."""
        known = self.hash_of(route) if known is None else known.removeprefix(EACH_LANE)
        return f"?{route.lane}" if known in {"", "-"} else f"{known}|{route.major}"

    def names_of(self, route: Route, now: float) -> tuple[str, str, str]:
        """Return the last known hash of a route, and the names of its bucket and of the one before."""
        known = self.hash_of(route)
        bucket = f"?{route.lane}" if known in {"", "-"} else f"{known}|{route.major}"
        return known, bucket, self.former_of(route, bucket, now) if self._former else ""

    def keep(self, bucket: str, cached: CachedBucket) -> None:
        """Store a bucket's newest state; the oldest entry is removed beyond `MAX_BUCKETS`."""
        _keep_newest(self._by_bucket, bucket, cached)
        _keep_newest(self._last, cached.lane, bucket)

    def forget_hashes(self) -> None:
        """Keep only the hashes of cached buckets: Redis has lost the others, and they are not restored."""
        self._hashes, self._of_lanes = {}, OrderedDict()
        for cached in self._by_bucket.values():
            self._hashes[cached.route] = cached.hash
            if cached.hash.startswith(EACH_LANE):
                self._hashes[cached.route] = EACH_LANE
                self._of_lanes[cached.lane] = cached.hash.removeprefix(EACH_LANE)

    def newest(self, limit: int) -> Iterator[tuple[str, CachedBucket]]:
        """Yield the most recently updated buckets, the newest first."""
        return islice(reversed(self._by_bucket.items()), limit)

    def __iter__(self) -> Iterator[tuple[str, CachedBucket]]:
        return iter(self._by_bucket.items())


def _keep_newest(table: OrderedDict[str, Any], name: str, value: Any) -> None:
    table[name] = value
    table.move_to_end(name)
    if len(table) > MAX_BUCKETS:
        table.popitem(last=False)
