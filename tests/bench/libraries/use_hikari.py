"""A caller of the library benchmark with hikari; only the base URL and the timeout are changed.

It runs in an environment of its own, so it imports nothing that needs more than the standard library.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import hikari

from bench.libraries.caller import Send, serve


def _embed(embed: dict[str, Any]) -> hikari.Embed:
    made = hikari.Embed(title=embed["title"], description=embed["description"], color=embed["color"])
    for field in embed["fields"]:
        made.add_field(field["name"], field["value"], inline=field["inline"])
    return made


@asynccontextmanager
async def connect(job: dict[str, Any]) -> AsyncIterator[Send]:
    timeouts = hikari.impl.HTTPTimeoutSettings(total=300)
    app = hikari.RESTApp(url=f"{job['api']}/v10", http_settings=hikari.impl.HTTPSettings(timeouts=timeouts))
    embed = _embed(job["embed"]) if "embed" in job else hikari.UNDEFINED
    await app.start()
    try:
        async with app.acquire(job["token"], hikari.TokenType.BOT) as rest:

            async def send(to: int, text: str) -> int:
                return int((await rest.create_message(to, text or job["content"], embed=embed)).id)

            yield send
    finally:
        await app.close()


if __name__ == "__main__":
    asyncio.run(serve(connect))
