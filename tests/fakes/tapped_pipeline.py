"""A pipeline to a real server whose script calls take another way."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from discordproxy_ratelimit.connection import open_pipeline


class TappedPipeline:
    """Passes everything on, scripts through `run`, which gets a function that sends and its arguments."""

    def __init__(self, pipeline: Any, run: Callable[..., Awaitable[Any]]) -> None:
        self._pipeline, self._run = pipeline, run

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)

    def send(self, *command: Any) -> asyncio.Future[Any]:
        if command[0] != "EVALSHA":
            return self._pipeline.send(*command)
        return asyncio.ensure_future(self._run(self._pipeline.send, *command))


async def open_tapped(client: Any, run: Callable[..., Awaitable[Any]], **options: Any) -> TappedPipeline | None:
    """Return a tapped pipeline to the server of `client`; None for a Cluster."""
    pipeline = await open_pipeline(client, **options)
    return pipeline and TappedPipeline(pipeline, run)
