"""Callers that are cancelled at any moment of an attempt: nothing is lost, nothing is sent twice, `sent` is exact."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from discordproxy_api.calls.call import REFUSAL_S, Call
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.contract.translate import OutgoingFile
from discordproxy_api.discord.app_rate import AppRateWaits
from discordproxy_api.discord.http import DiscordHttp, HttpOptions
from discordproxy_api.discord.nonces import Nonces
from discordproxy_api.discord.request import RestRequest
from discordproxy_api.discord.rest import Rest
from discordproxy_ratelimit.errors import BrokerUnavailableError
from discordproxy_ratelimit.route import route_of
from fakes.broker import FakeBroker
from fakes.eventually import eventually
from fakes.odd_server import LENGTH, OddServer, odd_server

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-RateLimit-Bucket: b\r\n\r\n"
LARGE = b" " * 8_000_000


def a_request(*, upload=False, content=b"{}", repeat=Repeat.NEVER):
    return RestRequest(
        method="POST",
        path="/channels/5/messages",
        route=route_of("POST", "/channels/{channel_id}/messages", {"channel_id": "5"}),
        body=None if upload else content,
        files=[OutgoingFile(field="files[0]", filename="a.txt", content_type="", content=content)] if upload else (),
        repeat=repeat,
    )


@dataclass
class Discord:
    """A server that reads when `reads` is set, answers when `answers` is set, and waits for `ends` within an answer."""

    reads: asyncio.Event = field(default_factory=asyncio.Event)
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    ends: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    answer: bytes = HEAD + b"{}"

    async def talk(self, conversation: Any) -> None:
        while True:
            head = await conversation.reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            await self.reads.wait()
            self.bodies.append(await conversation.reader.readexactly(int(LENGTH.search(head)[1])))
            await self.answers.wait()
            await conversation.send(self.answer[:-1])
            self.begun.set()
            await self.ends.wait()
            await conversation.send(self.answer[-1:])


@dataclass
class Bench:
    """A `Rest` between a broker that grants at once and a scripted Discord."""

    rest: Rest
    broker: FakeBroker
    discord: Discord
    server: OddServer
    accepted: list[RestRequest]
    recording: asyncio.Event
    call: Call = field(default_factory=lambda: Call("SendChannelMessage", "r1"))

    @property
    def answers(self) -> list[int | None]:
        return [answer.status if answer else None for _permit, answer in self.broker.ended]

    async def cancelled(self, task: "asyncio.Task[Any]") -> None:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.fixture
async def bench():
    broker, discord, accepted, recording = FakeBroker(), Discord(), [], asyncio.Event()
    recording.set()

    async def recorded(request):
        await recording.wait()
        accepted.append(request)

    for event in (discord.reads, discord.answers, discord.ends):
        event.set()
    async with (
        odd_server(discord.talk) as server,
        DiscordHttp(HttpOptions(f"http://127.0.0.1:{server.port}/api", "test"), token="canary") as http,
    ):
        drain = Drain()
        rest = Rest(
            http=http,
            broker=broker,
            drain=drain,
            metrics=Metrics(),
            app_rate=AppRateWaits(broker.app_rate, drain),
            nonces=Nonces("canary"),
            on_accepted=lambda request, _reply, _took_s: recorded(request),
        )
        yield Bench(rest, broker, discord, server, accepted, recording)
        await rest.finish()


both = pytest.mark.parametrize("upload", [False, True], ids=["json", "upload"])


@both
async def test_cancelled_while_it_waits_for_a_permit_nothing_is_sent(bench, upload):
    bench.broker.granting.clear()
    task = asyncio.create_task(bench.rest.send(a_request(upload=upload), bench.call))
    await eventually(lambda: bench.broker.waiting)
    await bench.cancelled(task)
    assert (bench.broker.cancelled_waits, bench.answers, bench.call.sent) == (1, [], "no")
    await bench.rest.finish()


@both
async def test_cancelled_before_it_announces_its_effect_nothing_is_sent(bench, upload):
    announcing = asyncio.Event()

    async def announce():
        announcing.set()
        await asyncio.Event().wait()

    bench.call.before_effect = announce
    task = asyncio.create_task(bench.rest.send(a_request(upload=upload), bench.call))
    await announcing.wait()
    await bench.cancelled(task)
    assert (bench.answers, bench.call.sent, bench.server.connections) == ([None], "no", 0)


@both
async def test_cancelled_while_it_connects_nothing_is_sent(bench, upload):
    announced = asyncio.Event()

    async def announce():
        announced.set()

    bench.call.before_effect = announce
    task = asyncio.create_task(bench.rest.send(a_request(upload=upload), bench.call))
    await announced.wait()  # the next await is that of the connection
    await bench.cancelled(task)
    await bench.rest.finish()
    assert (bench.answers, bench.call.sent, bench.discord.heads) == ([None], "no", [])
    assert (await bench.rest.send(a_request(upload=upload), bench.call)).status == 200


@both
async def test_cancelled_while_it_is_written_it_is_finished(bench, upload):
    bench.discord.reads.clear()
    request = a_request(upload=upload, content=LARGE)
    task = asyncio.create_task(bench.rest.send(request, bench.call))
    await eventually(lambda: bench.discord.heads)
    await bench.cancelled(task)
    assert (bench.call.sent, bench.answers, bench.call.flying) == ("unknown", [], True)
    bench.discord.reads.set()
    await bench.rest.finish()
    assert (bench.call.sent, bench.answers, len(bench.discord.heads)) == ("yes", [200], 1)


@both
@pytest.mark.parametrize("moment", ["before the answer", "within the answer"])
async def test_cancelled_after_it_was_written_it_is_finished(bench, upload, moment):
    (bench.discord.answers if moment == "before the answer" else bench.discord.ends).clear()
    task = asyncio.create_task(bench.rest.send(a_request(upload=upload), bench.call))
    await eventually(lambda: bench.discord.heads)
    if moment == "within the answer":
        await bench.discord.begun.wait()
    await bench.cancelled(task)
    assert (bench.call.sent, bench.answers, bench.accepted) == ("unknown", [], [])
    finished = asyncio.create_task(bench.rest.finish())
    await asyncio.sleep(0)
    assert not finished.done()
    bench.discord.answers.set()
    bench.discord.ends.set()
    await finished
    assert (bench.call.sent, bench.answers, len(bench.accepted)) == ("yes", [200], 1)
    assert len(bench.discord.heads) == 1


@both
async def test_cancelled_while_it_is_recorded_it_is_recorded(bench, upload):
    bench.recording.clear()
    task = asyncio.create_task(bench.rest.send(a_request(upload=upload), bench.call))
    await eventually(lambda: bench.broker.ended)
    await bench.cancelled(task)
    assert (bench.call.sent, bench.answers, bench.accepted) == ("yes", [200], [])
    bench.recording.set()
    await bench.rest.finish()
    assert (bench.answers, len(bench.accepted)) == ([200], 1)


@both
async def test_a_drain_waits_for_requests_of_callers_that_have_not_gone(bench, upload):
    bench.discord.answers.clear()
    task = asyncio.create_task(bench.rest.send(a_request(upload=upload), bench.call))
    await eventually(lambda: bench.discord.heads)
    finishing = [asyncio.create_task(bench.rest.finish()) for _ in range(2)]
    await asyncio.sleep(0)
    await bench.cancelled(finishing.pop())  # its time is over
    task.cancel()  # at the end of a drain
    await asyncio.sleep(0)
    assert not finishing[0].done()
    bench.discord.answers.set()
    await finishing[0]
    assert (task.cancelled(), bench.answers, len(bench.accepted)) == (True, [200], 1)


@both
async def test_a_response_that_never_comes_is_lost_without_its_caller_too(bench, upload):
    bench.discord.answers.clear()
    task = asyncio.create_task(bench.rest.send(a_request(upload=upload, repeat=Repeat.ALWAYS), bench.call))
    await eventually(lambda: bench.discord.heads)
    await bench.cancelled(task)
    await bench.rest._http.__aexit__()
    await bench.rest.finish()
    assert (bench.call.sent, bench.answers, len(bench.discord.heads)) == ("unknown", [0], 1)  # not repeated


@both
async def test_many_callers_that_are_cancelled_at_any_moment_leave_nothing_behind(bench, upload):
    calls = []
    for step in range(60):
        call = Call("SendChannelMessage", str(step))
        task = asyncio.create_task(bench.rest.send(a_request(upload=upload), call))
        for _ in range(step):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        calls.append(call)
    await bench.rest.finish()
    sent = [call for call in calls if call.attempts]
    assert (len(bench.discord.heads), len(bench.accepted)) == (len(sent), len(sent))
    assert {call.sent for call in sent} <= {"yes"}
    assert {call.sent for call in calls if not call.attempts} == {"no"}
    assert [status for status in bench.answers if status is not None] == [200] * len(sent)


@both
async def test_a_permit_that_has_expired_sends_nothing(bench, upload):
    bench.broker.void = BrokerUnavailableError("no heartbeat", retry_after_s=1.0)
    with pytest.raises(ApiError) as refused:
        await bench.rest.send(a_request(upload=upload), bench.call)
    assert (refused.value.reason, bench.call.sent, bench.discord.heads) == ("BROKER_UNAVAILABLE", "no", [])


async def test_a_wait_for_a_permit_ends_before_the_callers_own_timer(bench):
    """Else the caller would not know that nothing was sent."""
    for left_s in (100.0, 0.5):
        bench.call.deadline_at = deadline = asyncio.get_running_loop().time() + left_s
        await bench.rest.send(a_request(), bench.call)
        acquired = bench.broker.acquired[-1]
        assert deadline - REFUSAL_S <= acquired.deadline < deadline
        assert acquired.deadline > deadline - left_s / 5
    bench.call.deadline_at = float("inf")
    await bench.rest.send(a_request(), bench.call)
    assert bench.broker.acquired[-1].deadline is None


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
async def test_a_response_of_any_status_can_be_had(bench, status):
    bench.discord.answer = b"HTTP/1.1 %d x\r\nVia: x\r\nContent-Length: 2\r\n\r\n{}" % status
    bench.call.deadline_at = asyncio.get_running_loop().time()
    reply = await bench.rest.send(a_request(), bench.call, any_status=True)
    assert (reply.status, reply.headers["Via"], reply.body) == (status, "x", b"{}")
    with pytest.raises(ApiError) as failed:
        await bench.rest.send(a_request(), bench.call)
    assert failed.value.http_status == status


async def test_without_a_response_there_is_an_error_for_any_status(bench):
    bench.discord.answer = b"nonsense"
    with pytest.raises(ApiError, match="cannot be read"):
        await bench.rest.send(a_request(), bench.call, any_status=True)
    assert bench.call.sent == "unknown"


async def test_the_retry_after_of_a_failure_reaches_the_caller(bench):
    bench.discord.answer = b"HTTP/1.1 503 x\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}"
    with pytest.raises(ApiError) as failed:
        await bench.rest.send(a_request(), bench.call)
    assert failed.value.retry_after_s == 7.0


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "application/octet-stream", ""])
@pytest.mark.parametrize("body", [b"", b"--x\r\n\0\xff"])
async def test_bytes_of_any_type_can_be_sent(bench, content_type, body):
    request = replace(a_request(), body=body, content_type=content_type)
    assert (await bench.rest.send(request, bench.call)).status == 200
    [head] = bench.discord.heads
    assert b"\r\nContent-Length: %d\r\n" % len(body) in head
    assert (b"\r\nContent-Type: %b\r\n" % content_type.encode() in head) == bool(content_type)
    assert (b"Content-Type" in head) == bool(content_type)
    assert bench.discord.bodies == [body]


@pytest.mark.parametrize(("authorization", "line"), [(None, b"Bot canary"), ("Bearer x", b"Bearer x"), ("", b"")])
@both
async def test_authorization_and_reason_are_headers(bench, upload, authorization, line):
    request = replace(a_request(upload=upload), authorization=authorization, reason="café ❤ / x")
    await bench.rest.send(request, bench.call)
    [head] = bench.discord.heads
    assert b"\r\nX-Audit-Log-Reason: caf%C3%A9%20%E2%9D%A4%20%2F%20x\r\n" in head
    assert (b"\r\nAuthorization: %b\r\n" % line in head) == bool(line)
    assert (b"Authorization" in head) == bool(line)
