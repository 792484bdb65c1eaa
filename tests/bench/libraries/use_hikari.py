"""A caller of the library benchmark with hikari; only the URL and the timeout are changed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import hikari

from bench.libraries.caller import Send, serve


@asynccontextmanager
async def connect(job: dict[str, Any]) -> AsyncIterator[Send]:
    timeouts = hikari.impl.HTTPTimeoutSettings(total=300)
    url = f"{job['rest']}/wait=240/app={job['app']}/api/v10"
    app = hikari.RESTApp(url=url, http_settings=hikari.impl.HTTPSettings(timeouts=timeouts))
    await app.start()
    try:
        async with app.acquire(job["token"], hikari.TokenType.BOT) as rest:
            await rest.fetch_my_user()

            async def send(to: int, text: str) -> int:
                return int((await rest.create_message(to, text)).id)

            yield send
    finally:
        await app.close()


if __name__ == "__main__":
    asyncio.run(serve(connect))
