import asyncio

import orjson
import pytest

from discordproxy_sandbox.gateway.session import SandboxSession, shard_of
from discordproxy_sandbox.world.world import Event

GUILD = str(7 << 22)


def session(intents: int = 1, shard: tuple[int, int] = (0, 1)) -> SandboxSession:
    return SandboxSession("id", "key", intents, shard, bot_id="1", new_events=asyncio.Event())


def test_events_are_numbered_and_kept_for_replay():
    one = session()
    for number in range(5):
        one.append("EVENT", {"n": number})
    assert [orjson.loads(payload)["s"] for payload in one.after(2)] == [3, 4, 5]
    assert one.after(5) == []
    assert one.has_all_after(0)
    assert not one.has_all_after(6)


def test_dropped_events_cannot_be_resumed(monkeypatch):
    monkeypatch.setattr("discordproxy_sandbox.gateway.session._KEPT_EVENTS", 3)
    one = session()
    for number in range(5):
        one.append("EVENT", {"n": number})
    assert not one.has_all_after(1)
    assert one.has_all_after(2)
    assert len(one.after(2)) == 3


@pytest.mark.parametrize(("shard", "gets"), [((0, 1), True), ((1, 2), True), ((0, 2), False), ((7, 10), True)])
def test_a_guild_belongs_to_one_shard(shard, gets):
    one = session(shard=shard)
    one.offer(Event("CHANNEL_UPDATE", {}, GUILD))
    assert one.sequence == int(gets)


def test_events_without_a_guild_go_to_the_first_shard():
    assert shard_of("", 5) == 0


@pytest.mark.parametrize(
    ("intents", "event", "gets"),
    [
        (0, Event("CHANNEL_UPDATE", {}, GUILD), False),
        (0, Event("INTERACTION_CREATE", {}, GUILD), True),
        (1 << 9, Event("MESSAGE_CREATE", {"author": {"id": "2"}}, GUILD), True),
        (1 << 9, Event("MESSAGE_CREATE", {"author": {"id": "2"}}), False),
        (1 << 12, Event("MESSAGE_CREATE", {"author": {"id": "2"}}), True),
        (0, Event("GUILD_MEMBER_UPDATE", {"user": {"id": "1"}}, GUILD), True),
        (0, Event("GUILD_MEMBER_UPDATE", {"user": {"id": "2"}}, GUILD), False),
        (1 << 1, Event("GUILD_MEMBER_UPDATE", {"user": {"id": "2"}}, GUILD), True),
    ],
)
def test_intents(intents, event, gets):
    one = session(intents)
    one.offer(event)
    assert one.sequence == int(gets)


@pytest.mark.parametrize(
    ("author", "mentions", "intents", "shown"),
    [
        ("2", [], 1 << 9, ""),
        ("2", [], 1 << 9 | 1 << 15, "text"),
        ("2", [{"id": "1"}], 1 << 9, "text"),
        ("1", [], 1 << 9, "text"),
    ],
)
def test_content_needs_its_intent(author, mentions, intents, shown):
    one = session(intents)
    one.offer(Event("MESSAGE_CREATE", {"author": {"id": author}, "mentions": mentions, "content": "text"}, GUILD))
    assert orjson.loads(one.after(0)[0])["d"]["content"] == shown
