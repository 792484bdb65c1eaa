"""Tables of records that all workers share, such as the owners of commands."""

from collections.abc import Iterable
from typing import NamedTuple

from discordproxy_ratelimit.redis.link import RedisLink, Script

SCRIPT = Script("tables")

KEPT_S = 400 * 24 * 3600.0
"""Time after its last use for which a table is kept."""


class RecordChange(NamedTuple):
    """A change of one field; b"" is no field."""

    field: str
    before: bytes
    after: bytes


class Tables:
    """Tables below one hash tag, each of which is one hash.

    Every method raises BrokerUnavailableError while Redis is unavailable; a change may then have been made.

    Args:
        link: connection to Redis.
        tag: prefix with the hash tag, e.g. `{dp:1234}:table:`.
    """

    def __init__(self, link: RedisLink, tag: str) -> None:
        self._link, self._tag = link, tag

    async def read(self, table: str) -> dict[str, bytes]:
        """Return all records of a table."""
        with self._link.trace("redis read table"):
            pairs = await self._link.run(SCRIPT, [self._tag + table], ["read", int(KEPT_S * 1000)])
        return {name.decode(): value for name, value in zip(pairs[::2], pairs[1::2], strict=True)}

    async def record(self, table: str, field: str) -> bytes | None:
        """Return one record."""
        with self._link.trace("redis read record"):
            value: bytes | None = await self._link.execute("HGET", self._tag + table, field)
        return value

    async def change(self, table: str, changes: Iterable[RecordChange]) -> bool:
        """Make all changes, or none and return False if another worker has changed one of the fields."""
        arguments: list[str | int | bytes] = ["change", int(KEPT_S * 1000)]
        for each in changes:
            arguments += each
        with self._link.trace("redis change table"):
            conflict = await self._link.run(SCRIPT, [self._tag + table], arguments)
        return not conflict
