"""The broker's work in the supervisor: the private server is restarted after a crash and ends on request."""

import asyncio
import os
import signal

import pytest

from discordproxy_api.processes.broker_task import BrokerTask
from discordproxy_api.processes.children import ChildExit
from discordproxy_ratelimit.process.exit_status import CONFIGURATION
from discordproxy_ratelimit.redis.client import wait_for
from discordproxy_ratelimit.server.embedded import EmbeddedError, broker_url
from fakes.eventually import eventually

TOKEN = "token-of-this-test"


@pytest.fixture
def url(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("r")))  # short, for the socket's address
    return broker_url("", TOKEN)


async def test_the_private_server_is_restarted_and_stopped(url: str, caplog: pytest.LogCaptureFixture) -> None:
    broker = BrokerTask("", TOKEN)
    assert (broker.name, broker.pid, broker.starting) == ("broker", None, False)
    running = asyncio.create_task(broker.run())
    await wait_for(url, within_s=60)
    first = broker.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: broker.pid not in {None, first})
    await wait_for(url, within_s=60)
    assert "the private server ended with status -9; starting it again" in caplog.text
    broker.stop()
    assert await asyncio.wait_for(running, 60) is None
    assert broker.pid is None


async def test_a_configured_server_is_monitored(valkey: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "broker")
    broker = BrokerTask(valkey, TOKEN)
    running = asyncio.create_task(broker.run())
    await eventually(lambda: "answers: Valkey" in caplog.text)
    assert broker.pid is None
    broker.stop()
    assert await asyncio.wait_for(running, 60) is None


@pytest.mark.usefixtures("url")
async def test_without_a_binary_the_server_ends_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_binary() -> str:
        raise EmbeddedError("no Valkey or Redis server found")

    monkeypatch.setattr("discordproxy_ratelimit.server.runner.find_binary", no_binary)
    assert await BrokerTask("", TOKEN).run() == ChildExit(
        "broker", CONFIGURATION, "ERROR: no Valkey or Redis server found"
    )
