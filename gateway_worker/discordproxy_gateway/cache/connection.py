"""Runs read commands on the server of the caches, through a pipelined connection if there is one.

Without a pipeline (on a Cluster, before the first reply, while Redis is unavailable) commands go through redis-py.
No command is repeated: after an error, the caller queries Discord.
"""

import asyncio
from hashlib import sha1
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from discordproxy_gateway.cache.commands import Commands
from discordproxy_gateway.store.scripts import source
from discordproxy_gateway.store.server_time import milliseconds
from discordproxy_ratelimit.process.tasks import cancel
from discordproxy_ratelimit.redis.client import open_pipeline
from discordproxy_ratelimit.redis.pipeline import Pipeline

MAX_TIMEOUT_S = 60.0
"""Of a reply; the client's own timeout is usually shorter."""
REOPEN_S = 1.0
"""Pause between two attempts to open a pipeline."""

_SCRIPT = source("read")
_SHA = sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()


class ReadConnection:
    """Runs read commands. The pipeline is opened by the first use.

    Args:
        redis: client of the server; it opens the pipeline, too.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._pipeline: Pipeline | None = None
        self._opening: asyncio.Task[None] | None = None
        self._may_open_at = 0.0
        self._closed = False

    async def run(self, commands: Commands) -> tuple[int, list[Any]]:
        """Run commands in one atomic step.

        Returns:
            The server's time in ms, and the decoded replies.

        Raises:
            RedisError, OSError: Redis does not answer or refuses a command.
        """
        words = (len(commands.keys), *commands.keys, commands.packed())
        pipeline = self._open_pipeline()
        evaluate = self._redis.execute_command if pipeline is None else pipeline.send
        try:
            reply: Any = await evaluate("EVALSHA", _SHA, *words)
        except NoScriptError:  # nothing has run
            reply = await evaluate("EVAL", _SCRIPT, *words)
        return milliseconds(reply[0]), commands.shaped(reply[1:])

    def send_packed(self, packed: bytes, commands: int) -> asyncio.Future[list[Any]] | None:
        """Send encoded commands, see `Pipeline.send_packed`; writes may come in between. None without a pipeline.

        Raises:
            RedisError: they were not sent.
        """
        pipeline = self._open_pipeline()
        return None if pipeline is None else pipeline.send_packed(packed, commands)

    async def aclose(self) -> None:
        """Close the pipeline; the client stays open."""
        self._closed = True
        if self._opening is not None:
            await cancel(self._opening)
        if self._pipeline is not None:
            self._pipeline.close()
            await asyncio.sleep(0)  # the event loop closes the socket

    def _open_pipeline(self) -> Pipeline | None:
        """Return the pipeline if it is open; otherwise a new one is opened in the background."""
        if self._pipeline is not None and self._pipeline.is_open:
            return self._pipeline
        if not self._closed and asyncio.get_running_loop().time() >= self._may_open_at:
            self._may_open_at = float("inf")
            self._opening = asyncio.create_task(self._open(), name="cache-pipeline")
        return None

    async def _open(self) -> None:
        try:
            self._pipeline = await open_pipeline(self._redis, timeout_s=MAX_TIMEOUT_S, on_lost=_nothing)
        except (RedisError, OSError, TimeoutError):
            self._pipeline = None  # reads go through redis-py, which reports the problem
        finally:
            self._may_open_at = asyncio.get_running_loop().time() + REOPEN_S


def _nothing() -> None:
    """Called when the pipeline ends; the next read opens another one."""
