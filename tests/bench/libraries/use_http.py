"""A caller of the library benchmark that sends plain HTTP requests, for proxies without a limiter in their clients."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from bench.libraries.caller import Send, serve


@asynccontextmanager
async def connect(job: dict[str, Any]) -> AsyncIterator[Send]:
    headers = {"Authorization": f"Bot {job['token']}"}
    patient = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(
        headers=headers, connector=aiohttp.TCPConnector(limit=0), timeout=patient
    ) as session:

        async def send(to: int, text: str) -> int:
            url = f"{job['api']}/v10/channels/{to}/messages"
            async with session.post(url, json={"content": text}) as answer:
                if not answer.ok:
                    raise RuntimeError(f"HTTP {answer.status} {await answer.text()}")
                return int((await answer.json())["id"])

        yield send


if __name__ == "__main__":
    asyncio.run(serve(connect))
