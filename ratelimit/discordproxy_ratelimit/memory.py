"""What this worker was last told of its buckets, for a Redis that forgets."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

MOST = 20_000


@dataclass(frozen=True, slots=True)
class Memory:
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


class Memories:
    """The latest `MOST` buckets by name."""

    def __init__(self) -> None:
        self._by_bucket: OrderedDict[str, Memory] = OrderedDict()

    def keep(self, bucket: str, memory: Memory) -> None:
        """Remember a bucket's newest state; the oldest one goes when there are too many."""
        self._by_bucket[bucket] = memory
        self._by_bucket.move_to_end(bucket)
        if len(self._by_bucket) > MOST:
            self._by_bucket.popitem(last=False)

    def __iter__(self) -> Iterator[tuple[str, Memory]]:
        return iter(self._by_bucket.items())
