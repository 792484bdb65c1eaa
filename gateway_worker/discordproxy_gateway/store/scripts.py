"""Runs the Lua scripts, on one pipelined connection that all shards of a process share."""

import asyncio
from collections.abc import Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from discordproxy_gateway.store.operations import Operation, pack
from discordproxy_ratelimit.redis.client import open_pipeline
from discordproxy_ratelimit.redis.pipeline import Pipeline

REPLY_S = 1.0
"""Time limit of a reply; the client's own limit applies if it is shorter."""

_NAMES = (
    *("acquire_lease", "renew_lease", "release_lease", "fenced", "apply"),
    *("identify", "charge_identify", "end_turn"),
)
_WRITE = ("index", "pending", "write")
_PRELUDES = {"apply": _WRITE, "fenced": _WRITE, "overlay": ("pending",)}


def source(name: str) -> str:
    """Return the text of a script, with the files it builds on in front."""
    folder = files("discordproxy_gateway") / "lua"
    return "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in (*_PRELUDES.get(name, ()), name))


class Scripts:
    """Runs the scripts on one client's server, with its errors; a lost reply leaves the outcome unknown.

    The connection is opened by the first script and again after it was lost. A Cluster has no pipelined connection:
    scripts run on the client's own ones.
    """

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self._texts = {name: source(name) for name in _NAMES}
        self._hashes = {
            name: sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in self._texts.items()
        }
        self._pipeline: Pipeline | None = None
        self._connecting = asyncio.Lock()

    async def run(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run a script by its file's name; a server that does not have it gets its text."""
        try:
            return await self._send("EVALSHA", self._hashes[name], len(keys), *keys, *arguments)
        except NoScriptError:  # nothing has run
            return await self._send("EVAL", self._texts[name], len(keys), *keys, *arguments)

    async def write(self, fence_key: str, fence: int, operations: Sequence[Operation]) -> bool:
        """Run operations if `fence` is still the newest; False if it is not and nothing was written."""
        keys, packed = pack(operations, (fence_key,))
        return bool(await self.run("fenced", keys, (fence, packed)) == b"OK")

    def close(self) -> None:
        """Close the pipelined connection; the client stays open."""
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None

    async def _send(self, *command: Any) -> Any:
        pipeline = self._pipeline
        if pipeline is None or not pipeline.is_open:
            pipeline = await self._connect()
        if pipeline is None:
            return await self.redis.execute_command(*command)  # type: ignore[no-untyped-call] # the library's raw call
        return await pipeline.send(*command)

    async def _connect(self) -> Pipeline | None:
        async with self._connecting:
            if self._pipeline is None or not self._pipeline.is_open:
                # After a loss, the next script connects again.
                self._pipeline = await open_pipeline(self.redis, timeout_s=REPLY_S, on_lost=lambda: None)
            return self._pipeline
