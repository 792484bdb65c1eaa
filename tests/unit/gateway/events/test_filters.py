"""Filters of subscriptions."""

import pytest

from discordproxy_gateway.discord.intents import EVENTS
from discordproxy_gateway.events.filters import Filter, IntentOffError, check_types


def test_an_empty_filter_lets_all_pass_but_events_with_a_secret():
    everything = Filter()
    assert {name for name in EVENTS if not everything.includes(name)} == {"VOICE_SERVER_UPDATE"}


def test_an_event_with_a_secret_passes_if_it_is_named():
    named = Filter(check_types(["VOICE_SERVER_UPDATE"], {"guilds"}))
    assert named.includes("VOICE_SERVER_UPDATE")
    assert not named.includes("VOICE_STATE_UPDATE")


@pytest.mark.parametrize(
    "name",
    ["CHANNEL_INFO", "SOUNDBOARD_SOUNDS", "VOICE_CHANNEL_START_TIME_UPDATE", "VOICE_CHANNEL_STATUS_UPDATE"],
)
def test_events_of_voice_channels_can_be_subscribed(name):
    assert check_types([name], {"guilds"}) == {name}


def test_the_status_of_voice_channels_needs_the_intent_guilds():
    with pytest.raises(IntentOffError, match="VOICE_CHANNEL_STATUS_UPDATE needs the intent guilds"):
        check_types(["VOICE_CHANNEL_STATUS_UPDATE"], {"messages"})
