"""The members of a guild: stored ones, and generated ones that are built on access."""

from bisect import bisect_right
from collections.abc import Callable, Iterator

from discordproxy_sandbox.errors import Json


class Members:
    """Members by user id, in order of id.

    `build` creates the members `first_id`, `first_id + 1` ... (`generated` of them) on access, so a guild of 200,000
    members costs no memory. A changed member is stored.
    """

    def __init__(self, build: Callable[[int], Json] | None = None, first_id: int = 0, generated: int = 0) -> None:
        self._build = build
        self._generated = range(first_id, first_id + generated)
        self._stored: dict[int, Json] = {}
        self._gone: set[int] = set()

    def __len__(self) -> int:
        return len(self._generated) - len(self._gone) + sum(id_ not in self._generated for id_ in self._stored)

    def __contains__(self, user_id: str) -> bool:
        return self.get(user_id) is not None

    def __iter__(self) -> Iterator[str]:
        return self.after("0")

    def get(self, user_id: str) -> Json | None:
        """Return a member without its user, or None. Changes take effect only with `put`."""
        number = int(user_id)
        if number in self._stored:
            return self._stored[number]
        if self._build and number in self._generated and number not in self._gone:
            return self._build(number)
        return None

    def put(self, user_id: str, member: Json) -> None:
        """Add or replace a member."""
        self._gone.discard(int(user_id))
        self._stored[int(user_id)] = member

    def remove(self, user_id: str) -> bool:
        """Remove a member; return whether it was one."""
        present = user_id in self
        self._stored.pop(int(user_id), None)
        if present and int(user_id) in self._generated:
            self._gone.add(int(user_id))
        return present

    def stored(self) -> list[str]:
        """Return the ids of the stored members; only they can differ from generated ones."""
        return [str(id_) for id_ in self._stored]

    def after(self, user_id: str) -> Iterator[str]:
        """Iterate over the ids of members greater than this one, ascending."""
        start = int(user_id)
        added = sorted(id_ for id_ in self._stored if id_ not in self._generated)
        before = (id_ for id_ in added[bisect_right(added, start) :] if id_ < self._generated.start)
        behind = (id_ for id_ in added[bisect_right(added, start) :] if id_ >= self._generated.stop)
        inside = range(max(start + 1, self._generated.start), self._generated.stop)
        yield from map(str, before)
        yield from (str(id_) for id_ in inside if id_ not in self._gone)
        yield from map(str, behind)
