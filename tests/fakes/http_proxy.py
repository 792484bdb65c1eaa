"""A small HTTP proxy for plain HTTP and websockets; it passes requests for any host to one port."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass
class PassedOn:
    """The forwarded requests: `lines` are their first lines, `heads` all text up to the body."""

    port: int = 0
    heads: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        return [head.partition("\r\n")[0] for head in self.heads]


@contextlib.asynccontextmanager
async def http_proxy(to_port: int) -> AsyncIterator[PassedOn]:
    """Listen on a free port of 127.0.0.1; a connection carries one request."""
    seen, serving, writers = PassedOn(), set(), set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        writers.add(writer)
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(contextlib.suppress(ConnectionError, asyncio.IncompleteReadError))
            stack.push_async_callback(_closed, writer)
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            seen.heads.append(head)
            method, url, rest = head.split(" ", 2)
            there, onward = await asyncio.open_connection("127.0.0.1", to_port)
            stack.push_async_callback(_closed, onward)
            lasting = "" if "upgrade:" in rest.lower() else "Connection: close\r\n"
            version, _, headers = rest.partition("\r\n")
            path = url.partition("://")[2].partition("/")[2]
            onward.write(f"{method} /{path} {version}\r\n{lasting}{headers}".encode())
            pumps = [asyncio.create_task(_pump(*ends)) for ends in ((reader, onward), (there, writer))]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await asyncio.gather(*serving, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
