"""The life of a call: disconnecting callers, deadlines, the drain, health."""

import asyncio
import contextlib
import json

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from discordproxy.discord_api_pb2 import RequestOptions, SendChannelMessageRequest
from discordproxy_api.pipeline.pipeline import MAX_CALL_S
from discordproxy_sandbox.rest.faults import Fault
from discordproxy_sandbox.world.population import CHANNEL_ID
from integration.api.conftest import serve

MESSAGE = SendChannelMessageRequest(channel_id=int(CHANNEL_ID), content="Hello")
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def until(condition):
    """Wait for a condition."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the condition is another task's or process's
            await asyncio.sleep(0.005)


def details(error):
    return error.code().name, json.loads(error.details())


async def test_a_caller_that_disconnects_while_waiting_frees_its_place(served):
    served.broker.granting.clear()
    call = served.stub.SendChannelMessage(MESSAGE)
    await until(lambda: served.broker.waiting == 1)
    call.cancel()
    await until(lambda: served.broker.waiting == 0)
    assert served.broker.cancelled_waits == 1
    assert not served.discord.ledger.records


async def test_a_request_in_flight_is_completed_if_its_caller_disconnects(served):
    served.discord.faults.add(Fault(kind="slow", delay_s=0.2))
    call = served.stub.SendChannelMessage(MESSAGE)
    await until(lambda: served.discord.ledger.records)
    call.cancel()
    await served.worker.finish()
    ((_permit, answer),) = served.broker.ended
    assert answer.status == 200
    assert len(served.discord.ledger.stored) == 1


async def test_the_callers_deadline_reaches_the_broker(served):
    loop = asyncio.get_running_loop()
    for timeout_s in (20, None):
        began = loop.time()
        await served.stub.SendChannelMessage(MESSAGE, timeout=timeout_s)
        lasts_s = served.broker.acquired[-1].deadline - began
        assert -1 < lasts_s - (timeout_s or 1800) < loop.time() - began + 1  # gRPC converts between two clocks


async def test_a_deadline_while_waiting_frees_the_place(served):
    served.broker.granting.clear()
    timeout_s = 0.1
    while (
        not served.broker.acquired
    ):  # on a busy machine the first deadline may pass before the call reaches the broker
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await served.stub.SendChannelMessage(MESSAGE, timeout=timeout_s)
        assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        timeout_s *= 4
    await until(lambda: served.broker.cancelled_waits == 1)


async def test_options_reach_the_broker(served):
    options = RequestOptions(priority="HIGH")
    options.max_wait.FromMilliseconds(1500)
    request = SendChannelMessageRequest(channel_id=int(CHANNEL_ID), content="x", options=options)
    await served.stub.SendChannelMessage(request, metadata=(("x-discordproxy-app", "srp"),))
    (acquired,) = served.broker.acquired
    assert (acquired.caller.app, acquired.caller.priority, acquired.max_wait_s) == ("srp", "high", 1.5)


@pytest.mark.parametrize("app", ["", "a b", "x" * 65, "-" * 64])
async def test_invalid_app_names_become_the_default(served, app):
    await served.stub.SendChannelMessage(MESSAGE, metadata=(("x-discordproxy-app", app),))
    assert served.broker.acquired[0].caller.app == (app if app == "-" * 64 else "default")


async def test_the_request_id_is_returned(served):
    call = served.stub.SendChannelMessage(MESSAGE, metadata=(("x-request-id", "abc-1"),))
    await call
    assert dict(await call.trailing_metadata())["x-request-id"] == "abc-1"
    call = served.stub.SendChannelMessage(MESSAGE, metadata=(("x-request-id", "a b c"),))
    await call
    assert len(dict(await call.trailing_metadata())["x-request-id"]) == 16


async def test_calls_are_counted(served):
    await served.stub.SendChannelMessage(MESSAGE)
    value = served.worker.metrics.registry.get_sample_value
    assert value("discordproxy_calls_total", {"rpc": "SendChannelMessage", "status": "OK", "door": "grpc"}) == 1
    template = "/channels/{channel_id}/messages"
    labels = {"method": "POST", "template": template, "status": "200"}
    assert value("discordproxy_discord_requests_total", labels) == 1
    assert value("discordproxy_calls_in_progress") == 0


async def test_calls_beyond_the_limit_are_refused(discord):
    async with serve(discord, max_calls=2) as served:
        served.broker.granting.clear()
        waiting = [served.stub.SendChannelMessage(MESSAGE) for _ in range(2)]
        await until(lambda: served.broker.waiting == 2)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await served.stub.SendChannelMessage(MESSAGE)
        name, found = details(failed.value)
        assert (name, found["reason"], found["sent"]) == ("RESOURCE_EXHAUSTED", "QUEUE_FULL", "no")
        assert found["retry_after"]
        served.broker.granting.set()
        await asyncio.gather(*waiting)
        await served.stub.SendChannelMessage(MESSAGE)


async def test_one_app_cannot_use_up_the_total(discord):
    async with serve(discord, max_calls=5, max_calls_per_app=1) as served:
        served.broker.granting.clear()
        first = served.stub.SendChannelMessage(MESSAGE, metadata=(("x-discordproxy-app", "a"),))
        await until(lambda: served.broker.waiting == 1)
        with pytest.raises(grpc.aio.AioRpcError):
            await served.stub.SendChannelMessage(MESSAGE, metadata=(("x-discordproxy-app", "a"),))
        other = served.stub.SendChannelMessage(MESSAGE, metadata=(("x-discordproxy-app", "b"),))
        await until(lambda: served.broker.waiting == 2)
        served.broker.granting.set()
        await asyncio.gather(first, other)


@contextlib.asynccontextmanager
async def draining(served, now=None):
    """Drain the worker while the block runs."""
    task = asyncio.create_task(
        served.worker.server.stop(served.broker.drain, served.worker.finish, now or asyncio.Event())
    )
    yield task
    await task


async def test_the_drain_refuses_waiting_calls_and_finishes_those_in_flight(served):
    served.discord.faults.add(Fault(kind="slow", delay_s=0.3))
    in_flight = served.stub.SendChannelMessage(MESSAGE)
    await until(lambda: served.discord.ledger.records)
    served.broker.granting.clear()
    waiting = served.stub.SendChannelMessage(MESSAGE)
    await until(lambda: served.broker.waiting == 1)
    async with draining(served):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await waiting
        name, found = details(failed.value)
        assert (name, found["reason"], found["sent"]) == ("UNAVAILABLE", "DRAINING", "no")
        assert found["retry_after"]
        assert (await in_flight).message.content == "Hello"
    assert len(served.discord.ledger.records) == 1


async def test_a_lame_duck_serves_and_reports_not_serving(discord):
    async with serve(discord, lame_duck=0.5) as served:
        health = health_pb2_grpc.HealthStub(served.channel)
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        async with draining(served):
            assert (await watch.read()).status == NOT_SERVING
            assert (await served.stub.SendChannelMessage(MESSAGE)).message.content == "Hello"
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await watch.read()
            assert ended.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_the_drain_has_a_time_limit(discord):
    discord.faults.add(Fault(kind="silent"))
    async with serve(discord, drain_timeout=0.3, http_timeout=0.6) as served:
        call = served.stub.SendChannelMessage(MESSAGE)
        await until(lambda: discord.ledger.records)
        async with draining(served):
            with pytest.raises(grpc.aio.AioRpcError):
                await call


async def test_a_second_signal_ends_the_drain(discord):
    discord.faults.add(Fault(kind="silent"))
    async with serve(discord, drain_timeout=1000, http_timeout=0.6) as served:
        call = served.stub.SendChannelMessage(MESSAGE)
        await until(lambda: discord.ledger.records)
        now = asyncio.Event()
        async with draining(served, now) as task:
            await until(lambda: served.worker.drain.begun)
            now.set()
            await asyncio.wait_for(task, 60)
        with pytest.raises(grpc.aio.AioRpcError):
            await call


async def test_health_by_service(served):
    health = health_pb2_grpc.HealthStub(served.channel)

    async def state(service):
        return (await health.Check(health_pb2.HealthCheckRequest(service=service))).status

    assert [await state(name) for name in ("", "discord_api.DiscordApi", "broker")] == 3 * [SERVING]
    served.broker.claims.down = True
    await served.worker.health.probe()
    assert [await state(name) for name in ("", "discord_api.DiscordApi", "broker")] == 3 * [NOT_SERVING]
    assert not served.worker.health.ready
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await state("nobody")
    assert failed.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_is_a_setting(discord):
    from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async with serve(discord, reflection=False) as served:
        answers = reflection_pb2_grpc.ServerReflectionStub(served.channel).ServerReflectionInfo(iter([request]))
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await answers.read()
        assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_unknown_methods_are_unimplemented(served):
    call = served.channel.unary_unary("/discord_api.DiscordApi/Nothing", lambda x: x, lambda x: x)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call(b"")
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_time_limit_is_half_an_hour():
    assert MAX_CALL_S == 1800
