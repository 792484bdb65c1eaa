"""A minimal gateway client: reads and sends payloads, and does nothing by itself."""

import asyncio
import contextlib
import zlib
from typing import Any

import aiohttp
import orjson


class GatewayClient:
    """One connection; `events` collects the dispatches that were read."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, compress: str = "") -> None:
        self.socket = socket
        self.events: list[tuple[int, str, Any]] = []
        self._inflate = zlib.decompressobj() if compress == "zlib-stream" else None
        self._zstd = _zstd_reader() if compress == "zstd-stream" else None

    @classmethod
    async def connect(cls, session: aiohttp.ClientSession, url: str, compress: str = "", version: int = 10):
        query = f"?v={version}&encoding=json" + (f"&compress={compress}" if compress else "")
        return cls(await session.ws_connect(url + query, max_msg_size=0), compress)

    async def read(self) -> dict[str, Any]:
        """Return the next payload; raises ConnectionResetError with the close code at the end."""
        message = await asyncio.wait_for(self.socket.receive(), 60)
        if message.type is aiohttp.WSMsgType.TEXT:
            payload = orjson.loads(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            reader = self._inflate or self._zstd
            payload = orjson.loads(reader.decompress(message.data))
        else:
            raise ConnectionResetError(self.socket.close_code)
        if payload["op"] == 0:
            self.events.append((payload["s"], payload["t"], payload["d"]))
        return payload

    async def until(self, name: str) -> Any:
        """Read until an event of this name and return its data."""
        while True:
            payload = await self.read()
            if payload["t"] == name:
                return payload["d"]

    async def until_op(self, op: int) -> Any:
        """Read until a payload with this opcode and return its data."""
        while True:
            payload = await self.read()
            if payload["op"] == op:
                return payload["d"]

    async def until_closed(self) -> int:
        """Read on and return the close code."""
        with contextlib.suppress(ConnectionResetError):
            while True:
                await self.read()
        return self.socket.close_code

    async def send(self, op: int, data: Any) -> None:
        await self.socket.send_str(orjson.dumps({"op": op, "d": data}).decode())

    async def identify(self, intents: int = 1, token: str = "secret", shard: tuple[int, int] = (0, 1), **more) -> Any:
        """IDENTIFY after HELLO."""
        await self.until_op(10)
        properties = {"os": "linux", "browser": "test", "device": "test"}
        data = {"token": token, "intents": intents, "shard": list(shard), "properties": properties} | more
        await self.send(2, data)

    async def resume(self, session_id: str, seq: int, token: str = "secret") -> None:
        """RESUME after HELLO."""
        await self.until_op(10)
        await self.send(6, {"token": token, "session_id": session_id, "seq": seq})


def _zstd_reader() -> Any:
    import zstandard

    return zstandard.ZstdDecompressor().decompressobj()
