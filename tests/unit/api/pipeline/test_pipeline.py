"""The path of a call without a transport: each step in its order, and one recorded outcome."""

import asyncio
import logging
from pathlib import Path

import pytest

from discordproxy.discord_api_pb2 import SendChannelMessageRequest, SendChannelMessageResponse
from discordproxy_api.access.authenticator import Authenticator
from discordproxy_api.access.key_file import watch_keys
from discordproxy_api.access.permission import ChannelLocation, Permission
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import CURRENT, Call
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import AnsweredError, ApiError
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.contract.contract import load_contract
from discordproxy_api.discord.app_rate import AppRateWaits
from discordproxy_api.pipeline.access_log import AccessLog
from discordproxy_api.pipeline.admission import AdmissionLimits, KeyedAdmission
from discordproxy_api.pipeline.authentication import Authentication
from discordproxy_api.pipeline.idempotency import Idempotency
from discordproxy_api.pipeline.in_order import InOrder
from discordproxy_api.pipeline.pipeline import CallPipeline
from discordproxy_api.pipeline.receiving.uploads import UploadLimits, Uploads
from discordproxy_api.pipeline.unary_calls import Execution, UnaryCalls
from discordproxy_api.rpcs.procedure import Job
from fakes.broker import FakeClaims

RPC = "SendChannelMessage"
CONTRACT = load_contract()
REQUEST = SendChannelMessageRequest(channel_id=1, content="Hello")


class Worker:
    """A pipeline with its parts."""

    def __init__(self, *, keys: Authenticator | None = None, calls: int = 10, max_call_s: float = 1800.0) -> None:
        self.metrics, self.drain = Metrics(), Drain()
        self.pipeline = CallPipeline(
            access_log=AccessLog(self.metrics, audited=True),
            authentication=Authentication(keys or Authenticator(None, self.metrics), CONTRACT, audited=True),
            admission=KeyedAdmission(self.drain, AdmissionLimits(calls, calls, calls, calls)),
            drain=self.drain,
            max_call_s=max_call_s,
        )

    def count(self, status: str) -> float | None:
        labels = {"rpc": RPC, "status": status, "door": "grpc"}
        return self.metrics.registry.get_sample_value("discordproxy_calls_total", labels)

    @property
    def in_progress(self) -> float | None:
        return self.metrics.registry.get_sample_value("discordproxy_calls_in_progress")


class Echo:
    """A procedure that responds with the content of its request."""

    rpc = CONTRACT[RPC]

    def __init__(self) -> None:
        self.ran: list[str] = []

    def job(self, request, call: Call) -> Job:
        content = request.content

        async def run() -> SendChannelMessageResponse:
            self.ran.append(f"{call.app} {call.priority} {content}")
            response = SendChannelMessageResponse()
            response.message.content = content
            return response

        return Job(run, Repeat.NEVER)


async def no_channel(_channel_id: int, _call: Call) -> ChannelLocation:
    return ChannelLocation(known=False)


def unary_calls(worker: Worker, procedure: Echo) -> UnaryCalls:
    return UnaryCalls(
        {RPC: procedure},
        uploads=Uploads(UploadLimits(), drain=worker.drain, metrics=worker.metrics),
        execution=Execution(
            idempotency=Idempotency(FakeClaims(), kept_s=60.0, drain=worker.drain, metrics=worker.metrics),
            permission=Permission(CONTRACT, no_channel),
            app_rate=AppRateWaits(None, worker.drain),
            in_order=InOrder(FakeClaims(), worker.drain),
        ),
    )


def message(**options) -> SendChannelMessageRequest:
    request = SendChannelMessageRequest()
    request.CopyFrom(REQUEST)
    for name, value in options.items():
        setattr(request.options, name, value)
    return request


async def send(worker: Worker, calls: UnaryCalls, request, call: Call | None = None) -> SendChannelMessageResponse:
    async def read() -> bytes:
        return request.SerializeToString()

    data = await worker.pipeline.serve(call or Call(RPC, "id"), lambda call: calls.serve(call, read))
    return SendChannelMessageResponse.FromString(data)


async def test_a_call_goes_from_bytes_to_bytes(caplog):
    caplog.set_level(logging.INFO)
    worker, procedure = Worker(), Echo()
    answer = await send(worker, unary_calls(worker, procedure), message(priority=2), Call(RPC, "id", claimed_app="srp"))
    assert answer.message.content == "Hello"
    assert procedure.ran == ["srp high Hello"]
    assert (worker.count("OK"), worker.in_progress) == (1, 0)
    assert f"{RPC} OK app=srp sent=no requests=0" in caplog.text
    assert "app=srp key=- peer=- call=SendChannelMessage" in caplog.text


async def test_an_idempotency_key_runs_a_call_once():
    worker, procedure = Worker(), Echo()
    calls = unary_calls(worker, procedure)
    answers = [await send(worker, calls, message(idempotency_key="k")) for _ in range(3)]
    assert [answer.message.content for answer in answers] == ["Hello"] * 3
    assert len(procedure.ran) == 1


async def test_the_error_of_an_undecodable_request_contains_the_field():
    worker, procedure = Worker(), Echo()
    calls = unary_calls(worker, procedure)

    async def read() -> bytes:
        return b"\x12\x02\xff\xff"

    with pytest.raises(ApiError) as failed:
        await worker.pipeline.serve(Call(RPC, "id"), lambda call: calls.serve(call, read))
    assert [field.path for field in failed.value.fields] == ["content"]
    assert (procedure.ran, worker.count("INVALID_ARGUMENT")) == ([], 1)


async def test_nothing_is_read_before_authentication(tmp_path: Path):
    keys = tmp_path / "keys.toml"
    keys.write_text("")
    keys.chmod(0o600)
    metrics = Metrics()
    worker = Worker(keys=Authenticator(watch_keys(keys, rpcs=tuple(CONTRACT), bots=()), metrics))

    async def work(_call: Call) -> None:
        pytest.fail("must not run")

    with pytest.raises(ApiError) as refused:
        await worker.pipeline.serve(Call(RPC, "id", metadata={"authorization": "Bearer canary"}), work)
    assert refused.value.reason == "UNAUTHENTICATED"
    assert worker.count("UNAUTHENTICATED") == 1


async def test_the_metadata_are_in_no_repr():
    assert "canary" not in repr(Call(RPC, "id", metadata={"authorization": "Bearer canary"}))


@pytest.mark.parametrize(
    ("failure", "raised", "status"),
    [
        (errors.invalid_field("content", "CODE", "Too long"), ApiError, "INVALID_ARGUMENT"),
        (AnsweredError("NOT_FOUND"), AnsweredError, "NOT_FOUND"),
        (KeyError("canary"), ApiError, "INTERNAL"),
        (TimeoutError("canary"), ApiError, "INTERNAL"),
        (asyncio.CancelledError(), asyncio.CancelledError, "CANCELLED"),
    ],
)
async def test_every_failure_has_one_outcome(failure, raised, status, caplog):
    worker = Worker()

    async def work(call: Call) -> None:
        assert CURRENT.get() is call
        raise failure

    with pytest.raises(raised) as failed:
        await worker.pipeline.serve(Call(RPC, "id"), work)
    assert (worker.count(status), worker.in_progress) == (1, 0)
    assert "canary" not in str(failed.value)
    assert ("canary" in caplog.text) == (status == "INTERNAL")


async def test_a_call_without_a_deadline_has_a_time_limit():
    worker = Worker(max_call_s=0.01)
    with pytest.raises(ApiError) as ended:
        await worker.pipeline.serve(Call(RPC, "id"), lambda _call: asyncio.Event().wait())
    assert ended.value.reason == "DEADLINE_EXCEEDED"


async def test_a_call_beyond_the_limit_is_refused_until_a_slot_is_released():
    worker, release = Worker(calls=1), asyncio.Event()
    first = asyncio.ensure_future(worker.pipeline.serve(Call(RPC, "1"), lambda _call: release.wait()))
    await asyncio.sleep(0)
    with pytest.raises(ApiError) as refused:
        await worker.pipeline.serve(Call(RPC, "2"), lambda _call: release.wait())
    assert refused.value.reason == "QUEUE_FULL"
    release.set()
    assert await first
    assert await worker.pipeline.serve(Call(RPC, "3"), lambda _call: release.wait())


async def test_a_cancelled_call_releases_its_slot_also_before_it_starts():
    worker = Worker(calls=100)
    calls = [
        asyncio.ensure_future(worker.pipeline.serve(Call(RPC, "id"), lambda _call: asyncio.Event().wait()))
        for _ in range(50)
    ]
    await asyncio.sleep(0)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert worker.in_progress == 0
    async with asyncio.timeout(60):
        await worker.drain.until_idle()


async def test_a_response_is_held_back_while_connections_are_being_closed():
    worker, done = Worker(), asyncio.Event()
    done.set()
    with worker.drain.hold_responses():
        call = asyncio.ensure_future(worker.pipeline.serve(Call(RPC, "id"), lambda _call: done.wait()))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not call.done()
    assert await call
