"""discordproxyserver end to end: first message, several workers, kills and stops, nothing left behind."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path

import grpc.aio
import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy_sandbox.limits.book import LimitBook, RouteLimit
from discordproxy_sandbox.rest.faults import Fault
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from fakes.eventually import eventually
from processes.deployment import CHANNEL, GUILD, TOKEN, USER, Connect, Server, left_running
from processes.process import Process, children_of, environment, visible

POST = "POST /channels/{channel_id}/messages"
READY = "Discord Proxy .* is ready"
BRISK = SandboxConfig(
    token=TOKEN,
    latency_s=0.03,
    jitter_s=0.01,
    limits=LimitBook(routes={POST: RouteLimit(limit=5, window_s=0.5, kind="fixed")}),
)


def message(content: str, channel: int = CHANNEL) -> pb.SendChannelMessageRequest:
    return pb.SendChannelMessageRequest(channel_id=channel, content=content)


def pid_of(server: Process, child: str) -> int:
    return int([line for line in server.lines if f"{child} started, pid" in line][-1].rpartition(" ")[2])


async def both_serve(server: Process) -> None:
    for worker in (0, 1):
        await server.line(f"worker {worker} serves on")


async def failure(call: Awaitable[object]) -> grpc.aio.AioRpcError | None:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error
    return None


def sent_of(error: grpc.aio.AioRpcError) -> str:
    """Whether the call was sent, as its details say; the details themselves if they say nothing."""
    try:
        return json.loads(error.details())["sent"]
    except ValueError:
        return error.details()


async def test_first_messages_leave_neither_token_nor_text_nor_process_behind(
    discord: Sandbox, server: Server, settings: dict[str, str], tmp_path: Path
) -> None:
    async with server("--log-file-level", "DEBUG", "--log-console-level", "DEBUG") as whole:
        await whole.line(READY)
        for kind, recipient in (("channel", CHANNEL), ("direct", USER)):
            arguments = (kind, str(recipient), "Hello, c4nary!", "--port", settings["DISCORDPROXY_PORT"])
            async with server(*arguments, command="discordproxymessage") as sending:
                assert await sending.ended() == 0
                assert sending.lines == ["Message sent"]
        processes = [whole.pid, *children_of(whole.pid)]
        assert len(processes) == 5
        assert all(b"c4nary" not in visible(pid) for pid in processes)
        assert sum(TOKEN.encode() in environment(pid) for pid in processes) == 4  # all but the Valkey
        whole.signal(signal.SIGTERM)
        assert await whole.ended() == 0
    assert len(discord.ledger.stored) == 2
    assert "c4nary" not in whole.output
    assert "c4nary" not in (tmp_path / "discordproxyserver.log").read_text()
    assert left_running(settings["XDG_RUNTIME_DIR"]) == []


@pytest.mark.parametrize("discord", [BRISK], indirect=True)
async def test_two_workers_share_a_port_and_the_limits(discord: Sandbox, server: Server, connect: Connect) -> None:
    channels = [CHANNEL, CHANNEL + 1, CHANNEL + 4, CHANNEL + 5]
    async with server("--workers", "2") as whole:
        await both_serve(whole)
        stubs = [connect() for _ in range(20)]
        calls = [
            stub.SendChannelMessage(message(f"message {number}", channel), timeout=60)
            for number, stub in enumerate(stubs)
            for channel in channels
        ]
        answers = await asyncio.gather(*calls)
        served = {line.split(": ")[0].split()[-1] for line in whole.lines if "SendChannelMessage OK" in line}
    assert served == {"api.0", "api.1"}
    assert len({answer.message.id for answer in answers}) == len(calls) == 80
    assert sorted(int(stored.message_id) for stored in discord.ledger.stored) == sorted(a.message.id for a in answers)
    assert {record.status for record in discord.ledger.matching(POST)} == {200}
    assert not [record for record in discord.ledger.records if record.status == 429]


async def test_a_killed_worker_comes_back_while_the_other_goes_on(
    discord: Sandbox, server: Server, connect: Connect, settings: dict[str, str]
) -> None:
    async with server("--workers", "2") as whole:
        await both_serve(whole)
        outcomes: list[tuple[int, str]] = []
        go_on = True

        async def caller(number: int) -> None:
            stub = connect()
            while go_on:
                request = pb.GetGuildChannelsRequest(guild_id=GUILD)
                try:
                    await stub.GetGuildChannels(request, timeout=20)
                    outcomes.append((number, "OK"))
                except grpc.aio.AioRpcError as error:
                    outcomes.append((number, error.code().name))
                await asyncio.sleep(0.1)

        callers = [asyncio.create_task(caller(number)) for number in range(8)]
        await eventually(lambda: {number for number, _ in outcomes} == set(range(8)))
        before, victim = len(outcomes), pid_of(whole, "api.0")
        os.kill(victim, signal.SIGKILL)
        await whole.line("api.0 started, pid", count=2)
        await whole.line("worker 0 serves on", count=2)
        at_return = len(outcomes)
        await eventually(lambda: {n for n, what in outcomes[at_return:] if what == "OK"} == set(range(8)))
        go_on = False
        await asyncio.gather(*callers)
        failed = {number for number, what in outcomes if what != "OK"}
        assert {what for _, what in outcomes} <= {"OK", "UNAVAILABLE"}
        assert len(failed) < 8, "callers of the other worker must not notice"
        assert any(what == "OK" for _, what in outcomes[before:at_return])
        assert pid_of(whole, "api.0") != victim


async def test_on_sigterm_every_accepted_call_is_answered(discord: Sandbox, server: Server, connect: Connect) -> None:
    for _ in range(100):
        discord.faults.add(Fault(kind="slow", method="POST", path="/messages", delay_s=0.4))
    async with server("--workers", "2") as whole:
        await both_serve(whole)
        stubs = [connect() for _ in range(10)]
        await asyncio.gather(*(stub.GetGuildChannels(pb.GetGuildChannelsRequest(guild_id=GUILD)) for stub in stubs))
        calls = [
            asyncio.ensure_future(stub.SendChannelMessage(message(f"m{n}-{i}", CHANNEL + n % 2 * 4), timeout=30))
            for n, stub in enumerate(stubs)
            for i in range(3)
        ]
        await eventually(lambda: len(discord.ledger.matching(POST)) >= 4)
        whole.signal(signal.SIGTERM)
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert await whole.ended() == 0
    sent = [answer for answer in answers if isinstance(answer, pb.SendChannelMessageResponse)]
    refused = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert sent
    assert len(sent) + len(refused) == len(calls)
    assert len(sent) == len(discord.ledger.stored) == len(discord.ledger.matching(POST))
    for error in refused:
        assert error.code() is grpc.StatusCode.UNAVAILABLE, error
        assert sent_of(error) == "no", error


async def test_a_burst_at_the_moment_of_the_stop_is_answered_too(
    discord: Sandbox, server: Server, connect: Connect
) -> None:
    async with server() as whole:
        await whole.line(READY)
        outcomes: Counter[str] = Counter()
        stubs = [connect() for _ in range(10)]
        await asyncio.gather(*(stub.GetGuildChannels(pb.GetGuildChannelsRequest(guild_id=GUILD)) for stub in stubs))

        async def caller(number: int) -> None:
            """Send, and send again as soon as the call is refused, until nobody listens any more."""
            error: grpc.aio.AioRpcError | None = None
            while error is None or "failed to connect" not in error.details():
                outcomes["OK" if error is None else f"{error.code().name} {sent_of(error)}"] += 1
                error = await failure(stubs[number % 10].SendChannelMessage(message(f"from {number}"), timeout=100))

        callers = [asyncio.create_task(caller(number)) for number in range(60)]
        await eventually(lambda: len(discord.ledger.matching(POST)) >= 4)
        whole.signal(signal.SIGTERM)
        assert await whole.ended() == 0
        await asyncio.gather(*callers)
    assert set(outcomes) == {"OK", "UNAVAILABLE no"}
    assert outcomes["OK"] - 60 == len(discord.ledger.stored)  # each caller began as if after a success


async def test_the_token_of_a_file_stays_there_and_the_children_end_even_if_the_server_is_killed(
    discord: Sandbox, server: Server, settings: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(settings.pop("DISCORD_BOT_TOKEN") + "\n")
    async with server("--workers", "2", DISCORDPROXY_TOKEN_FILE=str(tmp_path / "token")) as whole:
        await both_serve(whole)
        await whole.line("READY shard")
        processes = [whole.pid, *children_of(whole.pid)]
        assert len(processes) == 6  # the server, Valkey, fork server, gateway, two workers
        assert all(b"c4nary" not in environment(pid) for pid in processes)
        whole.signal(signal.SIGKILL)
        await whole.ended()
    await eventually(lambda: left_running(settings["XDG_RUNTIME_DIR"]) == [])


async def test_dotenv_in_the_current_folder_is_enough_and_a_second_signal_stops_at_once(
    discord: Sandbox, server: Server, settings: dict[str, str], connect: Connect, tmp_path: Path
) -> None:
    lines = f"DISCORD_BOT_TOKEN='{settings.pop('DISCORD_BOT_TOKEN')}'\nDISCORDPROXY_DRAIN_TIMEOUT='600'\n"
    (tmp_path / ".env").write_text(lines)
    discord.faults.add(Fault(kind="silent", method="POST", path="/messages"))
    async with server() as whole:
        await whole.line(READY)
        await whole.line("READY shard")
        assert (tmp_path / "discordproxyserver.log").exists()
        assert whole.lines[0] == f"Writing logfile to: {tmp_path}/discordproxyserver.log"
        call = asyncio.ensure_future(connect().SendChannelMessage(message("never answered"), timeout=600))
        await eventually(lambda: len(discord.ledger.matching(POST)) == 1)
        whole.signal(signal.SIGINT)
        await whole.line("stopping: calls in flight")
        assert whole.running
        whole.signal(signal.SIGINT)
        assert await whole.ended() == 0
        with pytest.raises(grpc.aio.AioRpcError):
            await call
