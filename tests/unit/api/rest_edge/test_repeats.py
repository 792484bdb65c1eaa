"""Callers that go at any moment: a repeat finds the nonce or the answer of a request that took effect."""

import asyncio
import itertools

import pytest
from prometheus_client import CollectorRegistry

from discordproxy_api.calls.call import Call
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.discord.request import Reply, RestRequest
from discordproxy_api.rest_edge.relay import unpack
from discordproxy_api.rest_edge.repeats import unanswered as module
from discordproxy_api.rest_edge.repeats.message import MessageRelay, NoncedMessage
from discordproxy_api.rest_edge.repeats.once import OnceRelay
from discordproxy_api.rest_edge.repeats.unanswered import SlowRequests, UnansweredRequests
from discordproxy_ratelimit.process.tasks import BackgroundTasks
from discordproxy_ratelimit.route import route_of_path

PATH = "/channels/1/messages"


class Records:
    """Values in memory; every access takes some turns of the event loop."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    def begin_get(self, key: str) -> asyncio.Future[bytes | None]:
        return asyncio.ensure_future(self._get(key))

    async def _get(self, key: str) -> bytes | None:
        await turns(2)
        return self.values.get(key)

    async def finish_get(self, value: asyncio.Future[bytes | None]) -> bytes | None:
        return await value

    async def set(self, key: str, value: bytes, *, ttl_s: float) -> None:
        await turns(2)
        self.values[key] = value
        await turns(2)


class Discord:
    """A relay whose requests take effect."""

    async def send(self, request: RestRequest, call: Call) -> Reply:
        await turns(2)
        if call.before_effect is not None:
            await call.before_effect()
        call.left(0.0, effect=True)
        await turns(6)
        call.succeeded(200, effect=True)
        await turns(2)
        return Reply(200, {}, b"answer")


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def request() -> RestRequest:
    return RestRequest(method="POST", path=PATH, route=route_of_path("POST", PATH))


async def cancelled_after(count: int, sending, background: BackgroundTasks) -> bool:
    """Cancel a caller after some turns of the event loop; return whether it had its answer by then."""
    task = asyncio.ensure_future(sending)
    await turns(count)
    answered = task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await background.finish()
    return answered


@pytest.mark.parametrize("kept_after_s", [0.0, 60.0], ids=["slow", "fast"])
@pytest.mark.parametrize("earlier", [b"", b"earlier"], ids=["first", "repeat"])
async def test_the_nonce_of_a_message_whose_caller_goes(monkeypatch, kept_after_s, earlier):
    monkeypatch.setattr(module, "KEPT_AFTER_S", kept_after_s)
    for count in itertools.count():
        records, background, call = Records(), BackgroundTasks(), Call("CreateMessage", "r")
        if earlier:
            records.values["unanswered:name"] = earlier
        metrics, slow = Metrics(CollectorRegistry()), SlowRequests(background)
        relay = MessageRelay(Discord(), UnansweredRequests(records), slow, metrics, background)
        message = NoncedMessage("name", "nonce", str.encode)
        answered = await cancelled_after(count, relay.send(request(), call, message), background)
        if answered:
            assert not records.values.get("unanswered:name")
            break
        assert call.sent == "no" or records.values["unanswered:name"] == (earlier or b"nonce"), count
    assert count > 10


@pytest.mark.parametrize("kept_after_s", [0.0, 60.0], ids=["slow", "fast"])
async def test_the_answer_of_a_request_whose_caller_goes(monkeypatch, kept_after_s):
    monkeypatch.setattr(module, "KEPT_AFTER_S", kept_after_s)
    for count in itertools.count():
        records, background, call = Records(), BackgroundTasks(), Call("CreateChannel", "r")
        metrics, slow = Metrics(CollectorRegistry()), SlowRequests(background)
        relay = OnceRelay(Discord(), UnansweredRequests(records), slow, metrics, background)
        if await cancelled_after(count, relay.send(request(), call, "name"), background):
            assert not records.values.get("unanswered:name")
            break
        assert call.sent == "no" or unpack(records.values["unanswered:name"]).body == b"answer", count
    assert count > 10
