"""The published state of the gateway worker, for health, metrics and the status page."""

import json
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from discordproxy_gateway.ids import MAX_SHARDS, number_of, text_of
from discordproxy_gateway.keys import Keys, Slot
from discordproxy_gateway.store.server_time import milliseconds, request_time


@dataclass(frozen=True, slots=True)
class ShardState:
    """One connection.

    Attributes:
        state: connecting, ready, waiting, stopped, fatal; "" when no worker ever led this shard.
        held: a gateway worker holds its lease now.
        age_s: seconds since the connection was last known to be current; None if it never was.
        reason: why it is not ready, a line for the operator; "" if there is none.
        counters: identifies, resumes, events, bad_events, backlog, latency_ms, fence, as far as published.
    """

    slot: Slot
    state: str
    held: bool
    age_s: float | None
    reason: str
    connected_since: str
    owner: str
    counters: dict[str, int]


@dataclass(frozen=True, slots=True)
class GatewayState:
    """All connections of the bot.

    Attributes:
        failure: the operator's line of a failure that keeps all gateway workers from connecting; "" if there is none.
        login_error: why a worker that holds no shard yet cannot log in; "" if there is none.
        identifies_left: new sessions Discord still allows today; None if unknown.
        guilds: guilds in the cache.
        channels: channels and threads in the cache.
        intents: names of the intents the bot connects with, () before it ever did.
    """

    shards: tuple[ShardState, ...]
    failure: str
    identifies_left: int | None
    guilds: int
    channels: int
    intents: tuple[str, ...]
    login_error: str = ""

    @property
    def running(self) -> bool:
        """Whether a gateway worker is running, according to Redis."""
        return bool(self.login_error) or any(shard.held for shard in self.shards)

    @property
    def login_problem(self) -> str:
        """The reason why the gateway worker cannot log in, as a sentence; "" if it can, or none is running."""
        if self.ready:
            return f"another gateway worker cannot log in: {self.failure}" if self.failure else ""
        refused = [shard for shard in self.shards if shard.reason and shard.state in _CANNOT_LOG_IN]
        reasons = [shard.reason for shard in refused if shard.held or shard.state == "fatal"]
        cause = self.failure or (reasons[0] if reasons else self.login_error)
        if not cause:
            return ""
        return f"the gateway worker {'runs but ' if self.running else ''}cannot log in: {cause}"

    @property
    def ready(self) -> bool:
        """Whether every shard is held and has its session."""
        return bool(self.shards) and all(shard.held and shard.state == "ready" for shard in self.shards)


_CANNOT_LOG_IN = frozenset({"waiting", "refused", "fatal"})

_COUNTERS = ("identifies", "resumes", "events", "bad_events", "backlog", "latency_ms", "fence")


async def read_state(redis: Redis, keys: Keys) -> GatewayState:
    """Read the state of the gateway; two round trips."""
    led, known = await redis.mget(keys.division, keys.shard_count)  # leaders may not have connected yet
    shard_count = number_of(led, maximum=MAX_SHARDS) or number_of(known, maximum=MAX_SHARDS) or 1
    slots = [Slot(shard_id, shard_count) for shard_id in range(shard_count)]
    pipeline = redis.pipeline(transaction=False)
    request_time(pipeline, keys)
    pipeline.get(keys.fatal)
    pipeline.get(keys.login_error)
    pipeline.hget(keys.identify_budget, "remaining")
    pipeline.hlen(keys.guilds)
    pipeline.hlen(keys.channel_index)
    for slot in slots:
        pipeline.hgetall(keys.status(slot))
        pipeline.exists(keys.lease(slot))
    time, failure, login_error, remaining, guilds, channels, *rows = await pipeline.execute()
    now_ms = milliseconds(time)
    fields = [{text_of(name): text_of(value) for name, value in row.items()} for row in rows[::2]]
    shards = (_shard(*each, now_ms) for each in zip(slots, fields, rows[1::2], strict=True))
    return GatewayState(
        shards=tuple(shards),
        failure=_line_of(failure),
        login_error=text_of(login_error),
        identifies_left=number_of(remaining),
        guilds=guilds,
        channels=channels,
        intents=tuple(fields[0].get("intents", "").split()),
    )


def _shard(slot: Slot, fields: dict[str, str], held: Any, now_ms: int) -> ShardState:
    as_of = number_of(fields.get("as_of"))
    return ShardState(
        slot=slot,
        state=fields.get("state", ""),
        held=bool(held),
        age_s=abs(now_ms - as_of) / 1000 if as_of else None,
        reason=fields.get("reason", ""),
        connected_since=fields.get("connected_since", ""),
        owner=fields.get("owner", ""),
        counters={name: value for name in _COUNTERS if (value := number_of(fields.get(name))) is not None},
    )


def _line_of(failure: bytes | None) -> str:
    """Return the operator's line of a recorded failure, "" if there is none that can be read."""
    try:
        return str(json.loads(failure)["line"]) if failure else ""
    except (ValueError, LookupError, TypeError):
        return ""
