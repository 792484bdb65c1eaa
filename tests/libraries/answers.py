"""Answers of the proxy itself, given to a library in place of Discord's: none may stop it (acceptance 20)."""

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import orjson
from aiohttp import web

from discordproxy_api.calls import errors
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.rest_edge.head import JSON, proxy_headers
from discordproxy_api.rest_edge.refusals import FailedCall, refusal_of
from discordproxy_ratelimit import errors as broker
from libraries.scenarios import Outcome
from libraries.stage import Library, Program, Stage

RETRY_S = 0.3
MAX_REQUESTS = 8
"""More for one message are a loop."""

_NOT_FORWARDED = {"host", "connection", "content-length", "transfer-encoding", "content-encoding", "server", "date"}


def _from_broker(kind: type[broker.BrokerError], **details: object) -> ApiError:
    return errors.from_broker(kind("text", **details))


_IN_DOUBT = {"sent": "unknown", "repeat": Repeat.NEVER}
ANSWERS: dict[str, tuple[ApiError, dict[str, object]]] = {
    "429, wait": (_from_broker(broker.WaitRefusedError, retry_after_s=RETRY_S, reason="WAIT_EXCEEDS_MAX_WAIT"), {}),
    "429, global": (_from_broker(broker.CircuitOpenError, retry_after_s=RETRY_S), {}),
    "429, draining": (errors.draining(), {}),
    "429, Redis": (_from_broker(broker.BrokerUnavailableError, retry_after_s=RETRY_S), {}),
    "503, Redis": (_from_broker(broker.BrokerUnavailableError, retry_after_s=RETRY_S), {"outage_s": 60.0}),
    "503, token": (_from_broker(broker.TokenRejectedError), {}),
    "408": (errors.refusal("UNAVAILABLE", "DISCORD_UNREACHABLE", "lost"), _IN_DOUBT),
    "408, failed": (ApiError("UNAVAILABLE", "DISCORD_ERROR", "failed", http_status=500), _IN_DOUBT),
    "502": (errors.refusal("UNAVAILABLE", "DISCORD_UNREACHABLE", "unreachable"), {}),
    "504": (errors.refusal("UNAVAILABLE", "DISCORD_UNREACHABLE", "lost"), {"sent": "unknown"}),
    "500": (errors.internal("id"), {}),
    "400": (errors.invalid_field("path", "INVALID_PATH", "text"), {}),
    "403": (errors.refusal("PERMISSION_DENIED", "FORBIDDEN_BY_OPERATOR", "text"), {}),
    "413": (errors.refusal("RESOURCE_EXHAUSTED", "REQUEST_TOO_LARGE", "text"), {}),
    "422": (errors.invalid_field("options.idempotency_key", "IDEMPOTENCY_KEY_REUSED", "text"), {}),
}


def _made(error: ApiError, call: dict[str, object]) -> web.Response:
    """Return an answer as the port makes it."""
    failed, now = FailedCall("id", **{"route": "bucket", **call}), time.time()  # type: ignore[arg-type]
    refusal = refusal_of(error, failed)
    headers = proxy_headers("id", failed.sent, 0.0) | refusal.headers(now) | {"Content-Type": JSON}
    return web.Response(status=refusal.status, headers=headers, body=orjson.dumps(refusal.document(failed)))


@dataclass
class _Front:
    """Gives one prepared answer to the next message, and forwards all else to the sandbox."""

    target: str
    url: str = ""
    prepared: str = ""
    statuses: list[int] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            self._session = session
            runner = web.AppRunner(web.Application(client_max_size=1 << 26), access_log=None, shutdown_timeout=0.0)
            runner.app.router.add_route("*", "/{path:.*}", self._handle)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            try:
                yield
            finally:
                await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        is_message = request.method == "POST" and request.path.endswith("/messages")
        if is_message and self.prepared:
            answer, self.prepared = _made(*ANSWERS[self.prepared]), ""
        else:
            answer = await self._forwarded(request)
        if is_message:
            self.statuses.append(answer.status)
        return answer

    async def _forwarded(self, request: web.Request) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_FORWARDED}
        body = await request.read()
        async with self._session.request(
            request.method, self.target + request.raw_path, data=body or None, headers=headers
        ) as found:
            kept = {name: value for name, value in found.headers.items() if name.lower() not in _NOT_FORWARDED}
            return web.Response(status=found.status, headers=kept, body=await found.read())


async def parsed(stage: Stage, library: Library) -> Outcome:
    """After each kind of answer, the library's next message is sent."""
    outcome, figures = Outcome(), []
    stage.discord.limits.set("POST /channels/{channel_id}/messages", None)
    front = _Front(stage.discord.url)
    async with front.serve(), Program(library, front.url) as program:
        for kind in ANSWERS:
            stage.clear()
            front.statuses.clear()
            front.prepared = kind
            result = await program.run("send", content=f"first, {kind}")
            status, *more = front.statuses
            after = await program.run("send", content=f"next, {kind}")
            outcome.require("error" not in after, f"stopped by {kind}: {after}")
            outcome.require(str(status) == kind[:3], f"{status} for {kind}")
            outcome.require(len(more) < MAX_REQUESTS, f"{len(more)} repeats after {kind}")
            outcome.require(more or "error" in result, f"{kind} is not reported")
            outcome.require(not (more and status == 408), f"{kind} is repeated")
            figures.append(f"{kind}: {'repeated' if more else result['error']}")
    outcome.figures = "; ".join(figures)
    return outcome
