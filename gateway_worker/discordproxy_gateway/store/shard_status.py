"""Publishes the state of one connection for health, metrics and readers, under its lease."""

import logging
import os
import socket
from collections.abc import Sequence
from typing import Any

from redis.exceptions import RedisError

from discordproxy_gateway.keys import Keys
from discordproxy_gateway.store.lease import Lease
from discordproxy_gateway.store.operations import Operation
from discordproxy_gateway.store.scripts import Scripts

log = logging.getLogger(__name__)

CONNECTING = "connecting"
READY = "ready"
WAITING = "waiting"
REFUSED = "refused"
STOPPED = "stopped"
FATAL = "fatal"


class ShardStatus:
    """Writes fields of the status hash under a lease. A lost write is not repeated: the next one supersedes it."""

    def __init__(self, scripts: Scripts, keys: Keys, lease: Lease) -> None:
        self._scripts = scripts
        self._fence_key = keys.fence(lease.slot)
        self._key = keys.status(lease.slot)
        self._lease = lease

    async def set(self, **fields: Any) -> bool:
        """Set fields; None clears one. False if they may not have been written."""
        text = [word for name, value in fields.items() for word in (name, "" if value is None else str(value))]
        return await self._write([("HSET", self._key, *text)])

    async def add(self, **counters: int) -> None:
        """Add to counters."""
        operations = [("HINCRBY", self._key, name, str(by)) for name, by in counters.items() if by]
        if operations:
            await self._write(operations)

    async def _write(self, operations: Sequence[Operation]) -> bool:
        try:
            await self._scripts.write(self._fence_key, self._lease.fence, operations)
        except (RedisError, OSError) as error:
            log.warning("status of shard %s not written: %s", self._lease.slot, type(error).__name__)
            return False
        return True


def owner_name() -> str:
    """Return host and process id, for operators who look for the leader."""
    return f"{socket.gethostname()}:{os.getpid()}"
