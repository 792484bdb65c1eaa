"""A caller of the library benchmark with discord.py; only the base URL is changed."""

import asyncio
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bench.libraries.caller import Send, serve

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it imports audioop
    import discord


@asynccontextmanager
async def connect(job: dict[str, Any]) -> AsyncIterator[Send]:
    discord.http.Route.BASE = f"{job['api']}/v10"
    client = discord.Client(intents=discord.Intents.none())
    await client.login(job["token"])
    embed = discord.Embed.from_dict(job["embed"]) if "embed" in job else None
    try:

        async def send(to: int, text: str) -> int:
            return (await client.get_partial_messageable(to).send(text or job["content"], embed=embed)).id

        yield send
    finally:
        await client.close()


if __name__ == "__main__":
    asyncio.run(serve(connect))
