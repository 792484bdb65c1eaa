"""Which events a key gets: every name in every place, by the rule that decides about reads and writes."""

import asyncio

import pytest

from discordproxy_api.access.permission import BOT_EVENTS, ChannelLocation, Permission
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.principal import Principal
from discordproxy_api.calls.scopes import Scopes
from discordproxy_api.contract.contract import load_contract
from discordproxy_gateway.discord.intents import EVENTS
from discordproxy_gateway.events import StreamEntry
from discordproxy_gateway.events.entry import decode
from discordproxy_gateway.keys import Keys, Slot
from discordproxy_gateway.plan.event_planner import EventPlanner

CONTRACT = load_contract()
KNOWN = {
    5: ChannelLocation(7, 50),
    6: ChannelLocation(7),
    9: ChannelLocation(8),
    50: ChannelLocation(7),
    55: ChannelLocation(7, 5),
    66: ChannelLocation(),
}
"""Channel 5 with thread 55 in category 50, channel 6 beside it; 9 in another guild; 66 of a user."""

DOWN = 404

IN_5, IN_6, IN_8, IN_55, DIRECT, NOWHERE, ODD = "in 5", "in 6", "in 8", "in thread 55", "direct", "nowhere", "odd"
PLACES = {
    IN_5: {"guild_id": "7", "channel_id": "5"},
    IN_6: {"guild_id": "7", "channel_id": "6"},
    IN_8: {"guild_id": "8", "channel_id": "9"},
    IN_55: {"guild_id": "7", "channel_id": "55"},
    DIRECT: {"channel_id": "66"},
    NOWHERE: {},
    ODD: {"guild_id": "@me", "channel_id": {"id": "5"}},
}
IN_GUILDS = {IN_5, IN_6, IN_8, IN_55}

KEYS: dict[str, tuple[Scopes, set[str]]] = {
    "unlimited": (Scopes(), set(PLACES)),
    "no direct messages": (Scopes(direct_messages=False), IN_GUILDS),
    "guild 7": (Scopes(guilds=frozenset({7})), {IN_5, IN_6, IN_55}),
    "guild 7, direct messages": (Scopes(guilds=frozenset({7}), direct_messages=True), {IN_5, IN_6, IN_55, DIRECT}),
    "guild 7, no direct messages": (Scopes(guilds=frozenset({7}), direct_messages=False), {IN_5, IN_6, IN_55}),
    "channel 5": (Scopes(channels=frozenset({5})), {IN_5, IN_55}),
    "category 50": (Scopes(channels=frozenset({50})), {IN_5, IN_55}),
    "thread 55": (Scopes(channels=frozenset({55})), {IN_55}),
    "channel 5, direct messages": (Scopes(channels=frozenset({5}), direct_messages=True), {IN_5, IN_55, DIRECT}),
    "channel 66": (Scopes(channels=frozenset({66})), {DIRECT}),
    "guild 8, channel 5": (Scopes(guilds=frozenset({8}), channels=frozenset({5})), {IN_5, IN_55, IN_8}),
}
OF_GUILDS = {"GUILD_CREATE", "GUILD_UPDATE", "GUILD_DELETE"}


async def locate(channel_id: int, _call: Call) -> ChannelLocation:
    if channel_id == DOWN:
        raise errors.refusal("UNAVAILABLE", "DISCORD_UNREACHABLE", "nobody answers")
    return KNOWN.get(channel_id, ChannelLocation(known=False))


def entry(name: str, data: dict) -> StreamEntry:
    """Return an event as it comes out of the stream."""
    planner = EventPlanner(Keys("dp", "1"), Slot(0, 1), guilds={}, mark="m", awaited=(), members=False)
    (append,) = planner.append_only(name, data, 1)
    words = [word.encode() if isinstance(word, str) else word for word in append[2:]]
    return decode(0, "e", b"5-1", dict(zip(words[::2], words[1::2], strict=True)))


PERMISSION = Permission(CONTRACT, locate)


async def shows(scopes: Scopes, event: StreamEntry) -> bool:
    call = Call(rpc="SubscribeEvents", request_id="r", principal=Principal(app="a", scopes=scopes))
    return await PERMISSION.may_receive(event, call)


def sees(scopes: Scopes, event: StreamEntry) -> bool:
    return asyncio.run(shows(scopes, event))


def event_in(name: str, place: str) -> StreamEntry:
    data = dict(PLACES[place])
    if name in OF_GUILDS:
        data = {"id": data.get("guild_id", "")}
    elif name.startswith(("CHANNEL_", "THREAD_")) and name != "CHANNEL_PINS_UPDATE" and place != ODD:
        data["id"] = data.pop("channel_id", "")
    return entry(name, data)


@pytest.mark.parametrize("key", KEYS)
async def test_a_key_gets_what_happens_in_its_places(key):
    for name in [*EVENTS, "SOMETHING_NEW"]:
        for place, shown in expected(name, key).items():
            assert await shows(KEYS[key][0], event_in(name, place)) is shown, (name, place)


def expected(name: str, key: str) -> dict[str, bool]:
    scopes, places = KEYS[key]
    if name in OF_GUILDS and not scopes.everywhere:  # they bind_warning no channel
        places = {place for place in places if PLACES[place].get("guild_id") in map(str, scopes.guilds)}
    if name in BOT_EVENTS and scopes.everywhere:
        places = places | {DIRECT, NOWHERE, ODD}
    return {place: place in places for place in PLACES}


def test_a_deleted_thread_is_known_by_its_channel():
    for name in ("THREAD_DELETE", "THREAD_CREATE", "CHANNEL_DELETE"):
        gone = entry(name, {"id": "56", "guild_id": "7", "parent_id": "5"})
        assert sees(Scopes(channels=frozenset({5})), gone)
        assert not sees(Scopes(channels=frozenset({6})), gone)


@pytest.mark.parametrize("channel", [404, 999])
def test_what_cannot_be_looked_up_is_not_shown(channel):
    event = entry("MESSAGE_CREATE", {"guild_id": "7", "channel_id": str(channel)})
    assert not sees(Scopes(channels=frozenset({5})), event)
    assert sees(Scopes(guilds=frozenset({7})), event)


def test_the_rule_of_reads_and_the_rule_of_events_agree():
    """For each key and channel: GetMessages is allowed exactly if MESSAGE_CREATE is shown."""
    rpc = CONTRACT["GetMessages"]
    for scopes, _ in KEYS.values():
        for place, where in PLACES.items():
            if place in {NOWHERE, ODD}:
                continue
            call = Call(rpc="GetMessages", request_id="r", principal=Principal(app="a", scopes=scopes))
            request = rpc.request_type(channel_id=int(where["channel_id"]))
            try:
                asyncio.run(PERMISSION.authorize(PERMISSION.targets_of(rpc, request, call), call))
                allowed = True
            except errors.ApiError:
                allowed = False
            assert sees(scopes, entry("MESSAGE_CREATE", where)) is allowed, (str(scopes), place)
