"""One attempt of a request, the ways it can fail, and the errors for its caller."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.retry import Outcome
from discordproxy_api.discord.http1.response import (
    CERTIFICATE_REFUSED,
    HttpResponse,
    NoAnswerError,
    UnreadableAnswerError,
)
from discordproxy_api.discord.request import RestRequest
from discordproxy_ratelimit.headers import Answer, retry_after_s
from discordproxy_ratelimit.permit import Permit

_CAUSES = {"gaierror": "host name not found", "ConnectionRefusedError": "connection refused"}
"""Exceptions of a connection, in the words of an error text."""


@dataclass(slots=True)
class FailedAttempt:
    """The end of an attempt without a reply of status 2xx.

    Attributes:
        outcome: may allow a repeat; None if a repeat would fail in the same way.
        error: of an attempt without a usable response.
        response, answer: of an attempt with one.
        retry_after_s: seconds until a repeat can succeed; None if unknown.
    """

    outcome: Outcome | None = None
    error: ApiError | None = None
    response: HttpResponse | None = None
    answer: Answer | None = None
    retry_after_s: float | None = None

    def as_error(self) -> ApiError:
        """Return the error for the caller."""
        if self.response is None or self.answer is None:
            assert self.error is not None, "there is a response or an error"  # noqa: S101 - for the type checker
            return self.error
        response = self.response
        return errors.from_answer(self.answer, response.headers, response.body, retry_after_s=self.retry_after_s)


class Attempt:
    """One attempt that holds a permit. It does not refer to its exchange: the cycle would keep files in memory."""

    __slots__ = ("answered", "call", "first_sent_at", "permit", "request", "started_at", "written")

    def __init__(self, request: RestRequest, call: Call, permit: Permit, first_sent_at: float) -> None:
        self.request = request
        self.call = call
        self.permit = permit
        self.first_sent_at = first_sent_at
        self.started_at = first_sent_at
        self.written = self.answered = False

    def before_write(self) -> None:
        """Record that the first byte is about to be written; raises `BrokerError` if the permit has expired."""
        self.permit.sent()
        self.written = True
        self.call.left(asyncio.get_running_loop().time(), effect=self.request.effect)


async def announce_effect(call: Call) -> None:
    """Await the announcements of a request that has the effect requested by the caller."""
    if call.before_each_effect is not None:
        await call.before_each_effect()
    announce, call.before_effect = call.before_effect, None
    if announce is not None:
        await announce()


def refused(attempt: Attempt, response: HttpResponse, answer: Answer, held_back_s: float | None) -> FailedAttempt:
    """Return the failure for a response other than 2xx; `held_back_s` is how long the broker delays a repeat."""
    status, effect = response.status, attempt.request.effect
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        attempt.call.lost(status, effect=effect)
        wait_s = retry_after_s(response.headers)
        return FailedAttempt(Outcome.FAILED, response=response, answer=answer, retry_after_s=wait_s)
    attempt.call.refused(status, effect=effect)
    limited = status == HTTPStatus.TOO_MANY_REQUESTS and answer.from_discord  # a 429 of the edge blocks this address
    outcome = Outcome.LIMITED if limited else None
    return FailedAttempt(outcome, response=response, answer=answer, retry_after_s=held_back_s)


def without_answer(attempt: Attempt, error: NoAnswerError) -> FailedAttempt:
    """Return the failure for an error in place of a response."""
    if isinstance(error, UnreadableAnswerError):
        attempt.call.lost(effect=attempt.request.effect)
        text = f"Discord's answer cannot be read ({error}); whether the request took effect is unknown."
        return FailedAttempt(error=errors.refusal("INTERNAL", "INTERNAL", text))
    if attempt.written:
        attempt.call.lost(effect=attempt.request.effect)
        text = f"Discord did not answer ({error}); whether the request took effect is unknown."
        return FailedAttempt(Outcome.LOST, _unreachable(text))
    cause = _CAUSES.get(str(error), str(error))
    also = "clock, SSL_CERT_FILE" if cause.startswith(CERTIFICATE_REFUSED) else "network"
    text = (
        f"Discord could not be reached ({cause}); check the machine's {also}, HTTPS_PROXY and DISCORDPROXY_DISCORD_URL."
    )
    return FailedAttempt(Outcome.UNSENT, _unreachable(text))


def accepted_without_body(cut: str) -> FailedAttempt:
    """Return the failure for a 2xx response whose body is missing; see `HttpResponse.cut`."""
    if cut == "lost":
        return FailedAttempt(Outcome.LOST, _unreachable("Discord accepted the request, but its answer broke off."))
    if cut == "unreadable":
        text = "Discord accepted the request, but its answer cannot be decompressed."
        return FailedAttempt(error=errors.refusal("INTERNAL", "INTERNAL", text))
    text = "Discord accepted the request, but its answer is larger than the proxy passes on; request smaller pages."
    return FailedAttempt(error=errors.refusal("RESOURCE_EXHAUSTED", "INTERNAL", text))


def _unreachable(text: str) -> ApiError:
    return errors.refusal("UNAVAILABLE", "DISCORD_UNREACHABLE", text, retry_after_s=1.0)
