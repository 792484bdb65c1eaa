"""Batches read commands into one atomic script call and decodes the replies."""

from collections.abc import Callable, Sequence
from typing import Any

import msgpack  # type: ignore[import-untyped] # the package ships no types
from redis.asyncio import Redis

from discordproxy_gateway.store.scripts import source

_packb = msgpack.Packer(use_bin_type=False).pack


class Commands:
    """Collects commands. Each method adds the command of its name; its docstring gives the reply."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self._commands: list[tuple[str | bytes, ...]] = []
        self._shapes: list[Callable[[Any], Any]] = []

    def get(self, key: str) -> None:
        """Bytes, or None."""
        self._add(_as_is, "GET", key)

    def hget(self, key: str, field: str) -> None:
        """Bytes, or None."""
        self._add(_as_is, "HGET", key, field)

    def hmget(self, key: str, fields: Sequence[str | bytes]) -> None:
        """Bytes or None for each field, in order."""
        self._add(_as_is, "HMGET", key, *fields)

    def hkeys(self, key: str) -> None:
        """A list of bytes."""
        self._add(_as_is, "HKEYS", key)

    def hgetall(self, key: str) -> None:
        """A dict of bytes."""
        self._add(_pairs, "HGETALL", key)

    def packed(self) -> bytes:
        """Return the commands as MessagePack for the script."""
        packed: bytes = _packb(self._commands)
        return packed

    def shaped(self, replies: Sequence[Any]) -> list[Any]:
        """Return the decoded replies."""
        return [shape(reply) for shape, reply in zip(self._shapes, replies, strict=True)]

    def _add(self, shape: Callable[[Any], Any], name: str, key: str, *words: str | bytes) -> None:
        self.keys.append(key)
        self._commands.append((name, key, *words))
        self._shapes.append(shape)


class CommandRunner:
    """Runs commands on a server."""

    def __init__(self, redis: Redis) -> None:
        self._script = redis.register_script(source("read"))

    async def run(self, commands: Commands) -> tuple[int, list[Any]]:
        """Return the server's time in ms, and the replies."""
        reply: Any = await self._script(keys=commands.keys, args=[commands.packed()])
        (seconds, microseconds), *replies = reply
        return int(seconds) * 1000 + int(microseconds) // 1000, commands.shaped(replies)


def _as_is(reply: Any) -> Any:
    return reply


def _pairs(reply: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(zip(reply[::2], reply[1::2], strict=True))
