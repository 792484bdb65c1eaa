"""What each library must do on the REST port, judged by what Discord received."""

import difflib
import time
from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise

from discordproxy_sandbox.limits.book import RouteLimit
from discordproxy_sandbox.rest.faults import Fault
from discordproxy_sandbox.world.population import CHANNEL_ID, USER_ID
from libraries.recording import Received, comparable
from libraries.stage import Library, Program, Stage

SEND = "POST /channels/{channel_id}/messages"
CREATE_CHANNEL = "POST /guilds/{guild_id}/channels"
FILE_DIGEST = blake2b(bytes(range(256)) * 12_288, digest_size=8).hexdigest()
REASON = "café ❤"

OWN = "unknown key"
"""A violation that a library sends to Discord, too: the proxy changes no body."""

REPORTING = {"@discordeno/rest": "each 429", "discord-py-interactions": "the third 429 of a message"}
"""Libraries that report refusals to the application, and which."""

IN_ORDER = ("hikari", "@discordjs/rest", "oceanic.js")
"""Libraries that send one message of a channel after the other."""

MAX_REQUESTS = 2
"""A library may send so many requests per message and second: more is a loop without a pause."""


@dataclass
class Outcome:
    """The figures of a scenario, and what went wrong."""

    figures: str = ""
    problems: list[str] = field(default_factory=list)

    def require(self, condition: object, problem: str) -> None:
        """Record a problem unless the condition holds."""
        if not condition:
            self.problems.append(problem)


async def operations(stage: Stage, library: Library) -> Outcome:
    """Each kind of operation arrives as it does without the proxy (acceptance 1 and 2)."""
    outcome = Outcome()
    stage.discord.limits.set(SEND, RouteLimit(limit=5, window_s=1.0, kind="fixed"))
    arrived = []
    for base in (f"{stage.rest_url}/app=library", stage.discord.url):
        stage.clear()
        async with Program(library, base) as program:
            interaction = stage.discord.people.interact(CHANNEL_ID, USER_ID)
            result = await program.run("operations", interaction=interaction)
        outcome.require("error" not in result, f"{base}: {result}")
        arrived.append(list(stage.received))
    through, direct = arrived
    _judge_operations(through, outcome)
    ours, theirs = comparable(through), comparable(direct)
    difference = [line for line in difflib.ndiff(theirs, ours) if line[0] in "+-"]
    outcome.require(not difference, "not the same as without the proxy:\n" + "\n".join(difference))
    outcome.figures = f"{len(through)} requests, {len(direct)} without the proxy"
    return outcome


def _judge_operations(found: list[Received], outcome: Outcome) -> None:
    wrong = [f"{each.route}: {text}" for each in found for text in each.record.violations if not text.startswith(OWN)]
    outcome.require(not wrong, f"violations: {wrong}")
    outcome.require(any(each.record.reason == REASON for each in found), "the reason is lost")
    files = [each.files for each in found if each.files]
    outcome.require([one[0][3:] for one in files] == [(3 * 1024 * 1024, FILE_DIGEST)], f"files: {files}")
    tokens = [each.record.credential for each in found if each.is_authorized_by_path]
    outcome.require(set(tokens) == {"none"}, f"credentials on routes with a token: {tokens}")
    members = [each.query for each in found if each.route == "GET /guilds/{guild_id}/members"]
    outcome.require(members, "no page of members")
    outcome.require(429 not in {each.record.status for each in found}, "Discord answered 429")


async def burst(
    stage: Stage,
    library: Library,
    *,
    number: int,
    window_s: float,
    snippet: bool,
    limit: int = 5,
    within_s: float = 3600.0,
) -> Outcome:
    """Messages at once all arrive, with the documented settings or the defaults (acceptance 3 and 4)."""
    outcome = Outcome()
    stage.discord.limits.set(SEND, RouteLimit(limit=limit, window_s=window_s, kind="fixed"))
    base = stage.rest_url if snippet else f"{stage.rest_url}/app=library"
    async with Program(library, base, snippet=snippet) as program:
        stage.clear()
        served, began = stage.requests_served(), time.monotonic()
        result = await program.run("burst", number=number, content=f"burst {snippet}")
    took_s, served = time.monotonic() - began, stage.requests_served() - served
    errors = result.get("errors", {"all": result})
    kept = Counter(each.digest for each in stage.discord.ledger.stored)
    sent = result.get("sent", 0)
    limited = sum(each.record.status == 429 for each in stage.received)
    outcome.require(limited == 0, f"{limited} answers of 429 at Discord")
    outcome.require(max(kept.values(), default=1) == 1, "messages are doubled")
    outcome.require(len(kept) == sent, f"{len(kept)} messages of {sent} that were reported as sent")
    may_fail = not snippet and library.name in REPORTING
    outcome.require(sent == number or may_fail, f"{sent} sent, {errors}")
    outcome.require(took_s <= within_s, "the library waits by itself")
    outcome.require(served <= MAX_REQUESTS * number * max(took_s, 1.0), f"{served} requests in {took_s:.1f} s")
    contents = [each.content["content"] for each in stage.received if each.route == SEND]
    numbers = [int(each.rpartition(" ")[2]) for each in contents]
    inversions = sum(second < first for first, second in pairwise(numbers))
    outcome.require(not inversions or library.name not in IN_ORDER, f"{inversions} out of order")
    failed = f", {dict(errors)}" if errors else ""
    outcome.figures = f"{sent} of {number} in {took_s:.1f} s, {served} requests, {inversions} out of order{failed}"
    return outcome


FAULTS = {
    "502": Fault(kind="status", status=502),
    "500": Fault(kind="status", status=500),
    "502 after effect": Fault(kind="status", status=502, when="after"),
    "500 after effect": Fault(kind="status", status=500, when="after"),
    "504 after effect": Fault(kind="status", status=504, when="after"),
    "reset": Fault(kind="reset"),
    "reset after effect": Fault(kind="reset", when="after"),
    "silence": Fault(kind="silent"),
    "silence after effect": Fault(kind="silent", when="after"),
    "six resets after effect": Fault(kind="reset", when="after", count=6),
}

UNTRUE_FOR_CHANNELS = ("502 after effect",)
"""Discord documents a 502 as not processed. Libraries repeat it, and the proxy relies on it."""


async def lost_answers(stage: Stage, library: Library, *, kinds: tuple[str, ...] = tuple(FAULTS)) -> Outcome:
    """A failure of Discord doubles nothing, and loses nothing that was reported as done (acceptance 7)."""
    outcome, figures = Outcome(), []
    stage.discord.limits.set(SEND, None)
    stage.discord.limits.set(CREATE_CHANNEL, None)
    async with Program(library, f"{stage.rest_url}/app=library") as program:
        for kind in kinds:
            fault = FAULTS[kind]
            for do, path in (("send", "/messages$"), ("channel", "/channels$")):
                if do == "channel" and kind in UNTRUE_FOR_CHANNELS:
                    continue
                stage.clear()
                name = f"{do}-{kind.replace(' ', '-')}"
                found = {**{each: getattr(fault, each) for each in ("kind", "status", "when", "count")}, "path": path}
                stage.discord.faults.add(Fault(method="POST", **found))
                result = await program.run(do, content=name)
                error = result.get("error", "")
                made = _made(stage, do, name)
                outcome.require(made == 1 if not error else made <= 1, f"{do}, {kind}: {made}, {result}")
                if do == "send":
                    outcome.require(made == 1, f"{do}, {kind}: no message, {result}")
                figures.append(f"{do}, {kind}: {made}{f' ({error})' if error else ''}")
    stage.clear()
    outcome.figures = "\n    ".join(["", *figures])
    return outcome


SLOW_S = 17.0
"""Longer than the timeout of many libraries, and shorter than that of the proxy."""


async def slow_answers(stage: Stage, library: Library) -> Outcome:
    """A library that gives up and repeats its request by itself doubles nothing."""
    outcome, figures = Outcome(), []
    stage.discord.limits.set(SEND, None)
    stage.discord.limits.set(CREATE_CHANNEL, None)
    async with Program(library, f"{stage.rest_url}/app=library") as program:
        for do, path in (("send", "/messages$"), ("channel", "/channels$")):
            stage.clear()
            served = stage.requests_served()
            stage.discord.faults.add(Fault(kind="slow", method="POST", path=path, when="after", delay_s=SLOW_S))
            result = await program.run(do, content=f"{do}-slowly")
            made = _made(stage, do, f"{do}-slowly")
            outcome.require(made == 1, f"{do}: {made}")
            served = stage.requests_served() - served
            error = result.get("error", "")
            figures.append(f"{do}: {made} by {served} requests{f' ({error})' if error else ''}")
    stage.clear()
    outcome.figures = ", ".join(figures)
    return outcome


def _made(stage: Stage, do: str, name: str) -> int:
    """Return how many messages or channels Discord has."""
    if do == "send":
        return len(stage.discord.ledger.stored)
    return sum(each.data["name"] == name for each in stage.discord.world.channels.values())


BLOCK_S = 60
"""The proxy takes a block to last as long at least, although the page states less."""


async def blocked(stage: Stage, library: Library) -> Outcome:
    """A 429 page of Cloudflare pauses the library, and nothing is sent meanwhile (acceptance 9)."""
    outcome = Outcome()
    stage.discord.limits.set(SEND, None)
    async with Program(library, stage.rest_url, snippet=True) as program:
        stage.clear()
        stage.discord.faults.add(Fault(kind="cloudflare", path="/messages$", retry_after_header="1"))
        served = stage.requests_served()
        result = await program.run("burst", number=3, content="blocked")
        served = stage.requests_served() - served
    times = [each.record.arrived_at for each in stage.received if each.route == SEND]
    later = [each - times[0] for each in times if each - times[0] > 1]  # the others were in flight
    outcome.require(min(later, default=BLOCK_S) >= BLOCK_S - 1, f"requests during the block: {later}")
    outcome.require(result.get("sent") == 3 or library.name == "@discordeno/rest", str(result))
    outcome.require(served <= 3 * 3, f"{served} requests")
    outcome.figures = f"{result.get('sent')} of 3, the next after {min(later, default=0):.0f} s, {served} requests"
    outcome.figures += f", {result['errors']}" if result.get("errors") else ""
    return outcome
