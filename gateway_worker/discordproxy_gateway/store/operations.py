"""Operations that the fenced scripts run. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgpack  # type: ignore[import-untyped] # the package ships no types

Operation = tuple[Any, ...]
"""Command, key, argument... (strings or bytes; ids are strings). Commands: Redis' own and those of lua/write.lua."""


_INDEX_WEIGHT = 8
_TWO_KEYS = frozenset({"FORGET", "MEMBER", "PRUNE", "VOICE"})
_packb = msgpack.Packer(use_bin_type=False).pack


def weight(operations: Iterable[Operation]) -> int:
    """Return about how long Redis takes for operations, in arguments: finding a place in an order costs more."""
    total = 0
    for operation in operations:
        total += len(operation) * (_INDEX_WEIGHT if operation[0] == "INDEX" else 1)
    return total


def pack(operations: Sequence[Operation], first_keys: Sequence[str]) -> tuple[list[str], bytes]:
    """Return KEYS, beginning with `first_keys`, and the operations with keys replaced by their place in KEYS."""
    places = {key: place for place, key in enumerate(first_keys, 1)}
    packed = []
    for operation in operations:
        command, key = operation[:2]
        place = places.setdefault(key, len(places) + 1)
        if command in _TWO_KEYS:
            second = places.setdefault(operation[2], len(places) + 1)
            packed.append((command, place, second, *operation[3:]))
        else:
            packed.append((command, place, *operation[2:]))
    return list(places), _packb(packed)
