"""Runs the Lua scripts."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis

from discordproxy_gateway.store.operations import Operation, pack

_PRELUDES = {"apply": ("index", "write"), "fenced": ("index", "write")}


def source(name: str) -> str:
    """Return the text of a script, with the file it builds on in front."""
    folder = files("discordproxy_gateway") / "lua"
    return "\n".join((folder / f"{part}.lua").read_text("utf-8") for part in (*_PRELUDES.get(name, ()), name))


class Scripts:
    """Runs the scripts on one client, with its errors; a lost reply leaves the outcome unknown."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self._scripts = {
            name: redis.register_script(source(name))
            for name in ("acquire_lease", "renew_lease", "release_lease", "fenced", "apply", "identify", "identified")
        }

    async def run(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run a script by its file's name; it is loaded again after a restart of the server."""
        return await self._scripts[name](keys=keys, args=arguments)

    async def write(self, fence_key: str, fence: int, operations: Sequence[Operation]) -> bool:
        """Run operations if `fence` is still the newest; False if it is not and nothing was written."""
        keys, packed = pack(operations, (fence_key,))
        return bool(await self.run("fenced", keys, (fence, packed)) == b"OK")
