"""Reads the packed states of the script as Python values."""

import io
from typing import Any, NamedTuple

import msgpack


class AccountState(NamedTuple):
    """Some of an account's values, which `life.lua` packs. Sizes are None after they were dropped."""

    run: str
    recover: int
    clock: int
    waiting: int
    queued: int | None
    held: int | None


class LaneState(NamedTuple):
    """A lane as `state.lua` packs it."""

    run: str
    infl: int
    v: float
    finish: dict[str, float]
    waiting: int
    kept: int
    line: str | None = None
    early: str | None = None


class BucketState(NamedTuple):
    """A bucket as `state.lua` packs it."""

    run: str
    infl: int
    heads: dict[str, int]
    limit: int | None
    remaining: int | None
    reset: int | None
    rid: int | None
    leaky: str | None
    step: int | None
    period: int | None
    opened: int | None
    proven: int | None
    ends: int
    cautious: int | None = None
    moved: int | None = None
    full: bool | None = None
    counted: int | None = None


def account_state(packed: bytes) -> AccountState:
    """Return some of an account's state."""
    values = _values(packed)
    return AccountState(values[0], values[3], values[4], values[18], values[26], values[27])


def lane_state(packed: bytes | None) -> LaneState:
    """Return a lane's state; without a value that of an idle one."""
    return LaneState(*_values(packed)) if packed else LaneState("", 0, 0, {}, 0, 0)


def bucket_state(packed: bytes) -> BucketState:
    """Return a bucket's state."""
    return BucketState(*_values(packed))


def _values(packed: bytes) -> list[Any]:
    return list(msgpack.Unpacker(io.BytesIO(packed)))
