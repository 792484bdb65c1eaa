"""The RPC Request reaches every operation of Discord's HTTP API, over real gRPC and real HTTP."""

import json
import re
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio

from discordproxy.discord_api_pb2 import ApiRequest
from discordproxy_ratelimit.route import fingerprint
from discordproxy_sandbox.limits.book import LimitBook
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from discordproxy_sandbox.world.population import BOT_ID, CHANNEL_ID, GUILD_ID, ROLE_ID, USER_ID, nth
from fakes.every_case import every_case
from integration.api.conftest import TOKEN, Served, serve
from strategies.discord_spec import routes

pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNT = 242
ROUTES = routes(f"that Request reaches {COUNT} operations of Discord")
METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE")
NOT_ROUTED, INVALID_FORM = 0, 50035

UNKNOWN = "100000000000000077"
SECRET = "a-token_of.nothing"
VALUES = {
    "application_id": BOT_ID,
    "channel_id": CHANNEL_ID,
    "code": "abcdef",
    "emoji_name": "%F0%9F%91%8D",
    "guild_id": GUILD_ID,
    "interaction_token": SECRET,
    "overwrite_id": ROLE_ID,
    "role_id": nth(ROLE_ID, 2),
    "user_id": nth(USER_ID, 1),
    "webhook_token": SECRET,
}
EVENT = {"name": "e", "privacy_level": 2, "entity_type": 2, "scheduled_start_time": "2036-01-01T00:00:00Z"}
COMMANDS = "/applications/{application_id}/commands"
GUILD_COMMANDS = "/applications/{application_id}/guilds/{guild_id}/commands"
BODIES = {
    **{f"PUT {path}": [] for path in (COMMANDS, GUILD_COMMANDS)},
    **{f"POST {path}": {"name": "c", "description": "d"} for path in (COMMANDS, GUILD_COMMANDS)},
    "PATCH /guilds/{guild_id}/channels": [{"id": CHANNEL_ID}],
    "PATCH /guilds/{guild_id}/roles": [{"id": ROLE_ID}],
    "POST /channels/{channel_id}/followers": {"webhook_channel_id": CHANNEL_ID},
    "POST /channels/{channel_id}/messages": {"content": "x"},
    "POST /channels/{channel_id}/messages/bulk-delete": {"messages": [UNKNOWN, nth(UNKNOWN, 1)]},
    "POST /channels/{channel_id}/messages/{message_id}/threads": {"name": "t"},
    "POST /channels/{channel_id}/threads": {"name": "t", "type": 11},
    "POST /channels/{channel_id}/webhooks": {"name": "w"},
    "POST /guilds/{guild_id}/bulk-ban": {"user_ids": [UNKNOWN]},
    "POST /guilds/{guild_id}/channels": {"name": "c"},
    "POST /guilds/{guild_id}/scheduled-events": {**EVENT, "channel_id": nth(CHANNEL_ID, 2)},
    "POST /interactions/{interaction_id}/{interaction_token}/callback": {"type": 1},
    "POST /users/@me/channels": {"recipient_id": USER_ID},
    "PUT /guilds/{guild_id}/members/{user_id}": {"access_token": "x"},
}


def order(operation: tuple[str, str]) -> tuple[int, int, str]:
    """Return a sort key: objects are used before they are deleted."""
    method, template = operation
    return METHODS.index(method), -template.count("/"), template


def request_for(method: str, template: str) -> ApiRequest:
    auth = ROUTES[method, template]["auth"]
    return ApiRequest(
        method=method,
        path=re.sub(r"\{(\w+)\}", lambda found: VALUES.get(found[1], UNKNOWN), template),
        json="" if method == "GET" else json.dumps(BODIES.get(f"{method} {template}", {})),
        authorization="Bearer a-users" if auth.startswith("oauth2") else "none" if "none" in auth else "",
    )


def majors(method: str, template: str) -> tuple[str, str]:
    """Return the major parameter as in the broker, and as in the sandbox, without tokens."""
    names = ROUTES[method, template]["major"].partition(" ")[0]
    if names == "-":
        return "", ""
    name, _, secret = names.partition("+")
    value = VALUES.get(name, UNKNOWN)
    if not secret:
        return f"{name}={value}", value
    ours = f"interaction={value}" if name == "interaction_id" else f"{name}={value}:{fingerprint(SECRET)}"
    return ours, f"{value}/***"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def everywhere() -> AsyncIterator[Served]:
    unlimited = LimitBook(default=None, global_limit=None)
    async with Sandbox(SandboxConfig(token=TOKEN, limits=unlimited)) as discord, serve(discord) as served:
        yield served


async def test_the_table_is_complete():
    assert len(ROUTES) == COUNT


@every_case(("method", "template"), sorted(ROUTES, key=order))
async def test_an_operation_is_reached(everywhere, method, template):
    before = len(everywhere.discord.ledger.records)
    try:
        response = await everywhere.stub.Request(request_for(method, template), timeout=10)
        assert 200 <= response.status < 300
    except grpc.aio.AioRpcError as failed:
        details = json.loads(failed.details())
        assert details["type"] == "HTTPException", details
        assert details["code"] not in {NOT_ROUTED, INVALID_FORM}, details  # an error of the object, not of the request
    broker_major, discord_major = majors(method, template)
    [record] = everywhere.discord.ledger.records[before:]
    assert (record.method, record.template, record.major) == (method, template, discord_major)
    assert not record.violations
    route = everywhere.broker.acquired[-1].route
    assert route.major == broker_major
    assert re.sub(r"\{\w+\}", "{}", route.name.partition("#")[0]) == re.sub(r"\{\w+\}", "{}", f"{method} {template}")
