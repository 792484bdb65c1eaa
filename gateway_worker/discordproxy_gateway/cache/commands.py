"""Collects read commands, and decodes their replies."""

from collections.abc import Callable, Sequence
from typing import Any

import msgpack  # type: ignore[import-untyped] # the package ships no types

_packb = msgpack.Packer(use_bin_type=False).pack


class Commands:
    """Collects commands. Each method adds the command of its name; its docstring gives the reply."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self._commands: list[tuple[str | bytes, ...]] = []
        self._shapes: list[Callable[[Any], Any] | None] = []

    def get(self, key: str) -> None:
        """Bytes, or None."""
        self._add(None, "GET", key)

    def hget(self, key: str, field: str) -> None:
        """Bytes, or None."""
        self._add(None, "HGET", key, field)

    def hmget(self, key: str, fields: Sequence[str | bytes]) -> None:
        """Bytes or None for each field, in order."""
        self._add(None, "HMGET", key, *fields)

    def hkeys(self, key: str) -> None:
        """A list of bytes."""
        self._add(None, "HKEYS", key)

    def hgetall(self, key: str) -> None:
        """A dict of bytes."""
        self._add(_pairs, "HGETALL", key)

    def packed(self) -> bytes:
        """Return the commands as MessagePack for the script."""
        packed: bytes = _packb(self._commands)
        return packed

    def shaped(self, replies: Sequence[Any]) -> list[Any]:
        """Return the decoded replies."""
        return [shape(reply) if shape else reply for shape, reply in zip(self._shapes, replies, strict=True)]

    def _add(self, shape: Callable[[Any], Any] | None, name: str, key: str, *words: str | bytes) -> None:
        self.keys.append(key)
        self._commands.append((name, key, *words))
        self._shapes.append(shape)


def _pairs(reply: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(zip(reply[::2], reply[1::2], strict=True))
