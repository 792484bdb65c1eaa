"""What a whole bot must do with its REST calls on the port, and its own connection to the gateway (acceptance 19)."""

from functools import partial
from typing import Any

from discordproxy_sandbox.rest.faults import Fault
from discordproxy_sandbox.world.population import CHANNEL_ID, USER_ID
from fakes.eventually import eventually
from libraries.scenarios import FILE_DIGEST, OWN, Outcome
from libraries.stage import Library, Program, Stage
from processes.deployment import TOKEN

AUTO_DEFER_S = 2.0
SETTINGS = {"DISCORDPROXY_AUTO_DEFER": str(AUTO_DEFER_S), "DISCORDPROXY_AUTO_DEFER_PRIVATE": "false"}

COMMANDS = {"reply", "defer", "slow", "slow_defer", "file", "slow_file", "fetched", "button", "ask"}
FAILED = "POST /interactions/{interaction_id}/{interaction_token}/callback 500"
"""The one error of the story, which the libraries repeat."""

LATE_S = 4.5
"""After the deferral by the proxy, also on a busy machine; the programs use it for buttons."""


class _Story:
    """A bot, and a user who uses it."""

    def __init__(self, stage: Stage, program: Program, outcome: Outcome) -> None:
        self._stage = stage
        self._program = program
        self._outcome = outcome
        self.used = 0

    async def use(self, kind: int, data: dict[str, Any], message_id: str = "", *, reports: bool = True) -> Any:
        """Use a command or component; return the interaction's state and the value of its handler."""
        self.used += 1
        used = self._stage.discord.people.interact(CHANNEL_ID, USER_ID, kind, data, message_id)
        state = self._stage.discord.world.interactions[used["token"]]
        await eventually(partial(_is_answered, state))
        result = await self._program.run("outcome", id=used["id"]) if reports else {}
        self._outcome.require("error" not in result, f"{data}: {result}")
        return state, result.get("value", "")

    async def command(self, name: str, *options: dict[str, Any]) -> Any:
        """Use a command; return the interaction's state and the value of its handler."""
        return await self.use(2, {"id": "1", "name": name, "type": 1, "options": list(options)})

    def fail_once(self) -> None:
        """Let Discord answer 500 to the next first response."""
        self._stage.discord.faults.add(Fault(kind="status", status=500, path="/callback$"))

    def edits(self) -> int:
        """Return how many first responses were edited."""
        return sum(
            each.method == "PATCH" and "@original" in each.template for each in self._stage.discord.ledger.records
        )

    def content(self, state: dict[str, Any]) -> str:
        """Return the content of the first response."""
        found = self._stage.discord.world.message(CHANNEL_ID, state["response_id"])
        return str(found["content"])

    def require(self, found: object, expected: object) -> None:
        """Record a difference."""
        self._outcome.require(found == expected, f"{found!r} instead of {expected!r}")


def _is_answered(state: dict[str, Any]) -> bool:
    return bool(state["answered"])


async def interactions(stage: Stage, library: Library) -> Outcome:
    """Login, commands, autocompletion, button, modal, and responses after the proxy has deferred."""
    outcome = Outcome()
    stage.clear()
    program = Program(library, stage.base, snippet=True, token=TOKEN, key=stage.key, gateway=stage.discord.gateway_url)
    async with program:
        story = _Story(stage, program, outcome)
        registered = await program.run("register")
        story.require(set(registered.get("names", [])), COMMANDS)
        await program.run("send", content="hello")
        await _in_time(story)
        await _late(story)
    wrong = [
        f"{each.method} {each.template}: {text}"
        for each in stage.discord.ledger.records
        for text in each.violations
        if not text.startswith(OWN)
    ]
    outcome.require(not wrong, f"violations: {wrong}")
    records = stage.discord.ledger.records
    refused = [f"{each.method} {each.template} {each.status}" for each in records if each.status >= 400]
    outcome.require(refused == [FAILED], f"refused: {refused}")
    files = [each.files[0][3:] for each in stage.received if each.files]
    outcome.require(files == [(3 * 1024 * 1024, FILE_DIGEST)] * 2, f"files: {files}")
    gateway = stage.discord.gateway.stats
    early = sum("too early" in each for each in gateway.violations)
    outcome.require(len(gateway.violations) == early, f"gateway: {gateway.violations}")
    outcome.figures = f"{story.used} interactions, {len(records)} requests, {gateway.identifies} sessions, "
    outcome.figures += f"{early} refused as too early after the proxy's"
    return outcome


async def _in_time(story: _Story) -> None:
    state, _ = await story.command("reply")
    story.require(story.content(state).split(" of ")[0], "reply")
    story.fail_once()
    state, _ = await story.command("reply")
    story.require(story.content(state).split(" of ")[0], "reply")
    state, value = await story.command("defer")
    story.require((story.content(state), value), ("deferred and edited", "deferred and edited"))
    _, value = await story.command("fetched")
    story.require(value, "with response")
    option = {"name": "seconds", "type": 10, "value": "1", "focused": True}  # as it was typed so far
    await story.use(4, {"id": "1", "name": "slow", "type": 1, "options": [option]}, reports=False)
    await story.command("file")
    state, _ = await story.command("button")
    click = {"custom_id": "b", "component_type": 2}
    await story.use(3, click, state["response_id"])
    story.require(story.content(state), "clicked")
    await story.command("ask")
    row = {"type": 1, "components": [{"type": 4, "custom_id": "text", "value": "typed"}]}
    state, _ = await story.use(5, {"custom_id": "m", "components": [row]})
    story.require(story.content(state), "modal: typed")


async def _late(story: _Story) -> None:
    """The proxy has deferred: the bot's first response becomes an edit of that, and a deferral is left out."""
    option = {"name": "seconds", "type": 10, "value": LATE_S}
    edits = story.edits()
    for name, content in (
        ("slow", f"late by {LATE_S:g}"),
        ("slow_defer", "deferred and edited"),
        ("slow_file", "file"),
    ):
        state, _ = await story.command(name, option)
        story.require(story.content(state), content)
    story.require(story.edits() - edits, 3)  # two by the proxy, and one by the bot after its deferral
    state, _ = await story.command("button")
    await story.use(3, {"custom_id": "slow", "component_type": 2}, state["response_id"])
    story.require(story.content(state), "clicked")
