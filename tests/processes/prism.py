"""Prism between the proxy and Discord: an independent validator with Discord's OpenAPI description.

It forwards every request and reports violations in a header; a recorder in front of it collects the reports.
"""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from fakes.ports import free_port
from processes.process import Process
from strategies.discord_spec import need

COMMAND = Path(__file__).resolve().parents[2] / ".prism" / "node_modules" / ".bin" / "prism"
REPORT = "sl-violations"
LONGEST_REPORT = 1 << 20
START_S = 150.0
_OF_ONE_HOP = {"connection", "content-length", "content-encoding", "keep-alive", "transfer-encoding", REPORT}


@dataclass(frozen=True, slots=True)
class Violation:
    """A violation at `place`: request.body.embeds.0.title, response.body ..."""

    operation: str
    place: str
    message: str


@dataclass(slots=True)
class Prism:
    """A running Prism: clients use `url`; it forwards to a Discord on `upstream_port`."""

    upstream_port: int
    url: str = ""
    violations: list[Violation] = field(default_factory=list)
    judged: int = 0


@contextlib.asynccontextmanager
async def prism(folder: Path) -> AsyncIterator[Prism]:
    """Run Prism and its recorder; skip the test with a message if Prism or Discord's description is missing."""
    spec = need("openapi.json", "every RPC by an independent judge")
    if not COMMAND.exists():
        pytest.skip(f"NOT CHECKED: every RPC by an independent judge; {COMMAND} is missing, make prism installs it")
    judge = Prism(upstream_port=free_port())
    port = free_port()
    upstream = f"http://127.0.0.1:{judge.upstream_port}"
    arguments = ("proxy", "-p", str(port), "-h", "127.0.0.1", "-v", "info", str(spec), upstream)
    async with Process(str(COMMAND), *arguments, env={}, cwd=folder) as process:
        await process.line("is listening", within_s=START_S)
        async with _recorder(judge, f"http://127.0.0.1:{port}"):
            yield judge


@contextlib.asynccontextmanager
async def _recorder(judge: Prism, prism_url: str) -> AsyncIterator[None]:
    closing = aiohttp.TCPConnector(force_close=True)  # Prism ends idle connections in the moment of the next request
    session = aiohttp.ClientSession(connector=closing, max_field_size=LONGEST_REPORT)

    async def pass_on(request: web.Request) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OF_ONE_HOP}
        async with session.request(
            request.method, prism_url + request.raw_path, headers=headers, data=await request.read()
        ) as answer:
            judge.judged += 1
            for report in json.loads(answer.headers.get(REPORT, "[]")):
                place = ".".join(str(part) for part in report["location"])
                judge.violations.append(Violation(f"{request.method} {request.path}", place, report["message"]))
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _OF_ONE_HOP}
            return web.Response(status=answer.status, headers=kept, body=await answer.read())

    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", pass_on)
    runner = web.AppRunner(app, access_log=None)
    async with session:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        judge.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield
        finally:
            await runner.cleanup()
