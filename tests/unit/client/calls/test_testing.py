"""The stand-in that applications test with: it behaves like a proxy, for both clients."""

import inspect
import json
import os
import subprocess
import sys
from datetime import timedelta

import grpc
import pytest

from discordproxy.aio import AsyncDiscordClient
from discordproxy.client import (
    DiscordClient,
    DiscordProxyGrpcError,
    DiscordProxyHttpError,
    DiscordProxyTimeoutError,
    Embed,
    default_client,
)
from discordproxy.discord_api_pb2 import Channel, ChannelPosition, Event, GetUserRequest, User, UserResponse
from discordproxy.exceptions import DiscordProxyGapError
from discordproxy.testing import FakeDiscordProxy


@pytest.fixture
def client():
    return DiscordClient("nowhere.invalid:1", api_key="secret", app="tests")


async def test_both_clients_meet_in_one_world(proxy, client):
    sent = client.create_channel_message(5, "Hello", Embed(title="first"), embeds=[Embed(title="second")])
    assert [embed.title for embed in sent.embeds] == ["first", "second"]
    async_client = AsyncDiscordClient("nowhere.invalid:1")
    assert await async_client.get_channel_message(5, sent.id) == sent
    edited = await async_client.edit_channel_message(5, sent.id, "Bye", embeds=[])
    assert (edited.content, len(edited.embeds)) == ("Bye", 0)
    assert proxy.messages == [edited]


def test_records_calls(proxy, client):
    client.create_direct_message(42, "Welcome!", timeout=7)
    assert proxy.direct_messages(42)[0].content == "Welcome!"
    call = proxy.calls[0]
    assert (call.rpc, call.request.user_id, call.timeout) == ("SendDirectMessage", 42, 7)
    assert call.metadata["authorization"] == "Bearer secret"
    assert call.metadata["x-discordproxy-app"] == "tests"
    assert proxy.requests("SendDirectMessage") == [call.request]


def test_a_large_upload_tells_its_size_so_that_the_proxy_lets_it_wait_for_room(proxy, client):
    for size in (1000, 300_000):
        client.create_channel_message(42, "x", files=[("a.bin", bytes(size))])
    small, large = proxy.calls
    assert "x-discordproxy-upload-bytes" not in small.metadata
    assert int(large.metadata["x-discordproxy-upload-bytes"]) == large.request.ByteSize()


@pytest.mark.parametrize("send", ["create_direct_message", "create_channel_message"])
async def test_idempotency_key_takes_effect_once(proxy, client, send):
    proxy.fail_timeout(delivered=True)
    with pytest.raises(DiscordProxyTimeoutError):
        getattr(client, send)(42, "Thank you", idempotency_key="order-1")
    message = getattr(client, send)(42, "Thank you", idempotency_key="order-1")
    assert proxy.messages == [message]
    other = await getattr(AsyncDiscordClient("nowhere.invalid:1", app="other"), send)(
        42, "Thank you", idempotency_key="order-1"
    )
    assert proxy.messages == [message, other]
    with pytest.raises(DiscordProxyHttpError, match="was used for another request") as caught:
        getattr(client, send)(42, "Something else", idempotency_key="order-1")
    assert caught.value.sent == "no"


def test_default_client_is_covered(proxy):
    default_client().create_direct_message(1, "x")
    assert len(proxy.direct_messages(1)) == 1


def test_messages_page_in_both_directions(proxy, client):
    ids = [client.create_channel_message(5, str(number)).id for number in range(250)]
    client.create_channel_message(6, "elsewhere")
    assert [message.id for message in client.get_channel_messages(5)] == ids[::-1]
    assert [message.id for message in client.get_channel_messages(5, after=ids[9])] == ids[10:]
    assert [message.id for message in client.get_channel_messages(5, limit=120, before=ids[200])] == ids[80:200][::-1]
    sizes = [request.limit for request in proxy.requests("GetMessages")]
    assert sizes == [100, 100, 100, 100, 100, 100, 100, 20]


async def test_members_page(proxy):
    guild = proxy.add_guild()
    for user_id in range(1, 1201):
        proxy.add_member(guild.id, user_id)
    members = AsyncDiscordClient().list_guild_members(guild.id)
    assert [member.user.id async for member in members] == list(range(1, 1201))
    assert [request.after for request in proxy.requests("ListGuildMembers")] == [0, 1000]


def test_reads_of_guilds(proxy, client):
    guild = proxy.add_guild()
    for user_id, roles in ((1, [9]), (2, []), (3, [9])):
        proxy.add_member(guild.id, proxy.add_user(f"pilot{user_id}", id=user_id), roles=roles)
    assert [each.id for each in client.list_guilds(fresh=True)] == [guild.id]
    assert [each.user.id for each in client.list_guild_members(guild.id, role_id=9)] == [1, 3]
    assert [each.user.id for each in client.search_guild_members(guild.id, "Pilot", limit=2, fresh=True)] == [1, 2]
    assert client.get_voice_states(guild.id, channel_id=5) == []
    assert client.compute_permissions(guild.id).can_send
    with pytest.raises(DiscordProxyHttpError, match="Unknown Channel"):
        client.compute_permissions(guild.id, channel_id=5, fresh=True)
    assert client.get_current_user(fresh=True).bot
    asked = [request.fresh for request in (*proxy.requests("ListGuilds"), *proxy.requests("GetCurrentUser"))]
    assert asked == [True, True]


def test_unknown_things_are_404(proxy, client):
    with pytest.raises(DiscordProxyHttpError) as caught:
        client.edit_channel_message(5, 6, "x")
    assert (caught.value.status, caught.value.code, caught.value.sent) == (404, 10008, "no")


def test_http_error_once(proxy, client):
    proxy.fail_http(403, 50007, "Cannot send messages to this user", rpc="SendDirectMessage")
    assert client.get_guild_channels(1) == []
    with pytest.raises(DiscordProxyHttpError, match="Cannot send"):
        client.create_direct_message(1, "x")
    assert client.create_direct_message(1, "x").id


def test_rate_limited(proxy, client):
    proxy.fail_rate_limited(retry_after=30.0)
    with pytest.raises(DiscordProxyGrpcError) as caught:
        client.create_direct_message(1, "x", max_wait=timedelta(seconds=2))
    assert (caught.value.sent, caught.value.retry_after) == ("no", 30.0)
    assert caught.value.reason == "WAIT_EXCEEDS_MAX_WAIT"


@pytest.mark.parametrize("delivered", [True, False])
def test_timeout(proxy, client, delivered):
    proxy.fail_timeout(delivered=delivered)
    with pytest.raises(DiscordProxyTimeoutError) as caught:
        client.create_direct_message(1, "x", nonce="same")
    assert caught.value.sent == "unknown"
    client.create_direct_message(1, "x", nonce="same")
    assert len(proxy.messages) == 1


@pytest.mark.parametrize("delivered", [True, False])
def test_timeout_of_a_role_synchronization(proxy, client, delivered):
    guild = proxy.add_guild()
    role, member = proxy.add_role(guild.id), proxy.add_member(guild.id, 5)
    proxy.fail_timeout(rpc="SyncGuildRoles", delivered=delivered)
    with pytest.raises(DiscordProxyTimeoutError):
        client.sync_guild_roles(guild.id, {role.id: [5]}).result()
    assert list(member.roles) == [role.id] * delivered


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_a_closed_stream_of_events_ends_at_once(proxy, client, asynchronous):
    if asynchronous:
        stream = AsyncDiscordClient().events()
        stream.close()
        async with stream:
            assert [event async for event in stream] == []
    else:
        stream = client.events()
        stream.close()
        with stream:
            assert list(stream) == []


async def test_unreachable_is_repeated_without_waiting(proxy):
    proxy.fail_unreachable(times=3)
    await AsyncDiscordClient(retries=3).create_direct_message(1, "x")
    assert len({call.request.nonce for call in proxy.calls}) == 1
    assert len(proxy.calls) == 4
    proxy.fail_unreachable()
    with pytest.raises(DiscordProxyGrpcError) as caught:
        await AsyncDiscordClient(retries=0).create_direct_message(1, "x")
    assert caught.value.sent == "no"


def test_too_long_text(proxy, client):
    with pytest.raises(DiscordProxyHttpError, match="2000 or fewer"):
        client.create_channel_message(1, "x" * 2001)


def test_own_answers(proxy, client):
    proxy.answer("GetUser", lambda request: UserResponse(user=User(id=request.user_id, username="Bruce")))
    assert client.call("GetUser", GetUserRequest(user_id=3)).user.username == "Bruce"
    assert client.get_user(4).id == 4


def test_guild_objects(proxy, client):
    guild = proxy.add_guild(name="Fleet")
    text = proxy.add_channel(guild.id, "general")
    role = proxy.add_role(guild.id, "Pilot")
    user = proxy.add_user("Bruce")
    proxy.add_member(guild.id, user, roles=[7])
    assert client.get_guild(guild.id).name == "Fleet"
    assert client.get_guild_channels(guild.id) == [text]
    made = client.create_channel(guild.id, "news", Channel.GUILD_NEWS, topic="All")
    assert client.edit_channel(made.id, topic=None, name="old").topic == ""
    client.delete_channel(made.id)
    client.add_member_role(guild.id, user.id, role.id)
    assert list(client.get_guild_member(guild.id, user.id).roles) == [7, role.id]
    changes = client.sync_member_roles(guild.id, user.id, roles=[9], managed=[9, role.id])
    assert (list(changes.added), list(changes.removed)) == ([9], [role.id])
    assert list(client.edit_guild_member(guild.id, user.id, roles=None).roles) == []
    client.kick_guild_member(guild.id, user.id)
    with pytest.raises(DiscordProxyHttpError, match="Unknown Member"):
        client.get_guild_member(guild.id, user.id)
    assert client.edit_role(guild.id, role.id, name="Captain").name == "Captain"
    client.delete_role(guild.id, role.id)
    assert client.get_guild_roles(guild.id) == []
    assert client.create_webhook(text.id, "hook").name == "hook"
    assert client.get_current_user().bot


def test_events_happen_when_the_test_lets_them(proxy, client):
    proxy.emit("MESSAGE_CREATE", id="1", channel_id="5", guild_id="7")
    proxy.emit("MESSAGE_CREATE", id="2", channel_id="6", guild_id="7")
    proxy.emit("TYPING_START", channel_id="5")
    events = client.events(types=["MESSAGE_CREATE"], channel_ids=[5])
    assert [(event.guild_id, json.loads(event.json)["id"]) for event in events] == [(7, "1")]
    proxy.emit("MESSAGE_CREATE", id="3", channel_id="5")
    later = client.events(cursor=events.cursor)
    assert [event.sequence for event in later] == [2, 3, 4]
    assert [call.request.cursor for call in proxy.calls] == ["", "1"]
    assert proxy.calls[0].metadata["authorization"] == "Bearer secret"


async def test_a_stream_resumes_after_failures_and_gaps(proxy, client):
    proxy.fail_unreachable(rpc="SubscribeEvents", times=3)
    proxy.emit("MESSAGE_CREATE", id="1")
    proxy.emit_gap()
    proxy.emit("MESSAGE_CREATE", id="2")
    assert [event.sequence for event in client.events()] == [1, 3]
    async with AsyncDiscordClient("nowhere.invalid:1").events(on_gap="yield") as events:
        assert [event.kind async for event in events] == [Event.DISPATCH, Event.GAP, Event.DISPATCH]
    strict = client.events(on_gap="raise")
    assert next(strict).sequence == 1
    with pytest.raises(DiscordProxyGapError, match="are lost"):
        next(strict)
    assert next(strict).sequence == 3
    strict.close()
    assert list(strict) == []


def test_a_subscription_that_is_refused_raises(proxy, client):
    proxy.fail_http(400, 50035, "unknown event", rpc="SubscribeEvents")
    with pytest.raises(DiscordProxyHttpError, match="unknown event"):
        next(client.events(types=["NOTHING"]))


@pytest.fixture
def guild(proxy):
    """A guild with two roles; three members have the first one."""
    guild = proxy.add_guild(id=7)
    proxy.add_role(7, id=71)
    proxy.add_role(7, id=72)
    for user_id in (1, 2, 3):
        proxy.add_member(7, user_id, roles=[71, 99])
    return guild


def roles_of(client):
    return {member.user.id: list(member.roles) for member in client.list_guild_members(7)}


def test_roles_of_a_guild_are_synchronized(client, guild):
    dry = client.sync_guild_roles(7, {71: [1, 4], 72: iter([1, 2])}, dry_run=True)
    assert (dry.result().complete, dry.plan.adds, dry.plan.removes) == (True, 2, 2)
    assert list(dry.plan.not_in_guild) == [4]
    assert roles_of(client)[1] == [71, 99]
    sync = client.sync_guild_roles(7, {71: [1, 4], 72: [1, 2]})
    assert [step.WhichOneof("step") for step in sync] == ["plan", "report"]
    assert (sync.report.changed, sync.report.adds, sync.report.removes) == (3, 2, 2)
    assert roles_of(client) == {1: [71, 99, 72], 2: [99, 72], 3: [99]}
    assert client.sync_guild_roles(7, {71: [], 72: []}, mode="add_only").result().changed == 0


async def test_roles_of_a_guild_are_synchronized_with_asyncio(guild, client):
    async with (
        AsyncDiscordClient("nowhere.invalid:1") as asynchronous,
        asynchronous.sync_guild_roles(7, {71: [1]}) as sync,
    ):
        assert [step.WhichOneof("step") async for step in sync] == ["plan", "report"]
        assert (await asynchronous.sync_guild_roles(7, {71: [1]}).result()).changed == 0
    assert roles_of(client)[2] == [99]


def test_too_many_removals_raise_and_change_nothing(client, guild):
    sync = client.sync_guild_roles(7, {71: []}, max_removals=2)
    with pytest.raises(DiscordProxyGrpcError, match="TOO_MANY_REMOVALS") as refused:
        sync.result()
    assert refused.value.status is grpc.StatusCode.FAILED_PRECONDITION
    assert (sync.plan.removes, sync.plan.max_removals, sync.report) == (3, 2, None)
    assert roles_of(client)[1] == [71, 99]
    assert list(sync) == []
    with pytest.raises(DiscordProxyHttpError, match="Unknown Guild"):
        next(client.sync_guild_roles(8, {71: []}))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (({71: 5},), "roles"),
        (({71: ["x"]},), "user_ids"),
        (({"x": [1]},), "role_id"),
        ((5,), "roles"),
        (({71: "12"},), "roles"),
    ],
    ids=["no list", "no id", "no role", "no mapping", "a text"],
)
def test_invalid_lists_of_roles(client, arguments, name):
    with pytest.raises(ValueError, match=name):
        client.sync_guild_roles(7, *arguments)


def test_invalid_options_of_a_synchronization(client):
    with pytest.raises(ValueError, match="mode: must be one of exact, add_only"):
        client.sync_guild_roles(7, {}, mode="all")
    with pytest.raises(ValueError, match="max_removals"):
        client.sync_guild_roles(7, {}, max_removals="5")


def test_a_closed_synchronization_has_no_result(client, guild):
    with client.sync_guild_roles(7, {71: [1]}) as sync:
        assert next(sync).HasField("plan")
    assert list(sync) == []
    with pytest.raises(ValueError, match="closed"):
        sync.result()


def test_everything_is_restored_afterwards():
    before = inspect.getattr_static(DiscordClient, "_sleep")
    with FakeDiscordProxy():
        assert inspect.getattr_static(DiscordClient, "_sleep") is not before
    assert inspect.getattr_static(DiscordClient, "_sleep") is before


def test_pytest_fixture(tmp_path):
    (tmp_path / "test_application.py").write_text(
        "from discordproxy.client import DiscordClient\n"
        "def test_it(discord_proxy):\n"
        "    DiscordClient().create_direct_message(42, 'Welcome!')\n"
        "    assert discord_proxy.direct_messages(42)[0].content == 'Welcome!'\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "discordproxy._fake.pytest_plugin",
        "-p",
        "no:cacheprovider",
        ".",
    ]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "1 passed" in run.stdout, run.stdout + run.stderr


def test_roles_and_channels_are_moved_and_counted(proxy, client):
    guild = proxy.add_guild()
    low, high = proxy.add_role(guild.id, "low", position=1), proxy.add_role(guild.id, "high", position=2)
    proxy.add_member(guild.id, 5, roles=[low.id, high.id])
    proxy.add_member(guild.id, 6, roles=[low.id])
    moved = client.edit_role_positions(guild.id, {low.id: 7})
    assert {role.id: role.position for role in moved} == {low.id: 7, high.id: 2}
    assert client.get_role(guild.id, low.id).position == 7
    assert client.get_role_member_counts(guild.id) == {low.id: 2, high.id: 1}
    channel = proxy.add_channel(guild.id)
    client.edit_channel_positions(guild.id, [ChannelPosition(id=channel.id, position=3)])
    assert client.get_channel(channel.id).position == 3
    assert client.edit_current_member(guild.id, nick="Botty").nick == "Botty"
    assert client.edit_guild(guild.id, description="new").description == "new"


def test_messages_are_found(proxy, client):
    guild = proxy.add_guild()
    channel, other = proxy.add_channel(guild.id), proxy.add_channel(guild.id)
    sent = client.create_channel_message(channel.id, "The Fleet")
    client.create_channel_message(other.id, "the fleet")
    found = client.search_messages(guild.id, "fleet", channel_id=[channel.id])
    assert ([message.id for message in found.messages], found.total_results) == ([sent.id], 1)
    assert client.search_messages(guild.id, "fleet", limit=1).total_results == 2
