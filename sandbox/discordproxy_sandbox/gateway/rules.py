"""Parses and validates payloads of gateway clients. A violation carries a close code."""

from typing import Any

import orjson

from discordproxy_sandbox.errors import Json
from discordproxy_sandbox.gateway.intents import KNOWN

_MAX_PAYLOAD = 4096
_SHARD_PARTS = 2


class RuleBrokenError(Exception):
    """A violated rule; the connection is closed with `code`."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def read_payload(raw: str | bytes) -> tuple[int, Any]:
    """Return the opcode and the data of a payload."""
    if len(raw) > _MAX_PAYLOAD:
        raise RuleBrokenError(4002, "The payload is longer than 4096 bytes.")
    try:
        payload = orjson.loads(raw)
        return int(payload["op"]), payload.get("d")
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        raise RuleBrokenError(4002, "Error while decoding payload.") from None


def as_object(data: Any) -> Json:
    """Return the data of an opcode that requires an object."""
    if not isinstance(data, dict):
        raise RuleBrokenError(4002, "Error while decoding payload.")
    return data


def read_token(data: Json) -> str:
    """Return the token of IDENTIFY and RESUME without its scheme."""
    return str(data.get("token") or "").removeprefix("Bot ")


def read_shard(data: Json, required: int) -> tuple[int, int]:
    """Return the shard of an IDENTIFY: its number and how many there are, at least `required`."""
    shard = data.get("shard") or [0, 1]
    if not isinstance(shard, list) or len(shard) != _SHARD_PARTS or not 0 <= shard[0] < shard[1]:
        raise RuleBrokenError(4010, "Invalid shard.")
    if shard[1] < required:
        raise RuleBrokenError(4011, "Sharding required.")
    return shard[0], shard[1]


def read_intents(data: Json, disallowed: int) -> int:
    """Return the intents of an IDENTIFY; those in `disallowed` are not enabled for the bot."""
    intents = data.get("intents")
    if not isinstance(intents, int) or intents < 0 or intents & ~KNOWN:
        raise RuleBrokenError(4013, "Invalid intent(s).")
    if intents & disallowed:
        raise RuleBrokenError(4014, "Disallowed intent(s).")
    if not isinstance(data.get("properties"), dict):
        raise RuleBrokenError(4002, "Error while decoding payload.")
    return intents


def read_sequence(data: Json) -> int:
    """Return the sequence number of a RESUME."""
    sequence = data.get("seq")
    if not isinstance(sequence, int) or isinstance(sequence, bool):
        raise RuleBrokenError(4007, "Invalid seq.")
    return sequence
