"""Room that applications share, such as memory for uploads: none of them can fill it alone."""

import asyncio
from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class _Place:
    """A part of the room that an application waits for; `number` is its order of arrival."""

    size: int
    number: int
    room: asyncio.Future[None] = field(repr=False)


class SharedRoom:
    """Room for so many bytes or places.

    An application that holds none gets what is free. One that holds some gets more only if it then holds no more than
    what was left, so that there is always room for others. Those who wait are served in the order of their arrival,
    except applications that have their share.

    Attributes:
        size: of the room; what does not fit in gets all of it.
        taken: how much is held.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0
        self._taken_by: dict[str, int] = {}
        self._waiting: dict[str, deque[_Place]] = {}
        self._arrived = 0

    def try_acquire(self, app: str, size: int, *, more_of: int = 0) -> bool:
        """Take a part unless it is too large for the moment, or others wait for theirs.

        Args:
            app: the application.
            size: of the part.
            more_of: size of the part that it enlarges, which does not count for the share.
        """
        free = self._is_due(app, size, more_of) and self._fits(size) and self._next() is None
        if free:
            self.count(app, size)
        return free

    async def acquire(self, app: str, size: int) -> None:
        """Wait for a part."""
        if self.try_acquire(app, size):
            return
        self._arrived += 1
        place = _Place(size, self._arrived, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(app, deque()).append(place)
        try:
            await place.room
        except BaseException:
            if place.room.done() and not place.room.cancelled():
                self.release(app, size)
            elif place in self._waiting.get(app, ()):  # another call that ended at the same moment may have removed it
                self._leave(app, place)
                self._admit()
            raise

    def count(self, app: str, size: int) -> None:
        """Take a part in any case."""
        self.taken += size
        self._taken_by[app] = self._taken_by.get(app, 0) + size

    def release(self, app: str, size: int) -> None:
        """Give a part back, and let others in."""
        if not size:
            return
        self.taken -= size
        self._taken_by[app] -= size
        if not self._taken_by[app]:
            del self._taken_by[app]
        self._admit()

    def _is_due(self, app: str, size: int, more_of: int = 0) -> bool:
        held = self._taken_by.get(app, 0)
        return held == more_of or held + size <= self.size - self.taken

    def _fits(self, size: int) -> bool:
        return self.taken + size <= self.size or (self.size > 0 and not self.taken)

    def _next(self) -> tuple[str, _Place] | None:
        """Return the first place of those that wait for room, not for their application's share."""
        due = [(places[0].number, app) for app, places in self._waiting.items() if self._is_due(app, places[0].size)]
        if not due:
            return None
        app = min(due)[1]
        return app, self._waiting[app][0]

    def _leave(self, app: str, place: _Place) -> None:
        self._waiting[app].remove(place)
        if not self._waiting[app]:
            del self._waiting[app]

    def _admit(self) -> None:
        while (first := self._next()) is not None and self._fits(first[1].size):
            app, place = first
            self._leave(app, place)
            if not place.room.done():
                self.count(app, place.size)
                place.room.set_result(None)
