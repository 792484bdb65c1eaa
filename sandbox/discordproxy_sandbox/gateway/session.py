"""A gateway session: its sequence, the events stored for a RESUME, and its connection."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import orjson

from discordproxy_sandbox.errors import Json
from discordproxy_sandbox.gateway.intents import visible, wants
from discordproxy_sandbox.world.world import Event

_KEPT_EVENTS = 100_000
_KEPT_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class SandboxSession:
    """The state that survives a lost connection. Events are numbered from 1; `holder` sends them."""

    id: str
    token_key: str
    intents: int
    shard: tuple[int, int]
    bot_id: str
    sequence: int = 0
    holder: Any = None  # the connection that sends; a RESUME on another connection replaces it
    detached_at: float = 0.0
    new_events: asyncio.Event = field(default_factory=asyncio.Event)
    _kept: deque[bytes] = field(default_factory=deque)
    _kept_bytes: int = 0

    def offer(self, event: Event) -> None:
        """Append an event if it belongs to the session's shard and intents."""
        in_guild = bool(event.guild_id)
        if shard_of(event.guild_id, self.shard[1]) != self.shard[0]:
            return
        if wants(self.intents, event.name, event.data, self.bot_id, in_guild=in_guild):
            self.append(event.name, visible(self.intents, event.name, event.data, self.bot_id, in_guild=in_guild))

    def append(self, name: str, data: Json) -> None:
        """Number an event and store it for sending and replay."""
        self._keep(orjson.dumps({"op": 0, "s": self.sequence + 1, "t": name, "d": data}))

    def append_frame(self, frame: str) -> None:
        """Number any text and store it like an event; SEQ in it is replaced by the number."""
        self._keep(frame.replace("SEQ", str(self.sequence + 1)).encode())

    def _keep(self, payload: bytes) -> None:
        self.sequence += 1
        self._kept.append(payload)
        self._kept_bytes += len(payload)
        while len(self._kept) > _KEPT_EVENTS or (self._kept_bytes > _KEPT_BYTES and len(self._kept) > 1):
            self._kept_bytes -= len(self._kept.popleft())
        self.new_events.set()

    def has_all_after(self, sequence: int) -> bool:
        """Return whether every event after this number is still stored."""
        return self.sequence - len(self._kept) <= sequence <= self.sequence

    def after(self, sequence: int, limit: int = 256) -> list[bytes]:
        """Return up to `limit` payloads after a number."""
        start = sequence - (self.sequence - len(self._kept))
        if start < 0:
            return []
        return [self._kept[index] for index in range(start, min(len(self._kept), start + limit))]


def shard_of(guild_id: str, shards: int) -> int:
    """Return the shard of a guild's events; events without a guild go to shard 0."""
    return (int(guild_id) >> 22) % shards if guild_id else 0
