"""Workers behind the balancers of deploy/: a rolling restart under load without a failed call.

`make bench-rolling` does the same for longer, with 200 calls/s, and behind Envoy, too.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bench.libraries.runs import INSTALLED, library
from discordproxy_sandbox.limits.book import LimitBook, RouteLimit
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from fakes.eventually import eventually
from processes.balancers import BALANCERS
from processes.deployment import TOKEN
from processes.rolling import CHANNELS, SEND, add_channels, rolling_restart, two_workers

pytestmark = pytest.mark.smoke
EACH = 100
LIMIT = RouteLimit(limit=5, window_s=1.5, kind="fixed")


@pytest.mark.parametrize("balancer", ["nginx", "haproxy"])
async def test_a_rolling_restart_fails_no_call_and_doubles_none(balancer: str, valkey: str, tmp_path: Path) -> None:
    outcome = await rolling_restart(BALANCERS[balancer], valkey, tmp_path, calls_per_s=80, doors=("grpc", "rest"))
    assert outcome.restarts == 2
    assert not outcome.failed, outcome
    assert not outcome.doubled, outcome
    assert not outcome.lost, outcome


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["discord.py", "discordjs", "hikari"])
async def test_waiting_calls_of_a_library_survive_restarts(name: str, valkey: str, tmp_path: Path) -> None:
    if name in INSTALLED and not INSTALLED[name].installed:
        pytest.skip(f'NOT TESTED: {name} is not installed (make bench-libraries ARGS="--callers {name}" installs it)')
    limits = LimitBook(routes={SEND: LIMIT}, global_limit=None)
    async with AsyncExitStack() as stack:
        discord = await stack.enter_async_context(Sandbox(SandboxConfig(token=TOKEN, limits=limits)))
        add_channels(discord)
        workers = await stack.enter_async_context(two_workers(discord, valkey, tmp_path))
        front = await stack.enter_async_context(BALANCERS["haproxy"](tmp_path, workers.ports))
        libraries = [await stack.enter_async_context(library(name)) for _ in range(2)]
        rest = f"http://127.0.0.1:{workers.ports.rest}"
        for number, each in enumerate(libraries):
            messages = [(number * EACH + label, str(CHANNELS[label % 4]), 0.0) for label in range(EACH)]
            await each.ready({"rest": rest, "messages": messages, "token": TOKEN, "app": f"app{number}"})
        begin_at = time.monotonic() + 0.5
        sending = [asyncio.create_task(each.send(begin_at)) for each in libraries]
        await eventually(lambda: len(discord.ledger.stored) > 10)
        for number in range(2):
            await workers.stop(number)
            await workers.start(number)
        answered = [one for each in await asyncio.gather(*sending) for one in each]
        assert front.process.running
    assert [one.error for one in answered if one.error] == []
    assert {one.message_id for one in answered} == {int(each.message_id) for each in discord.ledger.stored}
    assert len(discord.ledger.stored) == 2 * EACH
    assert discord.ledger.duplicate_contents == 0
    assert {record.status for record in discord.ledger.matching(SEND)} == {200}
