"""A Discord that costs little and never limits: `python -m bench.speed.stand_in PORT SANDBOX_PORT`.

It answers messages to channels, and reads of the channels that it has messages for. The sandbox answers the rest.
"""

import asyncio
import re
import sys
import time

import orjson
import uvloop

from bench.speed import http1
from bench.speed.messages import ANSWER, FIRST_CHANNEL

_SEND = re.compile(r"/api/v\d+/channels/(\d+)/messages\??")  # nirn-proxy adds a question mark
_CHANNEL = re.compile(r"/api/v\d+/channels/(\d+)\??")
_PER_CONNECTION = frozenset({"connection", "content-length", "transfer-encoding", "keep-alive", "host"})
_WINDOW_S = 60


def limits() -> dict[str, str]:
    """Return the headers of a bucket that is never exhausted, as Discord names them."""
    return {
        "Content-Type": "application/json",
        "Via": "1.1 google",
        "X-RateLimit-Bucket": "0123456789abcdef0123456789abcdef",
        "X-RateLimit-Limit": "1000000",
        "X-RateLimit-Remaining": "999999",
        "X-RateLimit-Reset": f"{time.time() + _WINDOW_S:.3f}",
        "X-RateLimit-Reset-After": f"{_WINDOW_S:.3f}",
    }


def answer(request: http1.HttpMessage) -> bytes | None:
    """Return the answer to a request, None if it is one for the sandbox."""
    method, path, _ = request.start
    if method == "POST" and (found := _SEND.fullmatch(path)):
        sent = orjson.loads(request.body)
        embeds = [{"type": "rich", **embed} for embed in sent.get("embeds", ())]
        body = ANSWER | {"channel_id": found[1], "content": sent["content"], "embeds": embeds}
    elif method == "GET" and (found := _CHANNEL.fullmatch(path)) and int(found[1]) >= FIRST_CHANNEL:
        body = {"id": found[1], "type": 0, "guild_id": "300000000000000001", "name": "general", "position": 0}
        body |= {"topic": None, "nsfw": False, "last_message_id": None, "parent_id": None, "permission_overwrites": []}
    else:
        return None
    return http1.write("HTTP/1.1 200 OK", limits(), orjson.dumps(body))


class StandIn:
    """The server; `sandbox_port` is where requests go that it does not answer itself."""

    def __init__(self, sandbox_port: int) -> None:
        self._sandbox_port = sandbox_port

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                request = await http1.read(reader)
                writer.write(answer(request) or await self._forward(request))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _forward(self, request: http1.HttpMessage) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._sandbox_port)
        try:
            headers = {"host": f"127.0.0.1:{self._sandbox_port}", **_end_to_end(request.headers)}
            writer.write(http1.write(" ".join(request.start), headers, request.body))
            found = await http1.read(reader)
        finally:
            writer.close()
        return http1.write(" ".join(found.start), _end_to_end(found.headers), found.body)


def _end_to_end(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in _PER_CONNECTION}


async def main(port: int, sandbox_port: int) -> None:
    server = await asyncio.start_server(StandIn(sandbox_port).serve, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
