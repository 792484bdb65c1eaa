"""What a request without files costs with aiohttp and with the client of `discord/http1/`.

    .venv/bin/python tests/bench/bench_http1.py [rounds]

CPU of this process per request, and functions entered. The server is a process of its own that answers at once, with
the headers that Discord sends. Both clients take turns, so that what else the machine does meets both.
"""

import asyncio
import contextlib
import gzip
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import aiohttp
import orjson
import uvloop
from yarl import URL

from discordproxy_api.discord.http import DiscordHttp, HttpOptions
from discordproxy_api.discord.request import RestRequest
from discordproxy_ratelimit.route import route_of

REQUESTS, CALLERS = 2_000, (1, 64)
TOKEN = "bench"

SERVER = """
import asyncio, sys, uvloop
body = bytes.fromhex(sys.argv[1])
packed = sys.argv[2] == "gzip"
headers = {
    "Date": "Mon, 30 Nov 2026 04:00:00 GMT", "Content-Type": "application/json", "Content-Length": str(len(body)),
    "Connection": "keep-alive", "CF-Ray": "9a6d3bb20a1b5c2d-FRA", "strict-transport-security": "max-age=31536000",
    "x-ratelimit-bucket": "80c17d2f203122d936070c88c8d10f33", "x-ratelimit-limit": "5", "x-ratelimit-remaining": "4",
    "x-ratelimit-reset": "1470173023.123", "x-ratelimit-reset-after": "1.000", "vary": "Accept-Encoding",
    "via": "1.1 google", "alt-svc": 'h3=":443"; ma=86400', "CF-Cache-Status": "DYNAMIC", "Server": "cloudflare",
    "set-cookie": "__cfruid=0123456789abcdef0123456789abcdef01234567-1700000000; path=/; domain=.discord.com; HttpOnly",
    "x-content-type-options": "nosniff", "content-security-policy": "frame-ancestors 'none'; default-src 'none'",
    "Report-To": '{"endpoints":[{"url":"https://a.nel.example/report"}],"group":"cf-nel","max_age":604800}',
}
if packed:
    headers["Content-Encoding"] = "gzip"
lines = "".join(f"{name}: {value}\\r\\n" for name, value in headers.items())
ANSWER = f"HTTP/1.1 200 OK\\r\\n{lines}\\r\\n".encode() + body

class Server(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        if data.endswith(b"}"):
            self.transport.write(ANSWER)

async def main():
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

uvloop.run(main())
"""

ANSWER = orjson.dumps({"id": "5", "content": "Fleet leaves at 19:00", "embeds": [{"title": str(n)} for n in range(40)]})
REQUEST = RestRequest(
    method="POST",
    path="/channels/5/messages",
    route=route_of("POST", "/channels/{channel_id}/messages", {"channel_id": "5"}, body_keys=(), now_ms=0),
    body=orjson.dumps({"content": "Fleet leaves at 19:00", "embeds": [{"title": str(n)} for n in range(20)]}),
)

Exchange = Callable[[], Awaitable[object]]


@contextlib.contextmanager
def server(*, packed: bool) -> Iterator[str]:
    body = gzip.compress(ANSWER) if packed else ANSWER
    command = (sys.executable, "-c", SERVER, body.hex(), "gzip" if packed else "")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/api/v10"
        finally:
            process.terminate()


def before_write() -> None:
    """Stand in for the permit."""


def by_aiohttp(session: aiohttp.ClientSession, url: str) -> Exchange:
    """Send the request with aiohttp, and remove the token from the response as `DiscordHttp` does."""
    headers = {"Authorization": f"Bot {TOKEN}", "Content-Type": "application/json"}

    async def exchange() -> object:
        async with session.request(
            REQUEST.method, URL(url + REQUEST.target, encoded=True), headers=headers, data=REQUEST.body
        ) as response:
            body = await response.read()
            assert TOKEN not in "".join(response.headers.values())
            return response.status, response.headers, body.replace(TOKEN.encode(), b"***")

    return exchange


async def cost_us(exchange: Exchange, callers: int) -> float:
    """Return the microseconds of CPU that a request takes of this process."""

    async def calls() -> None:
        for _ in range(REQUESTS // callers):
            await exchange()

    began = time.process_time()
    await asyncio.gather(*(calls() for _ in range(callers)))
    return (time.process_time() - began) / (REQUESTS // callers * callers) * 1e6


async def functions(exchange: Exchange) -> str:
    """Return how many functions a request enters: written in Python, and built in."""
    entered: Counter[str] = Counter()
    sys.setprofile(lambda _frame, event, _argument: entered.update([event]))
    try:
        for _ in range(100):
            await exchange()
    finally:
        sys.setprofile(None)
    return f"{entered['call'] / 100:.0f} + {entered['c_call'] / 100:.0f}"


def show(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a benchmark speaks to its reader


async def compare(rounds: int, *, packed: bool) -> None:
    with server(packed=packed) as url:
        async with (
            DiscordHttp(HttpOptions(url, "bench"), token=TOKEN) as http,
            aiohttp.ClientSession(headers={"User-Agent": "bench"}, cookie_jar=aiohttp.DummyCookieJar()) as session,
        ):
            both = {
                "aiohttp": by_aiohttp(session, url),
                "http1": lambda: http.exchange(REQUEST, before_write).response(),
            }
            entered = {name: await functions(exchange) for name, exchange in both.items()}
            for callers in CALLERS:
                figures: dict[str, list[float]] = {name: [] for name in both}
                for _ in range(rounds):
                    for name, exchange in both.items():
                        figures[name].append(await cost_us(exchange, callers))
                medians = {name: statistics.median(each) for name, each in figures.items()}
                show(f"{'gzip' if packed else 'plain'}, {callers} callers:")
                for name, median in medians.items():
                    low, high = min(figures[name]), max(figures[name])
                    show(f"  {name:8} {median:6.0f} us ({low:.0f}-{high:.0f}), functions {entered[name]}")
                show(f"  ratio {medians['aiohttp'] / medians['http1']:.2f}")


async def main(rounds: int) -> None:
    """Measure and print, for answers with and without compression."""
    for packed in (False, True):
        await compare(rounds, packed=packed)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 7))
