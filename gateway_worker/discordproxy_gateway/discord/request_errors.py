"""Reasons and advised waits of failed requests and connections, for log and status. Pure."""

import ssl
from collections.abc import Callable
from typing import Any

import aiohttp
import discord
from redis.exceptions import RedisError

from discordproxy_gateway.request_permits import NoPermitError
from discordproxy_ratelimit.headers import TOO_MANY, read_answer, retry_after_s
from discordproxy_ratelimit.redis.refusals import failure_of

EDGE_WAIT_S = 60.0
"""Minimum wait after Discord's edge has refused this machine's address."""


def describe(error: BaseException) -> str:
    """Return the cause of a failed request or connection in a few words, without any content."""
    if isinstance(error, discord.GatewayNotFound) and error.__cause__ is not None:
        return describe(error.__cause__)
    for kinds, words in _WORDS:
        if isinstance(error, kinds):
            return words if isinstance(words, str) else words(error)
    return type(error).__name__


def advised_wait_s(error: BaseException) -> float:
    """Return the wait that the response advises, in seconds; 0 if it has none."""
    if isinstance(error, discord.RateLimited):
        return max(error.retry_after, 0.0)
    if isinstance(error, discord.HTTPException) and error.status == TOO_MANY:
        answer = read_answer(error.status, error.response.headers, error.text.encode())
        return max(answer.retry_after_s or 1.0, 0.0 if answer.from_discord else EDGE_WAIT_S)
    headers = getattr(error, "headers", None) or getattr(getattr(error, "response", None), "headers", None) or {}
    return retry_after_s(headers) or 0.0


def _unconnected(error: aiohttp.ClientConnectorError) -> str:
    where = f"{error.host}:{error.port}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return f"TLS failed at {where}: {_tls_words(error)}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"host name {error.host} not found"
    return f"cannot connect to {where}: {error.strerror or type(error.os_error).__name__}"


def _tls_words(error: BaseException) -> str:
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    words = getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or type(cause).__name__
    return str(words).replace("_", " ").lower()


_WORDS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str | Callable[[Any], str]], ...] = (
    (aiohttp.ClientResponseError, lambda error: f"handshake refused: HTTP {error.status}"),
    (discord.HTTPException, lambda error: f"refused: HTTP {error.status}"),
    (discord.RateLimited, lambda error: f"rate limited for {error.retry_after:.0f} s"),
    (RedisError, lambda error: f"the server {failure_of(error)}"),
    (NoPermitError, str),
    (aiohttp.ClientConnectorError, _unconnected),
    (ssl.SSLError, lambda error: f"TLS failed: {_tls_words(error)}"),
    (TimeoutError, "no answer in time"),
    ((aiohttp.ServerDisconnectedError, ConnectionResetError, ConnectionAbortedError), "connection lost"),
    (aiohttp.InvalidURL, "the address is no URL"),
    ((ValueError, TypeError, LookupError), "unreadable answer"),
)
"""Kind of error -> its description; the first match counts."""
