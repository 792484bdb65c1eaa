"""Records that outlive a process: the session to resume, the IDENTIFY budget, the last fatal failure."""

import json
import logging
from dataclasses import dataclass
from typing import Any

from discordproxy_gateway.discord.failures import LeaseLostError
from discordproxy_gateway.discord.gateway_info import GatewayInfo
from discordproxy_gateway.discord.session import Session
from discordproxy_gateway.ids import number_of, text_of
from discordproxy_gateway.keys import Keys, Slot
from discordproxy_gateway.store.lease import Lease
from discordproxy_gateway.store.operations import Operation
from discordproxy_gateway.store.scripts import Scripts
from discordproxy_gateway.store.server_time import milliseconds, request_time

log = logging.getLogger(__name__)

GATE_MS = 5_250
"""Discord: one IDENTIFY per concurrency group and 5 seconds (gateway, rate limiting of identify), and a margin for
messages that do not take equally long."""

HANDSHAKE_MS = 35_000
"""How long the gate stays shut at most between opening a socket and having sent IDENTIFY. It is longer than any
handshake, so that no process overtakes one that is under way. If its holder loses the lease, it opens earlier."""

MAX_RESUMES = 3
"""RESUMEs in a row without an event, after which the session is given up (compare buape/carbon#364)."""

FATAL_MS = 600_000
"""How long a fatal failure keeps the same token and intents from connecting, so that a crash loop costs nothing."""


@dataclass(frozen=True, slots=True)
class IdentifyAnswer:
    """The budget's verdict: GO, ASK (read the budget from Discord first), LOW or WAIT."""

    verdict: str
    remaining: int = 0
    wait_s: float = 0.0


class SessionStore:
    """The records of one bot in Redis. Reads are plain; writes of a slot go through its fence."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._scripts = scripts
        self._redis = scripts.redis
        self._keys = keys

    async def load(self, slot: Slot, fingerprint: str) -> Session | None:
        """Return the session to resume; None if there is none, or one of another token, intents or shard count."""
        names = ["id", "seq", "resume_url", "fingerprint", "tries"]
        fields: list[Any] = await self._redis.hmget(self._keys.session(slot), names)
        session_id, sequence, resume_url, stored, tries = map(text_of, fields)
        if not session_id or not sequence or stored != fingerprint:
            return None
        number = number_of(sequence)
        if number is None:
            log.warning("the stored session of shard %s cannot be read; a new one begins", slot)
            return None
        return Session(session_id, number, resume_url, stored, number_of(tries) or 0)

    async def count_resume(self, lease: Lease) -> None:
        """Count a RESUME that is about to be sent, also for a successor; raises LeaseLostError."""
        await self._write(lease, ("HINCRBY", self._keys.session(lease.slot), "tries", "1"))

    async def reset_resume_count(self, lease: Lease) -> None:
        """Reset the count of RESUMEs; raises LeaseLostError."""
        await self._write(lease, ("HDEL", self._keys.session(lease.slot), "tries"))

    async def _write(self, lease: Lease, operation: Operation) -> None:
        if not await self._scripts.write(self._keys.fence(lease.slot), lease.fence, [operation]):
            raise LeaseLostError

    async def covered_until_ms(self, era: int) -> int | None:
        """Return the time until which the streams of earlier eras are complete, in ms since 1970.

        0: unknown; None: they have no events.
        """
        stored: Any = await self._redis.hgetall(self._keys.eras)
        shards: dict[int, list[Slot]] = {}
        for field, count in stored.items():
            number, _, shard_id = field.partition(b":")
            begun, shard_count = number_of(number) or 0, number_of(count) or 0
            if 0 < begun < era and shard_count:
                shards.setdefault(begun, []).append(Slot(number_of(shard_id) or 0, shard_count))
        for _, slots in sorted(shards.items(), reverse=True):
            if len(slots) == slots[0].shard_count:  # every guild had its connection
                times = [await self._as_of(slot) for slot in slots]
                return min(times)
        return 0 if shards else None

    async def _as_of(self, slot: Slot) -> int:
        stored: Any = await self._redis.hget(self._keys.status(slot), "as_of")
        return number_of(stored) or 0

    def forget(self, slot: Slot) -> Operation:
        """Return the operation that deletes a session that Discord has dropped."""
        return ("DEL", self._keys.session(slot))

    async def may_identify(self, lease: Lease, group: int, floor: int | None) -> IdentifyAnswer:
        """Request an IDENTIFY. After GO, connect and call `charge_identify` and `identified`, or `not_identified`.

        Args:
            lease: of the shard.
            group: shard id modulo Discord's max_concurrency; each group has its own pace.
            floor: number of IDENTIFYs a day that stay unused; None uses all.
        """
        verdict, *rest = await self._request_identify(lease, group, floor, lease.slot)
        if verdict == b"WAIT" and (holder := Slot.of(rest[1].decode())) not in {None, lease.slot}:
            verdict, *rest = await self._request_identify(lease, group, floor, holder)
        match verdict:
            case b"WAIT":
                return IdentifyAnswer("WAIT", wait_s=rest[0] / 1000)
            case b"LOW":
                return IdentifyAnswer("LOW", rest[0], rest[1] / 1000)
            case _:
                return IdentifyAnswer(verdict.decode(), rest[0])

    async def _request_identify(self, lease: Lease, group: int, floor: int | None, holder: Slot) -> list[Any]:
        """Run identify.lua; a gate that the former leader of `holder` has shut opens early."""
        keys = [self._keys.identify_budget, self._keys.identify_gate(group), self._keys.lease(holder)]
        arguments = ["" if floor is None else floor, HANDSHAKE_MS, _name_of(lease), GATE_MS, str(holder)]
        reply: list[Any] = await self._scripts.run("identify", keys, arguments)
        return reply

    async def charge_identify(self, lease: Lease, group: int) -> None:
        """Charge the IDENTIFY that is about to be sent. The gate stays shut until `identified`.

        Raises:
            LeaseLostError: another leader has the turn, as this one counted as dead.
        """
        keys = [self._keys.identify_budget, self._keys.identify_gate(group)]
        if not await self._scripts.run("charge_identify", keys, [_name_of(lease), HANDSHAKE_MS]):
            raise LeaseLostError

    async def identified(self, lease: Lease, group: int) -> None:
        """Let the next of the group follow at Discord's pace: the IDENTIFY was sent."""
        await self._end_turn(lease, group, GATE_MS)

    async def not_identified(self, lease: Lease, group: int) -> None:
        """Let others of the group go ahead: the connection failed before an IDENTIFY was sent."""
        await self._end_turn(lease, group, 0)

    async def _end_turn(self, lease: Lease, group: int, gate_ms: int) -> None:
        await self._scripts.run("end_turn", [self._keys.identify_gate(group)], [_name_of(lease), gate_ms])

    async def set_budget(self, info: GatewayInfo) -> None:
        """Store Discord's budget of IDENTIFYs."""
        reset_at_ms = milliseconds(await request_time(self._redis, self._keys)) + info.reset_after_ms
        key = self._keys.identify_budget
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hset(key, mapping={"remaining": info.remaining, "reset_at_ms": reset_at_ms})
            pipeline.pexpireat(key, reset_at_ms + 60_000)
            await pipeline.execute()

    async def record_failure(self, fingerprint: str, line: str) -> None:
        """Record a fatal failure for all workers with the same token and intents."""
        await self._redis.set(self._keys.fatal, json.dumps({"fingerprint": fingerprint, "line": line}), px=FATAL_MS)

    async def recorded_failure(self, fingerprint: str) -> tuple[str, float] | None:
        """Return the recorded failure of the same token and intents: its line and the seconds it still holds."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.get(self._keys.fatal)
            pipeline.pttl(self._keys.fatal)
            text, ms = await pipeline.execute()
        try:
            record = json.loads(text) if text else {}
            return (str(record["line"]), ms / 1000) if record.get("fingerprint") == fingerprint else None
        except (AttributeError, KeyError, ValueError):
            log.warning("the recorded failure cannot be read and is ignored")
            return None

    async def set_login_error(self, line: str, lives_s: float) -> None:
        """Publish why no connection comes about while no lease is held."""
        await self._redis.set(self._keys.login_error, line, px=round(lives_s * 1000))


def _name_of(lease: Lease) -> str:
    """Return a name that no other term has; identify.lua reads its parts."""
    return f"{lease.slot}:{lease.fence}"
