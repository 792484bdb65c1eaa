"""What is noted of a write, and that noting never fails it."""

from dataclasses import replace

import pytest

from discordproxy_api.cached.own_writes import ANYTHING, GUILDS, OwnWrites
from discordproxy_api.discord.request import Reply, RestRequest
from discordproxy_gateway.cache import CachedAnswer, Freshness, UncertainOverlayError
from discordproxy_gateway.cache.overlay import UNCERTAIN
from discordproxy_ratelimit.route import route_of_path
from fakes.broker import FakeClaims

CHANNEL = {"id": "5", "type": 0, "guild_id": "1", "permission_overwrites": [{"id": "8", "type": 0}]}


class FakeOverlay:
    def __init__(self) -> None:
        self.put_objects: list[tuple] = []
        self.uncertain_channels: list[str] = []
        self.down = False

    async def put_uncertain_channel(self, channel_id) -> None:
        self.uncertain_channels.append(channel_id)

    async def put(self, kind, guild_id, object_id, value, *, took_s) -> None:
        if self.down:
            raise ConnectionError
        self.put_objects.append((kind, guild_id, object_id, value))


class FakeReader:
    def __init__(self, channel=None) -> None:
        self._channel = channel

    async def channel(self, _channel_id):
        if self._channel is UNCERTAIN:
            raise UncertainOverlayError
        return CachedAnswer(self._channel, Freshness(1.0, complete=True, as_of_ms=0))


def written(method, path, body=b""):
    return RestRequest(method=method, path=path, route=route_of_path(method, path), body=body or None)


@pytest.fixture
def notes() -> FakeClaims:
    return FakeClaims()


@pytest.fixture
def overlay() -> FakeOverlay:
    return FakeOverlay()


async def record(own_writes, request, reply, took_s):
    work = own_writes.record(request, reply, took_s)
    if work is not None:
        await work


async def marked(own_writes, *scopes):
    return {scope: await own_writes.marks(scope) for scope in scopes}


async def test_a_write_marks_its_guild_and_the_object(notes, overlay):
    own_writes = OwnWrites(notes, FakeReader(), overlay)
    before = await marked(own_writes, "1", "2", "5", GUILDS)
    request, reply = written("PATCH", "/channels/5"), Reply(200, {}, b'{"id":"5","type":0,"guild_id":"1"}')
    await record(own_writes, request, reply, 0.1)
    after = await marked(own_writes, "1", "2", "5", GUILDS)
    assert {scope for scope in before if before[scope] != after[scope]} == {"1", "5"}
    await record(own_writes, request, reply, 0.1)
    assert (await marked(own_writes, "5"))["5"] != after["5"]
    assert [each[:3] for each in overlay.put_objects] == [("ch", "1", "5")] * 2


async def test_an_overwrite_is_put_into_the_channel_as_it_is_seen_now(notes, overlay):
    own_writes = OwnWrites(notes, FakeReader(CHANNEL), overlay)
    await record(
        own_writes, written("PUT", "/channels/5/permissions/9", b'{"type":1,"allow":"2"}'), Reply(204, {}, b""), 0.1
    )
    ((_, guild_id, channel_id, channel),) = overlay.put_objects
    assert (guild_id, channel_id) == ("1", "5")
    assert [each["id"] for each in channel["permission_overwrites"]] == ["8", "9"]


async def test_an_overwrite_of_a_channel_in_doubt_keeps_the_doubt(notes, overlay):
    own_writes = OwnWrites(notes, FakeReader(UNCERTAIN), overlay)
    before = await own_writes.marks("7")
    await record(own_writes, written("DELETE", "/channels/5/permissions/9"), Reply(204, {}, b""), 0.1)
    assert overlay.uncertain_channels == ["5"]
    assert not overlay.put_objects
    assert await own_writes.marks("7") != before


async def test_a_write_whose_guild_nobody_knows_ends_all_sharing(notes, overlay):
    own_writes = OwnWrites(notes, FakeReader(), overlay)
    before = await own_writes.marks("7")
    await record(own_writes, written("DELETE", "/channels/5/permissions/9"), Reply(204, {}, b""), 0.1)
    assert await own_writes.marks("7") != before
    assert not overlay.put_objects


@pytest.mark.parametrize(("authorization", "shown"), [(None, 1), ("Bearer of-a-person", 0), ("", 0)])
async def test_me_is_the_bot_with_its_own_token_only(notes, overlay, authorization, shown):
    request = replace(written("PATCH", "/users/@me"), authorization=authorization)
    await record(OwnWrites(notes, FakeReader(), overlay), request, Reply(200, {}, b'{"id":"77"}'), 0.1)
    assert len(overlay.put_objects) == shown


@pytest.mark.parametrize("body", [b"{", b"[1]", b'{"id":"5"}', b""])
async def test_an_odd_answer_does_not_fail_the_write(notes, overlay, body, caplog):
    own_writes = OwnWrites(notes, FakeReader(), overlay)
    before = await own_writes.marks("1")
    await record(own_writes, written("POST", "/guilds/1/channels"), Reply(201, {}, body), 0.1)
    assert await own_writes.marks("1") != before


async def test_trouble_with_redis_does_not_fail_the_write(notes, overlay, caplog):
    own_writes = OwnWrites(notes, FakeReader(), overlay)
    overlay.down = True
    await record(
        own_writes, written("PATCH", "/channels/5"), Reply(200, {}, b'{"id":"5","type":0,"guild_id":"1"}'), 0.1
    )
    assert "a write is not visible" in caplog.text
    assert notes.kept[f"wrote:{ANYTHING}"]
    notes.down = True
    await record(
        own_writes, written("PATCH", "/channels/5"), Reply(200, {}, b'{"id":"5","type":0,"guild_id":"1"}'), 0.1
    )
    assert await own_writes.marks("5") is None


async def test_a_message_is_not_looked_at(notes, overlay):
    await record(
        OwnWrites(notes, FakeReader(), overlay), written("POST", "/channels/5/messages"), Reply(200, {}, b"{"), 0.1
    )
    assert not notes.kept
