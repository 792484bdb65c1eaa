"""Permits of the bot's limits for the requests that the gateway worker makes with the bot's token.

They are few: the login, GET /gateway/bot, the application's settings. Without a permit, they would add to a second that
the API workers have filled. A broker is open during a request only, so that nothing of it is left while there is none.
"""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
import yarl

from discordproxy_ratelimit.broker import Broker, Caller
from discordproxy_ratelimit.errors import BrokerError, TokenRejectedError
from discordproxy_ratelimit.headers import read_answer
from discordproxy_ratelimit.process.tasks import BackgroundTasks
from discordproxy_ratelimit.route import route_of_path

MAX_WAIT_S = 30.0
"""Longest wait for a permit; below the time limit of a request."""

_CALLER = Caller(priority="high")

OpenBroker = Callable[[], Broker]


class NoPermitError(aiohttp.ClientConnectionError):
    """The broker granted no permit; nothing was sent. The library takes it for a failed connection."""


class RequestPermits:
    """Takes a permit before each request, and returns Discord's answer to the broker.

    Args:
        open_broker: returns a broker of this bot that is not started.
        rest_url: base of Discord's REST API; other requests, such as that for a websocket, need no permit.
    """

    def __init__(self, open_broker: OpenBroker, rest_url: str) -> None:
        self._open_broker = open_broker
        self._base = str(yarl.URL(rest_url))  # aiohttp writes the URLs of requests in the same way
        self._closing = BackgroundTasks()

    def trace(self) -> aiohttp.TraceConfig:
        """Return the hooks for a session of aiohttp."""
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(self._acquire)
        trace.on_request_end.append(self._complete)
        trace.on_request_exception.append(self._release)
        return trace

    async def _acquire(self, _session: Any, context: SimpleNamespace, request: aiohttp.TraceRequestStartParams) -> None:
        context.broker = context.permit = None
        url = str(request.url)
        if not url.startswith(f"{self._base}/"):
            return
        route = route_of_path(request.method, url.removeprefix(self._base).partition("?")[0])
        context.broker = broker = self._open_broker()
        try:
            await broker.start()
            until = asyncio.get_running_loop().time() + MAX_WAIT_S
            context.permit = await broker.acquire(route, deadline=until, caller=_CALLER)
            context.permit.sent()
        except TokenRejectedError:  # perhaps an earlier token; calls are refused, so the limit has room
            await self._release(None, context, None)
        except BrokerError as error:
            await self._release(None, context, None)
            raise NoPermitError(f"no permit: {error}") from None
        except BaseException:
            await self._release(None, context, None)
            raise

    async def _complete(self, _session: Any, context: SimpleNamespace, end: aiohttp.TraceRequestEndParams) -> None:
        if context.permit is not None:
            body = await end.response.read()  # the library reads it again, from memory
            context.permit.complete(read_answer(end.response.status, end.response.headers, body))
        await self._release(None, context, None)

    async def _release(self, _session: Any, context: SimpleNamespace, _error: Any) -> None:
        broker, permit, context.broker, context.permit = context.broker, context.permit, None, None
        if permit is not None:
            permit.release()
        if broker is not None:  # in a task of its own, since half a broker would stay open if this is cancelled
            await asyncio.shield(self._closing.start(broker.close()))
