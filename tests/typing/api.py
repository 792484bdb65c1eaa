"""The types that applications rely on. Checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import grpc
from typing_extensions import assert_type

from discordproxy.aio import AsyncDiscordClient
from discordproxy.builders import ActionRow, Button, Container, TextDisplay, mentions, poll
from discordproxy.client import (
    UNSET,
    DiscordApiStub,
    DiscordClient,
    DiscordProxyException,
    DiscordProxyGrpcError,
    DiscordProxyHttpError,
    DiscordProxyTimeoutError,
    default_client,
    to_discord_proxy_exception,
)
from discordproxy.discord_api_pb2 import (
    Ban,
    Channel,
    Command,
    Component,
    ComputePermissionsResponse,
    Embed,
    Event,
    GetUserRequest,
    Guild,
    GuildMember,
    Message,
    Role,
    RoleSyncReport,
    SendDirectMessageResponse,
    SyncCommandsResponse,
    SyncGuildRolesProgress,
    SyncMemberRolesResponse,
    User,
    UserResponse,
    VoiceState,
)
from discordproxy.helpers import GrpcErrorDetails, parse_error_details
from discordproxy.snowflakes import message_url, snowflake_at, snowflake_time
from discordproxy.testing import Call, FakeDiscordProxy
from discordproxy.tests.factories import create_discordproxy_channel, create_rpc_error


def construct() -> None:
    DiscordClient()
    DiscordClient("localhost:50051", [("grpc.max_send_message_length", 1)], 30)
    DiscordClient(["10.0.0.1:1", "10.0.0.2:1"], timeout=None, api_key="key", tls=True, app="srp", retries=0)
    DiscordClient(tls=Path("ca.pem"))
    DiscordClient(tls=grpc.ssl_channel_credentials())
    DiscordClient(timeout="30")  # type: ignore[arg-type]
    DiscordClient(None, None, None, "key")  # type: ignore[call-arg]


def synchronous(client: DiscordClient, message: Message) -> None:
    assert_type(client.target, str)
    assert_type(client.timeout, "float | None")
    assert_type(client.create_direct_message(1, "text", Embed(title="t")), Message)
    assert_type(
        [part.id for part in client.create_direct_message(1, "long", overflow="split").more_messages], list[int]
    )
    assert_type(client.create_channel_message(channel_id=1, embed={"title": "t"}, timeout=3), Message)
    client.create_channel_message(
        1,
        "text",
        embeds=[Embed(), {"title": "t"}],
        files=["a.png", Path("b.png"), ("c.txt", b"text")],
        allowed_mentions=mentions(users=True),
        components=[ActionRow(Button.link("Site", "https://example.org"))],
        poll=poll("Lunch?", ["yes", "no"]),
        reply_to=message,
        nonce="n",
        enforce_nonce=True,
        overflow="split",
        priority="low",
        max_wait=timedelta(seconds=5),
        idempotency_key="key",
    )
    client.create_channel_message(1, "text", slient=True)  # type: ignore[call-arg]
    client.create_channel_message(1, "text", priority="urgent")  # type: ignore[arg-type]
    client.delete_channel_message(1, 2, reason="spam", timeout=None)
    client.delete_channel_message(1)  # type: ignore[call-arg]
    assert_type(client.edit_channel_message(1, 2, "text"), Message)
    client.edit_channel_message(1, 2, UNSET, embeds=None, suppress_embeds=True)
    assert_type(client.create_reply(message, "text", silent=True), Message)
    assert_type(client.get_guild_channels(1), list[Channel])
    assert_type(
        client.get_channel_messages(1, limit=5, after=snowflake_at(datetime.now().astimezone())), Iterator[Message]
    )
    assert_type(client.list_guild_members(1), Iterator[GuildMember])
    assert_type(next(client.events(["MESSAGE_CREATE"], guild_ids=[1])), Event)
    assert_type(client.get_voice_states(1), list[VoiceState])
    assert_type(client.list_bans(1), Iterator[Ban])
    assert_type(client.list_guilds(), Iterator[Guild])
    assert_type(client.list_guild_members(1, role_id=2), Iterator[GuildMember])
    assert_type(client.get_voice_states(1), list[VoiceState])
    assert_type(client.compute_permissions(1, channel_id=2, user_id=3), ComputePermissionsResponse)
    assert_type(client.edit_guild_member(1, 2, nick=None, roles=[3]), GuildMember)
    client.edit_guild_member(1, 2, nik=None)  # type: ignore[call-arg]
    assert_type(client.create_role(1, name="Pilot", color=0xFF), Role)
    assert_type(client.sync_member_roles(1, 2, roles=[3], managed={3, 4}), SyncMemberRolesResponse)
    assert_type(client.sync_guild_roles(1, {2: {3, 4}}, mode="add_only", dry_run=True).result(), RoleSyncReport)
    assert_type(next(client.sync_guild_roles(1, {2: [3]})), SyncGuildRolesProgress)
    assert_type(client.sync_commands([Command(name="shop")], dry_run=True), SyncCommandsResponse)
    assert_type(client.sync_commands([{"name": "shop", "description": "x"}], guild_id=1), SyncCommandsResponse)
    assert_type(client.list_commands(), list[Command])
    assert_type(client.release_commands(["shop"]), list[Command])
    assert_type(client.create_channel(1, "news", Channel.GUILD_NEWS), Channel)
    assert_type(client.create_interaction_response(1, "token", type="autocomplete", choices={"One": 1}), Message)
    client.create_interaction_response(1, "token", type="modal", title="t", custom_id="c", components=[ActionRow()])
    client.create_interaction_response(1, "token", type="pong")  # type: ignore[arg-type]
    client.create_invite(1, role_ids=[2], user_ids={3, 4})
    assert_type(default_client(), DiscordClient)


def stubs(client: DiscordClient, stub: DiscordApiStub, channel: grpc.Channel) -> None:
    assert_type(client.stub.GetUser(GetUserRequest(user_id=1), timeout=3), UserResponse)
    client.stub.GetUser(Message())  # type: ignore[arg-type]
    assert_type(DiscordApiStub(channel), DiscordApiStub)
    assert_type(client.channel, grpc.Channel)
    answer: SendDirectMessageResponse = client.call("SendDirectMessage", GetUserRequest(), timeout=3)
    assert_type(answer.message, Message)


async def asynchronous(client: AsyncDiscordClient) -> None:
    assert_type(await client.create_direct_message(1, "text", files=["a.png"]), Message)
    assert_type(await client.get_current_user(), User)
    assert_type(client.list_guild_members(1), AsyncIterator[GuildMember])
    assert_type(await anext(client.events(on_gap="raise")), Event)
    assert_type(await client.sync_guild_roles(1, {2: [3]}).result(), RoleSyncReport)
    assert_type(await anext(client.sync_guild_roles(1, {2: [3]})), SyncGuildRolesProgress)
    assert_type(await client.stub.GetUser(GetUserRequest(user_id=1)), UserResponse)
    async with client as same:
        assert_type(same, AsyncDiscordClient)
    await client.close()


def errors(error: DiscordProxyException, http: DiscordProxyHttpError, failed: DiscordProxyGrpcError) -> None:
    if error.sent == "no" and error.retry_after is not None:
        assert_type(error.retry_after, float)
    assert_type(error.request_id, str)
    assert_type((http.status, http.code, http.text), "tuple[int, int, str]")
    assert_type((failed.status, failed.details), "tuple[grpc.StatusCode, str]")
    if error.sent == "maybe":  # type: ignore[comparison-overlap]
        raise DiscordProxyTimeoutError(grpc.StatusCode.DEADLINE_EXCEEDED, "late")
    assert_type(to_discord_proxy_exception(create_rpc_error()), DiscordProxyException)
    assert_type(parse_error_details(create_rpc_error()), GrpcErrorDetails)


def small_things(message: Message) -> None:
    assert_type(snowflake_time(1), datetime)
    assert_type(message_url(message, guild_id=3), str)
    assert_type(Container(TextDisplay("x"), accent_color=1), Component)
    assert_type(create_discordproxy_channel(name="general"), Channel)


def applications_tests(proxy: FakeDiscordProxy) -> None:
    with proxy as same:
        assert_type(same, FakeDiscordProxy)
    assert_type(proxy.calls, list[Call])
    assert_type(proxy.direct_messages(1), list[Message])
    proxy.fail_http(403, 50007, rpc="SendDirectMessage")
    proxy.answer("GetUser", UserResponse())
