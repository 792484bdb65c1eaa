"""Invalid requests to a server: each error contains the field, and nothing is sent to Discord."""

import json
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio

from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from fakes.every_case import every_case
from integration.api.conftest import TOKEN, Served, serve
from strategies.bad_api_requests import BAD_API_REQUESTS
from strategies.bad_requests import BAD_REQUESTS

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def refusing() -> AsyncIterator[Served]:
    async with Sandbox(SandboxConfig(token=TOKEN)) as discord, serve(discord) as served:
        yield served


@every_case("bad", [*BAD_REQUESTS, *BAD_API_REQUESTS], ids=str)
async def test_the_error_contains_the_field_and_nothing_is_sent(refusing, bad):
    before = len(refusing.broker.acquired), len(refusing.discord.ledger.records)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await getattr(refusing.stub, bad.rpc)(bad.request, timeout=30)
    details = json.loads(refused.value.details())
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (details["status"], details["code"], details["scope"], details["sent"]) == (400, 50035, "proxy", "no")
    assert bad.path in {field["path"] for field in details["fields"]}
    assert (len(refusing.broker.acquired), len(refusing.discord.ledger.records)) == before
