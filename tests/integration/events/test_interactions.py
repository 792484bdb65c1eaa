"""Slash commands and buttons answered through the proxy: the sandbox judges, as strictly as Discord."""

import asyncio
import json
import random

import pytest

from discordproxy.aio import AsyncDiscordClient
from discordproxy.builders import ActionRow, Button
from discordproxy.client import DiscordProxyGrpcError, DiscordProxyHttpError
from discordproxy.discord_api_pb2 import Component, CreateInteractionResponseRequest, Interaction
from discordproxy_gateway.events import Interactions
from discordproxy_gateway.options import GatewayOptions
from discordproxy_gateway.worker import GatewayWorker
from discordproxy_sandbox.resources.application.interactions import interact
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from discordproxy_sandbox.world.population import CHANNEL_ID
from fakes.eventually import eventually
from fakes.gateway import TOKEN
from integration.api.conftest import serve

CALLBACK = "/interactions/{interaction_id}/{interaction_token}/callback"
COMMAND, BUTTON, TYPING = 2, 3, 4


class Stage:
    """A sandbox, a gateway worker, an API worker and a client that follows interactions."""

    def __init__(self, sandbox, interactions, served, client, events):
        self.sandbox, self.served, self.client = sandbox, served, client
        self.interactions = interactions
        self.events = events
        self.user = next(each for each, user in sandbox.world.users.items() if not user.get("bot"))

    async def use(self, kind=COMMAND, **more):
        """Let a user use a command or button; return what the application is told."""
        interact(self.sandbox.world, CHANNEL_ID, self.user, kind, **more)
        async with asyncio.timeout(30):
            self.event = await anext(self.events)
        return json.loads(self.event.json)

    async def button(self, files=()):
        """A message of the bot with a button that a user clicks."""
        sent = await self.client.create_channel_message(
            int(CHANNEL_ID), "Ready?", components=[ActionRow(Button.action("Yes", "yes"))], files=files
        )
        message = self.sandbox.world.message(CHANNEL_ID, str(sent.id))
        data = {"custom_id": "yes", "component_type": 2}
        return await self.use(BUTTON, data=data, message=message)

    async def deferred(self, interaction):
        """Wait until the gateway worker has put an interaction off."""

        async def given():
            value = await self.interactions._redis.get(self.interactions._key(interaction["id"]))
            return value is not None and value.startswith(b"deferred ")

        await eventually(given)

    def answer(self, interaction, *arguments, **options):
        return self.client.create_interaction_response(
            int(interaction["id"]), interaction["token"], *arguments, **options
        )

    @property
    def shown(self):
        return [message["content"] for message in self.sandbox.world.channels[CHANNEL_ID].messages.values()]

    def callbacks(self, interaction):
        """Statuses of the callbacks that Discord got for an interaction."""
        return [
            record.status
            for record in self.sandbox.ledger.records
            if record.template == CALLBACK and f"/{interaction['id']}/" in record.path
        ]


@pytest.fixture
async def stage(redis, keys, valkey, key_prefix, request, monkeypatch):
    """`stage` of a worker that defers after the seconds in the marker's parameter, 0 for never."""
    monkeypatch.setattr(
        "discordproxy_sandbox.resources.application.interactions._FIRST_RESPONSE_S", 60.0
    )  # a busy machine is slow
    monkeypatch.setattr("discordproxy_gateway.shard.interaction_deferral.EXPIRED_S", 60.0)
    stopping = asyncio.Event()
    async with Sandbox(SandboxConfig(token=TOKEN, global_limit=None)) as sandbox:
        options = GatewayOptions(rest_url=sandbox.rest_url, intents=("guilds",), defer_after_s=request.param)
        worker = asyncio.create_task(GatewayWorker(redis, keys, TOKEN, options).run(stopping))
        await eventually(lambda: redis.exists(keys.stream_meta(0, 1)))
        async with (
            serve(sandbox, DISCORD_BOT_TOKEN=TOKEN, redis=valkey, key_prefix=key_prefix) as served,
            AsyncDiscordClient(f"127.0.0.1:{served.port}", timeout=30) as client,
            client.events(types=["INTERACTION_CREATE"]) as events,
        ):
            yield Stage(sandbox, Interactions(redis, keys), served, client, events)
            assert not [violation for record in sandbox.ledger.records for violation in record.violations]
        stopping.set()
        await worker


at_once = pytest.mark.parametrize("stage", [0.0], indirect=True)
deferring = pytest.mark.parametrize("stage", [0.02], indirect=True)


@at_once
async def test_a_command_is_answered_and_costs_nothing_of_the_global_limit(stage):
    interaction = await stage.use()
    message = await stage.answer(interaction, "Pong!", ephemeral=True, embed={"title": "In time"})
    assert (message.content, message.embeds[0].title, message.flags & 64) == ("Pong!", "In time", 64)
    await stage.client.execute_webhook(int(interaction["application_id"]), interaction["token"], "And more")
    path = f"/interactions/{interaction['id']}/{interaction['token']}/callback"
    with pytest.raises(DiscordProxyHttpError) as twice:
        await stage.client.request("POST", path, json={"type": 4, "data": {"content": "Again"}})
    assert (twice.value.code, twice.value.sent) == (40060, "no")
    assert stage.shown[-2:] == ["Pong!", "And more"]
    routes = [acquired.route for acquired in stage.served.broker.acquired]
    assert len(routes) == 3
    assert all(route.exempt for route in routes)
    assert {record.credential for record in stage.sandbox.ledger.records if record.template == CALLBACK} == {"none"}


@at_once
async def test_modals_and_promises(stage):
    interaction = await stage.use()
    label = Component(
        type="LABEL", label="Name", component=Component(type="TEXT_INPUT", custom_id="name", style="PRIMARY")
    )
    shown = await stage.answer(interaction, type="modal", title="Name", custom_id="name", components=[label])
    assert shown.id == 0
    interaction = await stage.use()
    promised = await stage.answer(interaction, type="deferred_message", ephemeral=True)
    assert promised.id == 0
    kept = await stage.client.execute_webhook(int(interaction["application_id"]), interaction["token"], "As promised")
    assert (kept.content, kept.flags & 64) == ("As promised", 64)
    click = await stage.button()
    changed = await stage.answer(click, "Started", type="update_message", components=[])
    assert (changed.content, len(changed.components)) == ("Started", 0)


@at_once
async def test_the_event_carries_the_interaction_typed(stage):
    target = stage.sandbox.world.user(stage.user)
    data = {
        "id": "7",
        "name": "grant",
        "type": 1,
        "resolved": {"users": {stage.user: target}, "channels": {CHANNEL_ID: {"id": CHANNEL_ID, "type": 0}}},
        "options": [
            {"name": "user", "type": 6, "value": stage.user},
            {"name": "days", "type": 4, "value": 3},
            {"name": "silent", "type": 5, "value": True},
        ],
    }
    raw = await stage.use(data=data)
    typed = stage.event.interaction
    assert (typed.id, typed.token, typed.type) == (int(raw["id"]), raw["token"], Interaction.APPLICATION_COMMAND)
    assert (typed.user, typed.member.guild_id) == (typed.member.user, typed.guild_id)
    assert typed.user.id == int(stage.user)
    user, days, silent = typed.data.options
    assert typed.data.resolved.users[int(user.string_value)].username == target["username"]
    assert typed.data.resolved.channels[int(CHANNEL_ID)].type == 1  # the contract's GUILD_TEXT
    assert (days.integer_value, silent.boolean_value) == (3, True)
    assert typed.attachment_size_limit == 10 * 1024 * 1024
    assert typed.context == 0


@at_once
async def test_choices(stage):
    typing = await stage.use(TYPING)
    assert stage.event.interaction.type == Interaction.APPLICATION_COMMAND_AUTOCOMPLETE
    await stage.answer(typing, type="autocomplete", choices={"One": 1, "Half": 0.5, "Two": "2"})
    assert stage.callbacks(typing) == [200]
    with pytest.raises(DiscordProxyHttpError, match="type"):
        await stage.answer(await stage.use(), type="autocomplete", choices={})


@at_once
async def test_the_response_reports_the_callback(stage):
    used = await stage.use()
    ids = {"interaction_id": int(used["id"]), "interaction_token": used["token"]}
    request = CreateInteractionResponseRequest(**ids, content="Hi", flags=64)
    response = await stage.served.stub.CreateInteractionResponse(request, timeout=10)
    assert (response.callback.id, response.callback.response_message_id) == (int(used["id"]), response.message.id)
    assert response.callback.response_message_ephemeral
    used = await stage.use()
    ids = {"interaction_id": int(used["id"]), "interaction_token": used["token"]}
    request = CreateInteractionResponseRequest(**ids, type="LAUNCH_ACTIVITY")
    response = await stage.served.stub.CreateInteractionResponse(request, timeout=10)
    assert response.callback.activity_instance_id.startswith("i-")
    used = await stage.use()
    ids = {"interaction_id": int(used["id"]), "interaction_token": used["token"]}
    request = CreateInteractionResponseRequest(**ids, content="Hi", with_response=False)
    response = await stage.served.stub.CreateInteractionResponse(request, timeout=10)
    assert not response.ListFields()
    assert stage.callbacks(used) == [204]


@at_once
async def test_a_refused_answer_may_be_given_again(stage):
    interaction = await stage.use()
    with pytest.raises(DiscordProxyHttpError):
        await stage.answer(interaction, type="update_message")  # a command has no message to update
    assert (await stage.answer(interaction, "Pong!")).content == "Pong!"


@deferring
async def test_a_late_answer_becomes_an_edit_or_a_follow_up(stage):
    command = await stage.use()
    await stage.deferred(command)
    message = await stage.answer(command, "Late", embed={"title": "but here"}, files=[("a.txt", b"a")])
    assert (message.content, message.embeds[0].title) == ("Late", "but here")
    assert message.attachments[0].filename == "a.txt"
    assert message.flags & 64  # the deferral made it so
    assert stage.shown[-1] == "Late"

    click = await stage.button()
    await stage.deferred(click)
    assert (await stage.answer(click, "Changed", type="update_message")).id == int(click["message"]["id"])
    click = await stage.button()
    await stage.deferred(click)
    assert (await stage.answer(click, "A new one")).id != int(click["message"]["id"])
    assert stage.shown[-2:] == ["Ready?", "A new one"]

    raw = await stage.use()
    await stage.deferred(raw)
    path = f"/interactions/{raw['id']}/{raw['token']}/callback"
    answer = await stage.client.request("POST", path, json={"type": 4, "data": {"content": "Raw"}})
    assert (answer.status, answer.body, stage.shown[-1]) == (204, b"", "Raw")
    await _check_late_responses_with_a_response(stage)
    promise = await stage.use()
    await stage.deferred(promise)
    assert (await stage.answer(promise, type="deferred_message")).id == 0
    assert stage.callbacks(promise) == [204]


async def _check_late_responses_with_a_response(stage):
    """Libraries ask for the message in each form of a boolean, and read the keys that Discord documents."""
    for flag in ("1", "true", "True"):
        late = await stage.use()
        await stage.deferred(late)
        path = f"/interactions/{late['id']}/{late['token']}/callback"
        document = {"type": 4, "data": {"content": flag, "tts": False, "nonce": "1", "enforce_nonce": True}}
        answer = await stage.client.request("POST", path, json=document, query={"with_response": flag})
        found = json.loads(answer.body)
        about, message = found["interaction"], found["resource"]["message"]
        assert (message["content"], found["resource"]["type"]) == (flag, 4)
        assert about == {
            "id": late["id"],
            "type": COMMAND,
            "response_message_id": message["id"],
            "response_message_loading": False,
            "response_message_ephemeral": True,
        }
    click = await stage.button()
    await stage.deferred(click)
    path = f"/interactions/{click['id']}/{click['token']}/callback"
    answer = await stage.client.request("POST", path, json={"type": 6}, query={"with_response": "1"})
    assert json.loads(answer.body) == {"interaction": {"id": click["id"], "type": BUTTON}}


@deferring
async def test_a_late_change_with_files_keeps_the_attachments(stage):
    click = await stage.button([("a.txt", b"a")])
    await stage.deferred(click)
    changed = await stage.answer(click, "Changed", type="update_message", files=[("b.txt", b"b")])
    assert [each.filename for each in changed.attachments] == ["a.txt", "b.txt"]
    click = await stage.button([("a.txt", b"a")])
    await stage.deferred(click)
    changed = await stage.answer(click, "Changed", type="update_message", files=[("b.txt", b"b")], attachments=[])
    assert [each.filename for each in changed.attachments] == ["b.txt"]


@deferring
async def test_a_modal_after_the_deferral_is_refused(stage):
    interaction = await stage.use()
    await stage.deferred(interaction)
    path = f"/interactions/{interaction['id']}/{interaction['token']}/callback"
    with pytest.raises(DiscordProxyGrpcError) as refused:
        await stage.client.request("POST", path, json={"type": 9, "data": {"title": "x", "custom_id": "x"}})
    error = refused.value
    assert (error.status.name, error.reason, error.sent) == ("FAILED_PRECONDITION", "INTERACTION_DEFERRED", "no")


@deferring
async def test_a_late_promise_of_a_message_does_not_let_the_buttons_one_be_edited(stage):
    click = await stage.button()
    await stage.deferred(click)
    with pytest.raises(DiscordProxyGrpcError) as refused:
        await stage.answer(click, type="deferred_message")
    assert (refused.value.reason, refused.value.sent) == ("INTERACTION_DEFERRED", "no")
    assert (await stage.answer(click, "A new one")).id != int(click["message"]["id"])


@deferring
async def test_exactly_one_first_response_whoever_is_faster(stage):
    chance = random.Random(7)
    used = []

    async def answer(interaction):
        await asyncio.sleep(chance.uniform(0.0, 0.04))  # around the moment of the deferral: that is the test
        await stage.answer(interaction, f"answer {interaction['id']}")

    async with asyncio.TaskGroup() as answers:
        for _ in range(60):
            interaction = await stage.use()
            used.append(interaction)
            answers.create_task(answer(interaction))
    for interaction in used:
        assert [status for status in stage.callbacks(interaction) if status < 300] == stage.callbacks(interaction)
        assert len(stage.callbacks(interaction)) == 1
    assert sorted(stage.shown[-60:]) == sorted(f"answer {interaction['id']}" for interaction in used)
