"""The event streams of the current number of shards, and of earlier ones while they are kept."""

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from discordproxy_gateway.events.cursor import BEGINNING, Cursor, Place
from discordproxy_gateway.ids import number_of
from discordproxy_gateway.keys import ERAS_KEPT, Keys


@dataclass(frozen=True, slots=True)
class Eras:
    """The eras of a bot; see `Keys.eras`.

    Attributes:
        now: number of the present one, 0 before the first.
        shards: of the present one.
        begun: streams with at least one write, oldest first.
    """

    now: int
    shards: int
    begun: tuple[Place, ...]

    def after(self, cursor: Cursor) -> list[Place]:
        """Return the streams that have events after a cursor: those it names, and those that had not begun."""
        return [place for place in self.begun if place.era >= cursor.era or place in cursor.positions]

    def cover(self, cursor: Cursor) -> bool:
        """Whether all streams after a cursor are still recorded; entries in them may have expired."""
        if not self.now - ERAS_KEPT <= cursor.era <= self.now:
            return False
        known = {*self.begun, *(Place(self.now, shard_id) for shard_id in range(self.shards))}
        return all(place in known or position == BEGINNING for place, position in cursor.positions.items())


async def read_eras(redis: Redis, keys: Keys) -> Eras:
    """Return what Redis holds."""
    stored: Any = await redis.hgetall(keys.eras)
    begun = []
    for field in stored:
        era, _, shard_id = field.partition(b":")
        place = number_of(era), number_of(shard_id)
        if place[0] is not None and place[1] is not None:
            begun.append(Place(place[0], place[1]))
    return Eras(number_of(stored.get(b"now")) or 0, number_of(stored.get(b"shards")) or 0, tuple(sorted(begun)))
