"""A pipeline to a real server whose script calls take another way."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

from discordproxy_ratelimit.redis.client import open_pipeline


class TappedPipeline:
    """Passes on all commands but those of these names: their arguments go to `run`, after a function that sends."""

    def __init__(self, pipeline: Any, run: Callable[..., Awaitable[Any]], *, names: tuple[str, ...]) -> None:
        self._pipeline, self._run, self._names = pipeline, run, names

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)

    def send(self, *command: Any) -> asyncio.Future[Any]:
        if command[0] not in self._names:
            return self._pipeline.send(*command)
        send = functools.partial(self._pipeline.send, command[0])
        return asyncio.ensure_future(self._run(send, *command[1:]))


async def open_tapped(client: Any, run: Callable[..., Awaitable[Any]], **options: Any) -> TappedPipeline | None:
    """Return a tapped pipeline to the server of `client`; None for a Cluster."""
    pipeline = await open_pipeline(client, **options)
    return pipeline and TappedPipeline(pipeline, run, names=("EVALSHA", "FCALL"))
