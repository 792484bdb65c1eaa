"""Callers that send continuously, record the answers, and repeat where the error allows it."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chaos.verdict import Send
from discordproxy.aio import AsyncDiscordClient
from discordproxy.exceptions import DiscordProxyException

TIMEOUTS_S = (1.0, 4.0, 15.0)
ATTEMPTS = 6
PAUSE_S = 0.3


@dataclass(frozen=True)
class Targets:
    """Destinations of messages. `webhooks`: pairs of id and token."""

    channels: Sequence[int]
    users: Sequence[int]
    webhooks: Sequence[tuple[int, str]]


Attempt = Callable[[AsyncDiscordClient, Targets, random.Random, str, float], Awaitable[object]]


def _message(
    client: AsyncDiscordClient, to: Targets, rng: random.Random, text: str, timeout: float
) -> Awaitable[object]:
    return client.create_channel_message(rng.choice(to.channels), text, timeout=timeout)


def _direct(
    client: AsyncDiscordClient, to: Targets, rng: random.Random, text: str, timeout: float
) -> Awaitable[object]:
    return client.create_direct_message(rng.choice(to.users), text, timeout=timeout)


def _webhook(
    client: AsyncDiscordClient, to: Targets, rng: random.Random, text: str, timeout: float
) -> Awaitable[object]:
    return client.execute_webhook(*rng.choice(to.webhooks), text, timeout=timeout)


def _keyed(client: AsyncDiscordClient, to: Targets, rng: random.Random, text: str, timeout: float) -> Awaitable[object]:
    return client.execute_webhook(*_same(to.webhooks, text), text, timeout=timeout, idempotency_key=text)


def _keyed_message(
    client: AsyncDiscordClient, to: Targets, rng: random.Random, text: str, timeout: float
) -> Awaitable[object]:
    return client.create_channel_message(_same(to.channels, text), text, timeout=timeout, idempotency_key=text)


def _same(places: Sequence[Any], text: str) -> Any:
    """Return a destination that depends only on the text: a key must always come with the same request."""
    return places[int(text.rpartition(" ")[2]) % len(places)]


@dataclass(frozen=True)
class Way:
    """A way of sending.

    Attributes:
        retries: repeats of the client library.
        again_after: values of the error's `sent` after which the caller repeats.
    """

    attempt: Attempt
    retries: int = 0
    again_after: tuple[str, ...] = ("no",)


WAYS = {
    "message": Way(_message),
    "message, client repeats": Way(_message, retries=5),
    "message with a key": Way(_keyed_message, retries=2, again_after=("no", "unknown")),
    "direct message": Way(_direct, retries=2),
    "webhook": Way(_webhook),
    "webhook with a key": Way(_keyed, retries=2, again_after=("no", "unknown")),
}


class Senders:
    """Sends until `stopping` is set; `sends` holds all sends."""

    def __init__(self, target: str, targets: Targets, *, seed: int) -> None:
        self.sends: list[Send] = []
        self.stopping = asyncio.Event()
        self._targets, self._seed = targets, seed
        self._numbers = itertools.count(1)
        self._clients = {way: AsyncDiscordClient(target, retries=WAYS[way].retries) for way in WAYS}

    async def run(self, callers: int) -> None:
        """Return when every caller has ended its last send after `stopping` was set."""
        await asyncio.gather(*(self._caller(random.Random(f"{self._seed} {n}")) for n in range(callers)))

    async def _caller(self, rng: random.Random) -> None:
        while not self.stopping.is_set():
            way = rng.choice(list(WAYS))
            send = Send(way, f"chaos {next(self._numbers)}")
            self.sends.append(send)
            await self._send(send, WAYS[way], rng)

    async def _send(self, send: Send, way: Way, rng: random.Random) -> None:
        for _ in range(ATTEMPTS):
            attempt = way.attempt(self._clients[send.way], self._targets, rng, send.text, rng.choice(TIMEOUTS_S))
            if not await _failed(attempt, send) or send.answers[-1] not in way.again_after or self.stopping.is_set():
                return
            await asyncio.sleep(PAUSE_S * (1 + rng.random()))


async def _failed(attempt: Awaitable[object], send: Send) -> bool:
    try:
        await attempt
    except DiscordProxyException as error:
        send.answers.append(error.sent)
        send.reasons.append(_reason(error))
        return True
    send.answers.append("ok")
    return False


def _reason(error: DiscordProxyException) -> str:
    if error.reason == "INTERNAL" and "not JSON" in str(error):
        return "BROKEN_ANSWER"  # Discord's fault, although the proxy reports it
    status = getattr(error, "status", "")
    return error.reason or f"{type(error).__name__} {getattr(status, 'name', status)}"
