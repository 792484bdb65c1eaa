"""The filter `mine`: an application receives the interactions with its own commands and components."""

import asyncio
import json

import grpc
import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy_sandbox.world.population import GUILD_ID
from fakes.eventually import eventually
from integration.api.commands.conftest import App, Commands, command
from processes.cluster import cluster

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL = 2, 3, 4, 5
GUILD = int(GUILD_ID)


@pytest.fixture
async def whole(valkey, key_prefix):
    async with cluster(valkey, key_prefix, workers=2, event_heartbeat=0.2) as started:
        await started.start_gateway(intents=("guilds", "messages"))
        yield started


class Stream:
    """The events of one application."""

    def __init__(self, app: App, **filters) -> None:
        request = pb.SubscribeEventsRequest(types=["INTERACTION_CREATE", "MESSAGE_CREATE"], **filters)
        self._call = app.stub.SubscribeEvents(request, metadata=app.metadata)

    async def begin(self) -> "Stream":
        async with asyncio.timeout(30):
            assert (await self._call.read()).kind == pb.Event.HEARTBEAT
        return self

    async def until(self, end: str) -> list[str]:
        """Return the ids of the interactions until a message with this id."""
        found = []
        async with asyncio.timeout(30):
            while True:
                event = await self._call.read()
                if event.kind == pb.Event.DISPATCH:
                    number = json.loads(event.json)["id"]
                    if number == end:
                        return found
                    found.append(number)


def interaction(number: int, kind: int, **data) -> dict:
    return {
        "id": str(number),
        "type": kind,
        "token": f"t{number}",
        "guild_id": GUILD_ID,
        "channel_id": "5",
        "data": data,
    }


def use(found: dict, number: int, kind: int = COMMAND, **more) -> dict:
    data = {key: found[key] for key in ("id", "name", "type", "guild_id") if key in found}
    return interaction(number, kind, **data, **more)


def emit(whole, *interactions: dict, end: str) -> None:
    for each in interactions:
        whole.discord.gateway.emit("INTERACTION_CREATE", each, GUILD_ID)
    message = {"id": end, "guild_id": GUILD_ID, "channel_id": "5", "content": "x", "author": {"id": "5"}}
    whole.discord.gateway.emit("MESSAGE_CREATE", message, GUILD_ID)


async def subscribed(app: App, **filters) -> Stream:
    """Subscribe as soon as the gateway worker is connected."""
    streams: list[Stream] = []

    async def begun() -> bool:
        try:
            streams.append(await Stream(app, **filters).begin())
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 - other errors fail the test
            return False
        return True

    await eventually(begun, within_s=60)
    return streams[-1]


async def test_each_application_receives_its_own_interactions(whole):
    shop, bank = App(whole.stubs[0], "shop"), App(whole.stubs[1], "bank")
    await shop.sync(command("shop"))
    await shop.sync(command("deal"), guild_id=GUILD)
    await bank.sync(command("bank"))
    at_discord = Commands(whole.discord)
    foreign = at_discord.add("foreign")
    (deal,) = at_discord.of(GUILD)
    everything = await subscribed(shop)
    of_shop = await subscribed(shop, mine=True, custom_id_prefixes=["shop:", "deal:"])
    of_bank = await subscribed(bank, mine=True, custom_id_prefixes=["bank"])
    of_none = await subscribed(App(whole.stubs[0], "other"), mine=True)
    emit(
        whole,
        use(at_discord["shop"], 1),
        use(at_discord["bank"], 2),
        use(foreign, 3),
        use(deal, 4),
        use(at_discord["shop"], 5, AUTOCOMPLETE, options=[]),
        use(at_discord["bank"], 6, AUTOCOMPLETE),
        interaction(7, COMPONENT, custom_id="shop:buy:5"),
        interaction(8, COMPONENT, custom_id="bank"),
        interaction(9, MODAL, custom_id="deal:1", components=[]),
        interaction(10, MODAL, custom_id="other"),
        {**use(at_discord["shop"], 11), "data": {"id": "77", "name": "shop", "type": 1}},  # a deleted command
        {"id": "12", "type": 2, "token": "t"},
        {"id": "13", "type": 1, "token": "t"},
        end="99",
    )
    assert await everything.until("99") == [str(number) for number in range(1, 14)]
    assert await of_shop.until("99") == ["1", "4", "5", "7", "9"]
    assert await of_bank.until("99") == ["2", "6", "8"]
    assert await of_none.until("99") == []


async def test_a_change_of_owner_takes_effect_at_once(whole):
    shop, bank = App(whole.stubs[0], "shop"), App(whole.stubs[1], "bank")
    await shop.sync(command("help"))
    helped = Commands(whole.discord)["help"]
    of_shop, of_bank = await subscribed(shop, mine=True), await subscribed(bank, mine=True)
    emit(whole, use(helped, 1), end="90")
    assert (await of_shop.until("90"), await of_bank.until("90")) == (["1"], [])
    await shop.stub.ReleaseCommands(pb.ReleaseCommandsRequest(names=["help"]), metadata=shop.metadata)
    await bank.sync(command("help"))
    emit(whole, use(helped, 2), end="91")
    assert (await of_shop.until("91"), await of_bank.until("91")) == ([], ["2"])


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ({"custom_id_prefixes": ["a"]}, "custom_id_prefixes"),
        ({"mine": True, "custom_id_prefixes": [""]}, "custom_id_prefixes"),
        ({"mine": True, "custom_id_prefixes": ["a"] * 1001}, "custom_id_prefixes"),
    ],
    ids=["without mine", "empty", "too many"],
)
async def test_invalid_prefixes_are_refused(whole, filters, field):
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await Stream(App(whole.stubs[0], "shop"), **filters).begin()
    assert json.loads(failed.value.details())["fields"][0]["path"] == field
