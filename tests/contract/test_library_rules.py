"""The proxy's own HTTP answers, read as each Discord library reads them. The rules are from the libraries' sources.

Commits: discord.py 1add8a0, py-cord e53d4bd, nextcord d5c1fed, disnake 3bad63c, hikari 0ac3385, interactions.py
83fef88, discord.js 219ad7b, discordeno 9b5939a, Oceanic 72035a8, Eris 9148597, JDA 5410b27, Discord4J b902be2,
discordgo f43dd94, disgo dcfcfad, serenity f1253f9, twilight 913310e, DSharpPlus 29fab19, Discord.Net 8b92969.
"""

import asyncio
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from multidict import CIMultiDict

from discordproxy_api.calls import errors
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.rest_edge.head import JSON, limit_headers, proxy_headers
from discordproxy_api.rest_edge.refusals import FailedCall, refusal_of
from discordproxy_ratelimit import errors as broker
from fakes.every_case import every_case
from fakes.virtual_time import VirtualClock, run

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # discord.py imports audioop
    from discord.http import Ratelimit

NOW = 1_795_898_400.0


class BannedError(Exception):
    """The library takes an answer for a block by Cloudflare, or stops for good."""


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    document: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return {key.lower(): value for key, value in self.headers.items()}[name.lower()]

    def has(self, name: str) -> bool:
        return name.lower() in {key.lower() for key in self.headers}


def answer(error: ApiError, **call) -> Answer:
    failed = FailedCall("id", **{"route": "fingerprint", **call})
    refusal = refusal_of(error, failed)
    headers = proxy_headers("id", failed.sent, 0.0) | refusal.headers(NOW) | {"Content-Type": JSON}
    return Answer(refusal.status, headers, refusal.document(failed))


def of(kind: type[broker.BrokerError], **details) -> ApiError:
    return errors.from_broker(kind("text", **details))


LIMITED = {
    "max wait": answer(of(broker.WaitRefusedError, retry_after_s=12.48, reason="WAIT_EXCEEDS_MAX_WAIT")),
    "queue full": answer(of(broker.WaitRefusedError, retry_after_s=1.0, reason="QUEUE_FULL")),
    "draining": answer(errors.draining()),
    "redis": answer(of(broker.BrokerUnavailableError)),
    "circuit": answer(of(broker.CircuitOpenError, retry_after_s=60.0)),
    "soon": answer(of(broker.WaitRefusedError, retry_after_s=0.1)),
}


def discord_py(found: Answer) -> float:
    """discord.py, py-cord, disnake: a 429 without Via, or with a body that is no JSON object, is a ban."""
    if not found.has("Via") or found["Content-Type"] != "application/json" or not found.document:
        raise BannedError
    return float(found.document["retry_after"])


def nextcord(found: Answer) -> float:
    """Waits by the header alone, and repeats at once without it."""
    discord_py(found)
    assert found["X-RateLimit-Remaining"] == "0"
    return float(found["X-RateLimit-Reset-After"])


def hikari(found: Answer) -> float:
    """Scope `user` with nothing remaining means: repeat at once."""
    assert found["Content-Type"] == "application/json"
    assert found["X-RateLimit-Scope"] != "user"
    for name in ("X-RateLimit-Limit", "X-RateLimit-Remaining"):
        int(found[name])
    float(found["X-RateLimit-Reset"])
    assert found["X-RateLimit-Bucket"]
    return float(found.document["retry_after"])


def interactions_py(found: Answer) -> float:
    """Only this text is a shared limit, whose end is in the header."""
    if not found.document["global"]:
        assert found.document["message"] == "The resource is being rate limited."
    return float(found["X-RateLimit-Reset-After"])


def discord_js(found: Answer) -> float:
    """Retry-After is a number of seconds; a sublimit has a zero of remaining."""
    return float(found["Retry-After"])


def oceanic(found: Answer) -> float:
    """Oceanic and Eris read the body of a shared limit."""
    assert found["Content-Type"] == "application/json"
    assert found["X-RateLimit-Scope"] in {"shared", "global"}
    return float(found.document["retry_after"])


def jda(found: Answer) -> float:
    """JDA and disgo: no Via means Cloudflare, and everything stops; Retry-After is an integer."""
    if not found.has("Via"):
        raise BannedError
    assert found["X-RateLimit-Global"] == "true" if found.document["global"] else not found.has("X-RateLimit-Global")
    return int(found["Retry-After"])


def discordgo(found: Answer) -> float:
    """The body is decoded into a struct of message, retry_after and global."""
    assert isinstance(found.document["message"], str)
    assert isinstance(found.document["global"], bool)
    return float(found.document["retry_after"])


def discord_net(found: Answer) -> float:
    """Discord.Net parses an integer header, and reads the body."""
    assert int(found["Retry-After"]) >= found.document["retry_after"]
    return float(found.document["retry_after"])


def twilight(found: Answer) -> float:
    """A shared limit without a bucket is repeated at once."""
    assert found["X-RateLimit-Bucket"]
    assert found["X-RateLimit-Scope"] in {"shared", "global"}
    for name in ("X-RateLimit-Limit", "X-RateLimit-Remaining", "Retry-After"):
        int(found[name])
    return float(found["X-RateLimit-Reset-After"])


def dsharpplus(found: Answer) -> float:
    """Throws without X-RateLimit-Reset-After."""
    return float(found["X-RateLimit-Reset-After"])


def serenity(found: Answer) -> float:
    """Serenity, Discord4J and discordeno report or read the header."""
    return float(found["Retry-After"])


RULES: dict[str, Callable[[Answer], float]] = {
    **dict.fromkeys(("discord.py", "py-cord", "disnake"), discord_py),
    "nextcord": nextcord,
    "hikari": hikari,
    "interactions.py": interactions_py,
    "discord.js": discord_js,
    **dict.fromkeys(("oceanic.js", "eris"), oceanic),
    **dict.fromkeys(("JDA", "disgo"), jda),
    "discordgo": discordgo,
    "Discord.Net": discord_net,
    "twilight": twilight,
    "DSharpPlus": dsharpplus,
    **dict.fromkeys(("serenity", "Discord4J", "discordeno"), serenity),
}

REPEATED = {
    "discord.py": {429, 500, 502, 504, 524},
    "py-cord": {429, 500, 502, 503, 504},
    "nextcord": {429, 500, 502, 504},
    "disnake": {429, 500, 502, 504},
    "hikari": {429, 500, 502, 503, 504},
    "interactions.py": {429, 500, 502, 504},
    "discord.js": {429, *range(500, 600)},
    "discordeno": set(),
    "oceanic.js": {429, 502},
    "eris": {429, 502},
    "JDA": {429, 502, 503, 504},
    "discordgo": {429, 500, 502, 503, 504},
    "disgo": {429},
    "twilight": {429},
    "DSharpPlus": {429},
    "Discord.Net": {429, 502},
}
"""Statuses that each library repeats by itself."""


@every_case("kind", LIMITED)
@every_case("library", RULES)
def test_every_library_waits_as_long_as_a_429_states(library, kind):
    found = LIMITED[kind]
    assert found.status == 429
    assert RULES[library](found) >= min(found.document["retry_after"], 0.1)


@pytest.mark.parametrize("library", REPEATED)
def test_no_library_repeats_what_could_act_twice(library):
    lost = errors.refusal("UNAVAILABLE", "DISCORD_UNREACHABLE", "lost", retry_after_s=1.0)
    bug = errors.internal("id")
    for sent in ("yes", "unknown"):
        failed = [ApiError("UNAVAILABLE", "DISCORD_ERROR", "x", http_status=status) for status in (500, 504, 524)]
        for error in (lost, bug, *failed, errors.draining(), of(broker.WaitRefusedError)):
            assert answer(error, sent=sent, repeat=Repeat.NEVER).status not in REPEATED[library]


def test_okhttp_does_not_repeat_a_408():
    """It repeats one unless Retry-After is above zero."""
    lost = errors.refusal("UNAVAILABLE", "DISCORD_UNREACHABLE", "lost")
    found = answer(lost, sent="unknown", repeat=Repeat.NEVER)
    assert found.status == 408
    assert int(found["Retry-After"]) > 0


def test_a_state_of_the_proxy_is_never_a_401():
    """discord.js forgets its token, twilight refuses all calls, discord.py ends its login."""
    states = [broker.TokenRejectedError, broker.BrokerUnavailableError, broker.CircuitOpenError, broker.DrainingError]
    assert 401 not in {answer(of(state)).status for state in states}


SUCCESS = Answer(
    200,
    limit_headers({"x-ratelimit-bucket": "b", "x-ratelimit-remaining": "0", "x-ratelimit-limit": "5"}, "own", NOW),
)
LIMIT, REMAINING = int(SUCCESS["X-RateLimit-Limit"]), int(SUCCESS["X-RateLimit-Remaining"])
WINDOW_S = float(SUCCESS["X-RateLimit-Reset-After"])
PER_S = 500
"""Requests per second and bucket that no library may delay by itself; Discord's global limit is 50 for most bots."""

MOST_AT_ONCE = 500
"""Requests in flight that a process can have without more file descriptors than the usual 1024."""


def test_libraries_do_not_stop_themselves_by_the_limits_of_a_success():
    assert REMAINING > 0
    assert float(SUCCESS["X-RateLimit-Reset"]) == pytest.approx(NOW + WINDOW_S)
    assert SUCCESS["X-RateLimit-Bucket"] == "b"


def test_hikari_gains_requests_faster_than_it_sends_them():
    """It counts down from Remaining and gains one per Reset-After / (Limit - Remaining).

    A response with Limit - 1 remaining makes it start this period anew: below one request per period it gains none. The
    requests that wait for the first response of a route are charged to the bucket of its first channel, and no further
    response is: there it gains one per period only.
    """
    assert REMAINING not in {LIMIT, LIMIT - 1}
    assert (LIMIT - REMAINING) / WINDOW_S >= PER_S


def test_windows_that_end_after_the_last_response_are_short():
    """nextcord and Discord.Net count down, and gain all requests when no response has come for Reset-After."""
    assert WINDOW_S <= 0.1 * REMAINING / 50


def test_discord_py_delays_no_response():
    """It keeps a response back for Reset-After unless min(Remaining, Limit - in flight) exceeds the other requests."""
    assert REMAINING <= MOST_AT_ONCE, "it sends so many at once, each with a connection"
    for in_flight in range(1, REMAINING + 1):
        assert min(REMAINING, LIMIT - in_flight) - (in_flight - 1) > 0


def test_discord_py_sends_a_thousand_requests_of_one_bucket_without_a_pause():
    """With its own class: the requests in flight are the only limit."""
    rtt_s, number = 0.2, 1_000

    async def story() -> float:
        ratelimit = Ratelimit(None)
        loop = asyncio.get_running_loop()
        began = loop.time()

        async def one() -> None:
            async with ratelimit:
                await asyncio.sleep(rtt_s)
                ratelimit.update(SimpleNamespace(headers=CIMultiDict(SUCCESS.headers)))

        await asyncio.gather(*(one() for _ in range(number)))
        return loop.time() - began

    took_s = run(story(), VirtualClock())
    assert took_s <= rtt_s * (number / REMAINING + 2)
