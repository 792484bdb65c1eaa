"""The processes of a server together: order of start and end, and what the end of one means for the others."""

import asyncio
import logging
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from discordproxy_api.processes.children import Child, ChildExit
from discordproxy_api.processes.programs import Program, execution
from discordproxy_api.processes.supervision import Address, StartError, Supervision, check_free
from fakes.eventually import eventually
from fakes.ports import free_port

PROGRAM = """
import os, signal, socket, sys, time
name, port, stubborn = os.environ["NAME"], int(os.environ["PORT"]), os.environ.get("STUBBORN")
def tell(what):
    with open("story", "a") as story:
        story.write(f"{name} {what}\\n")
def stop(number, frame):
    tell("asked")
    if not stubborn:
        tell("ended")
        sys.exit(0)
signal.signal(signal.SIGTERM, stop)
tell("started")
if status := os.environ.get("STATUS"):
    print("ERROR: no way", flush=True)
    sys.exit(int(status))
if name.startswith("api"):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        while True:
            time.sleep(600)
while True:
    time.sleep(600)
"""


@pytest.fixture
def address() -> Address:
    return Address("127.0.0.1", free_port())


@pytest.fixture
def server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, valkey: str, address: Address
) -> Callable[..., Supervision]:
    (tmp_path / "program.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)  # the children's folder

    def child(name: str, changes: dict[str, str]) -> Child:
        environment = {"PYTHONPATH": str(tmp_path), "NAME": name, "PORT": str(address.port)}
        return Child(
            Program(name, "program", environment=environment | changes),
            start=execution(None),  # by the pipe of `exit_with_parent`
            on_lines=lambda _name, lines: lines[-1].decode() if lines[-1].startswith(b"ERROR") else "",
        )

    def make(
        changes: dict[str, dict[str, str]] | None = None, redis_url: str = valkey, redis_within_s: float = 60.0
    ) -> Supervision:
        broker, gateway, first, second = (
            child(name, (changes or {}).get(name, {})) for name in ("broker", "gateway", "api.0", "api.1")
        )
        return Supervision(
            broker=broker,
            gateways=[gateway],
            workers=[first, second],
            address=address,
            redis_url=redis_url,
            drain_s=60.0,
            banner="up and running",
            redis_within_s=redis_within_s,
        )

    return make


def story(folder: Path) -> list[str]:
    return (folder / "story").read_text().splitlines()


async def listening(capsys: pytest.CaptureFixture[str]) -> None:
    heard = []

    def greeted() -> bool:
        heard.append(capsys.readouterr().out)
        return "up and running" in "".join(heard)

    await eventually(greeted)


async def test_broker_first_and_last(
    server: Callable[..., Supervision],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "supervisor")
    whole = server()
    running = asyncio.create_task(whole.run())
    await listening(capsys)
    await eventually(lambda: len(story(tmp_path)) == 4)
    whole.stop()
    assert await running is None
    told = story(tmp_path)
    starts = [line.split()[0] for line in caplog.messages if " started, pid " in line]
    assert starts[0] == "broker"
    assert sorted(starts[1:]) == ["api.0", "api.1", "gateway"]
    ends = [line for line in told if line.endswith("ended")]
    assert sorted(ends[:2]) == ["api.0 ended", "api.1 ended"]
    assert ends[2:] == ["gateway ended", "broker ended"]
    assert told.index("gateway asked") > max(told.index("api.0 ended"), told.index("api.1 ended"))


async def test_workers_that_take_long_are_waited_for(
    server: Callable[..., Supervision],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    address: Address,
) -> None:
    monkeypatch.setattr("discordproxy_api.processes.supervision.LISTENING_WITHIN_S", 0.0)
    whole = server()
    running = asyncio.create_task(whole.run())
    await listening(capsys)
    assert f"no process listens on {address} after" in caplog.text
    whole.stop()
    assert await running is None


@pytest.mark.parametrize(("name", "status"), [("api.1", 2), ("gateway", 78), ("broker", 78)])
async def test_a_child_that_cannot_run_ends_everything(
    name: str, status: int, server: Callable[..., Supervision], tmp_path: Path
) -> None:
    async with asyncio.timeout(60):
        assert await server({name: {"STATUS": str(status)}}).run() == ChildExit(name, status, "ERROR: no way")
    told = story(tmp_path)
    started = {line.split()[0] for line in told if line.endswith("started")} - {name}
    assert {line.split()[0] for line in told if line.endswith("ended")} <= started


async def test_without_redis_nothing_else_is_started(server: Callable[..., Supervision], tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"has no socket at this path; start it or set DISCORDPROXY_REDIS_URL"):
        await server(redis_url=f"unix://{tmp_path}/none", redis_within_s=0.5).run()
    assert not any(line.startswith(("api", "gateway")) for line in story(tmp_path))


async def test_a_child_that_ignores_the_signal_is_killed(
    server: Callable[..., Supervision],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    whole = server({"api.0": {"STUBBORN": "1"}})
    running = asyncio.create_task(whole.run())
    await listening(capsys)
    await eventually(lambda: len(story(tmp_path)) == 4)
    whole.stop()
    whole.stop()  # so that nobody waits for the drain time
    async with asyncio.timeout(60):
        assert await running is None
    assert "api.0 did not exit in time: SIGKILL" in caplog.text


def test_a_port_in_use_is_reported(address: Address) -> None:
    check_free(address, "--port")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as our own workers listen
        other.bind((address.host, address.port))
        other.listen()
        with pytest.raises(
            StartError, match=f"{address} is already in use; stop the other server, or choose another"
        ) as caught:
            check_free(address, "--port")
    assert caught.value.temporary  # the workers of a killed server finish their calls


def test_an_address_that_is_not_ours_may_be_so_later() -> None:
    """At boot, the server may start before the network has its addresses."""
    with pytest.raises(StartError, match=r"192.0.2.1:4321 cannot be used .* with --host or --port") as caught:
        check_free(Address("192.0.2.1", 4321), "--port")
    assert caught.value.temporary


def test_a_host_without_address_is_reported() -> None:
    with pytest.raises(StartError, match=r"no-such-host\.invalid:4321 cannot be used"):
        check_free(Address("no-such-host.invalid", 4321), "--port")


def test_ipv6_addresses_are_written_with_brackets() -> None:
    assert str(Address("::1", 1)) == "[::1]:1"
