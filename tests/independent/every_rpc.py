"""Every RPC, validated by Prism. Run by `make prism`: it needs Node, and up to two minutes."""

import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio

from discordproxy import discord_api_pb2 as pb
from discordproxy_sandbox.limits.book import LimitBook
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from integration.api.conftest import TOKEN, Served, serve
from integration.api.rpcs.test_every_rpc import CHANNEL, GUILD, OTHER, REQUESTS, ROLE, Made, request_for
from processes.prism import Prism, Violation, prism
from strategies.valid_requests import ROWS, V2

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

FALSE_ALARMS = (
    (r"PUT /channels/\d+/permissions/\d+", r"request\.body\.(allow|deny)"),  # Discord documents texts
    (r"GET /guilds/\d+/requests", r"request\.query\.status"),  # an empty list of values next to the documented one
    (r"PATCH /guilds/\d+/requests/\d+", r"request\.body\.action"),  # the same
    (r"DELETE /guilds/\d+/bans/\d+", r"request"),  # "Body parameter is required": Discord documents none
)
"""Operation and place of what Discord's description has wrong; its documentation says otherwise."""

MEDIA = pb.Embed.Image(url="https://example.com/a.png")
EMBED = pb.Embed(
    title="t",
    description="d",
    url="https://example.com",
    color=0,
    timestamp="2036-01-01T00:00:00Z",
    footer=pb.Embed.Footer(text="f", icon_url="https://example.com/a.png"),
    author=pb.Embed.Author(name="a", url="https://example.com"),
    image=MEDIA,
    fields=[pb.Embed.Field(name="n", value="v", inline=True)],
)
FILE = pb.File(filename="a.txt", content=b"x", description="alt")
MEMBER = {"guild_id": GUILD, "user_id": OTHER}

FULL: dict[str, tuple[str, dict[str, Any]]] = {
    "rows": ("SendChannelMessage", {"content": "x", "embeds": [EMBED] * 2, "components": ROWS}),
    "components v2": ("SendChannelMessage", {"flags": 32768, "components": V2}),
    "files": ("SendChannelMessage", {"content": "x", "files": [FILE, FILE]}),
    "mentions": ("SendChannelMessage", {"content": "x", "allowed_mentions": {"parse": ["users"], "roles": [ROLE]}}),
    "member": ("EditGuildMember", {**MEMBER, "nick": "n", "roles": [ROLE], "reason": "because \N{SNOWMAN}"}),
    "cleared": ("EditGuildMember", {**MEMBER, "clear": ["nick", "roles"]}),
    "ban": ("CreateBan", {**MEMBER, "delete_message_seconds": 60}),
}
"""What the requests of the other table leave unset."""


def objections(judge: Prism) -> list[Violation]:
    """Return the violations that are none of the false alarms."""
    return [
        violation
        for violation in judge.violations
        if not any(
            re.fullmatch(operation, violation.operation) and re.fullmatch(place, violation.place)
            for operation, place in FALSE_ALARMS
        )
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def judge(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prism]:
    async with prism(tmp_path_factory.mktemp("prism")) as judge:
        yield judge


@contextlib.asynccontextmanager
async def judged(judge: Prism) -> AsyncIterator[Served]:
    """Serve with a new world behind the judge."""
    judge.violations.clear()
    unlimited = LimitBook(default=None, global_limit=None)
    config = SandboxConfig(token=TOKEN, limits=unlimited, port=judge.upstream_port)
    async with Sandbox(config) as discord, serve(discord, discord_url=judge.url) as served:
        yield served


@pytest.mark.parametrize("name", REQUESTS)
async def test_every_rpc(judge, name):
    before = judge.judged
    async with judged(judge) as served:
        await getattr(served.stub, name)(await request_for(served, name), timeout=60)
    assert judge.judged > before
    assert not objections(judge)


@pytest.mark.parametrize("name", FULL)
async def test_requests_with_much_in_them(judge, name):
    rpc, fields = FULL[name]
    if rpc == "SendChannelMessage":
        fields = {"channel_id": CHANNEL, **fields}
    async with judged(judge) as served:
        await getattr(served.stub, rpc)(getattr(pb, f"{rpc}Request")(**fields), timeout=60)
    assert not objections(judge)


async def test_an_edit_and_a_reply(judge):
    async with judged(judge) as served:
        message = await Made(served.stub).message()
        reply = {"channel_id": CHANNEL, "content": "x", "message_reference": {"message_id": message["message_id"]}}
        await served.stub.SendChannelMessage(pb.SendChannelMessageRequest(**reply), timeout=60)
        await served.stub.EditMessage(pb.EditMessageRequest(**message, embeds=[EMBED], clear=["content"]), timeout=60)
    assert not objections(judge)


async def test_the_judge_does_object(judge):
    wrong = pb.ApiRequest(method="POST", path=f"/channels/{CHANNEL}/messages", json='{"content": 5}')
    async with judged(judge) as served:
        with pytest.raises(grpc.aio.AioRpcError):
            await served.stub.Request(wrong, timeout=60)
    assert "request.body.content" in [violation.place for violation in objections(judge)]
