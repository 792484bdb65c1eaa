"""The link's pipeline: scripts and commands, its end, and the return of a server."""

import asyncio
import contextlib
import signal

import pytest
import redis

from discordproxy_ratelimit.errors import BrokerUnavailableError
from discordproxy_ratelimit.redis.client import connect
from discordproxy_ratelimit.redis.link import RedisLink, Script
from discordproxy_ratelimit.redis.url import parse
from discordproxy_ratelimit.shared.app_rate import AppRate
from discordproxy_ratelimit.shared.claims import Claims
from fakes.eventually import eventually
from processes.redis_servers import Server, blocking, running


class Counting(Script):
    """Counts how often it ran."""

    def __init__(self):
        super().__init__("app_rate")
        self.text = "return redis.call('INCR', KEYS[1])"
        self.sha = redis.Redis().register_script(self.text).sha


COUNT = Counting()


class Watcher:
    def __init__(self):
        self.seen = []

    def link_up(self, *, other_server):
        self.seen.append("another server" if other_server else "up")

    def link_down(self):
        self.seen.append("down")


@pytest.fixture
def server(valkey_binary):
    with running(Server(valkey_binary)) as servers:
        yield servers


@pytest.fixture
def operator(server):
    with blocking(server.operator_url) as client:
        yield client


@contextlib.asynccontextmanager
async def link_to(url):
    link = RedisLink(connect(url))
    link.watcher = Watcher()
    link.watchers.append(link.watcher)
    try:
        await link.until_up()
        yield link
    finally:
        await link.close()


async def count(link):
    return await link.run(COUNT, ["{dp:1}:count"], [])


async def test_scripts_and_notes_need_no_connection_of_the_pool(server, operator):
    async with link_to(server.url) as link:
        for number in range(3):
            operator.script_flush()
            assert await count(link) == number + 1
        notes, quota = Claims(link, "{dp:1}:note:"), AppRate(link, "{dp:1}:quota:")
        await notes.set("a", b"\xff", ttl_s=60)
        assert (await notes.get("a"), await notes.get("b")) == (b"\xff", None)
        assert 0 < operator.pttl("{dp:1}:note:a") <= 60_000
        assert (await notes.claim("k", "r", owner="me", lease_s=60)).state == "ours"
        assert await quota.reserve("app", per_s=1.0, max_wait_s=0.0) == 0.0
        assert operator.info("clients")["connected_clients"] == 2, "the operator's and the pipeline"


async def test_a_server_that_restarts_is_met_again_though_nobody_calls(server):
    async with link_to(server.url) as link:
        assert await count(link) == 1
        server.stop()
        server.start()
        await eventually(lambda: link.watcher.seen == ["up", "another server"])
        assert link.memory_lost
        assert await count(link) == 1


async def test_an_idle_connection_that_the_server_closes_is_no_outage(server, operator):
    async with link_to(server.url) as link:
        operator.client_kill_filter(_type="normal", skipme=True)
        await eventually(lambda: link.watcher.seen == ["up", "up"])
        assert await count(link) == 1


async def test_the_subscription_leaves_a_server_that_hangs(server, valkey_binary, tmp_path):
    """Its connections stay open, while the address already leads to another server: hints would be lost for hours."""
    address, received = tmp_path / "socket", asyncio.Queue()

    async def receive(link):
        async for message in link.messages("hints"):
            received.put_nowait(message)

    with running(Server(valkey_binary)) as other, blocking(other.operator_url) as operator:
        address.symlink_to(parse(server.url).path)
        async with link_to(f"unix://{address}") as link:
            receiving = asyncio.create_task(receive(link))
            await link.until_subscribed()
            address.unlink()
            address.symlink_to(parse(other.url).path)
            hanging = server.processes[0].running
            hanging.send_signal(signal.SIGSTOP)
            try:
                with pytest.raises(BrokerUnavailableError):
                    await count(link)
                await eventually(lambda: operator.publish("hints", "from the other server"))
                assert await received.get() == b"from the other server"
            finally:
                receiving.cancel()
                hanging.send_signal(signal.SIGCONT)


async def test_a_call_that_finds_no_server_is_refused_and_the_next_server_is_found(server):
    async with link_to(server.url) as link:
        server.stop()
        with pytest.raises(BrokerUnavailableError):
            await count(link)
        assert not link.is_up
        with pytest.raises(BrokerUnavailableError):
            await count(link)
        server.start()
        await link.until_up()
        assert link.watcher.seen == ["up", "down", "another server"]
        assert await count(link) == 1


async def test_a_demoted_server_is_left_until_it_is_a_master_again(server, operator):
    async with link_to(server.url) as link:
        operator.replicaof("127.0.0.1", "1")
        with pytest.raises(BrokerUnavailableError):
            await count(link)
        assert not link.is_up
        operator.replicaof("NO", "ONE")
        await link.until_up()
        assert await count(link) == 1


class Relay:
    """Stands before a server on a socket of its own; loses the next reply to a script together with its connection."""

    def __init__(self, folder, url):
        self._server = url.removeprefix("unix://")
        self._path = str(folder / "relay")
        self.url = f"unix://{self._path}"
        self.loses_next = self._is_script = False
        self.carrying = 0

    async def listen(self):
        return await asyncio.start_unix_server(self._carry, self._path)

    async def _carry(self, reader, writer):
        self.carrying += 1
        to_reader, to_writer = await asyncio.open_unix_connection(self._server)
        await asyncio.wait(
            {asyncio.create_task(self._forth(reader, to_writer)), asyncio.create_task(self._back(to_reader, writer))},
            return_when=asyncio.FIRST_COMPLETED,
        )
        for each in (writer, to_writer):
            each.close()
            await each.wait_closed()
        self.carrying -= 1

    async def _forth(self, reader, writer):
        while chunk := await reader.read(65536):
            self._is_script = b"EVALSHA" in chunk
            writer.write(chunk)

    async def _back(self, reader, writer):
        while chunk := await reader.read(65536):
            if self.loses_next and self._is_script:
                self.loses_next = False
                return
            writer.write(chunk)


async def test_a_lost_reply_is_reported_and_its_script_runs_once(server, operator, tmp_path):
    relay = Relay(tmp_path, server.url)
    operator.script_load(COUNT.text)
    listening = await relay.listen()
    async with link_to(relay.url) as link:
        assert await count(link) == 1
        relay.loses_next = True
        with pytest.raises(BrokerUnavailableError):
            await count(link)
        await link.until_up()
        assert operator.get("{dp:1}:count") == b"2"
        assert await count(link) == 3
        assert link.watcher.seen == ["up", "down", "up"]
    await eventually(lambda: relay.carrying == 0)
    listening.close()


async def test_closing_the_link_closes_its_pipeline_and_fails_who_waits(server, operator):
    async with link_to(server.url) as link:
        operator.client_pause(60_000, all=True)
        call = asyncio.create_task(count(link))
        await asyncio.sleep(0)
    with pytest.raises(BrokerUnavailableError):
        await call
    await link.close()


async def test_a_wrong_password_ends_in_no_endless_pipelines(server, operator, caplog):
    link = RedisLink(connect(f"{server.url}?password=s3cret&username=nobody"))
    waiting = asyncio.create_task(link.until_up())
    await eventually(lambda: operator.info("stats")["acl_access_denied_auth"] > 2)
    waiting.cancel()
    await link.close()
    assert operator.info("clients")["connected_clients"] == 1
    assert "s3cret" not in caplog.text


async def test_refusals_that_alternate_are_logged_once_each(server, caplog):
    """Function and script are refused in turn, as where commands are renamed, with arguments that differ."""
    link = RedisLink(connect(server.url))
    for number in range(3):
        for command in ("FCALL", "EVALSHA"):
            link.lost(redis.ResponseError(f"unknown command '{command}', with args beginning with: '{number}'"))
    await link.close()
    assert caplog.text.count("Redis refuses the broker's script: it does not offer the command") == 2


async def test_a_user_without_the_channel_tries_less_and_less_often(server, operator, caplog):
    async def receive(link):
        async for _ in link.messages("hints"):
            pass

    operator.acl_setuser("limited", enabled=True, passwords=["+pass"], keys=["*"], commands=["+@all"])
    async with link_to(f"{server.url}?username=limited&password=pass") as link:
        receiving = asyncio.create_task(receive(link))
        await eventually(lambda: "retrying in 0.40 s" in caplog.text)
        receiving.cancel()
    assert "does not allow its user the channels of this proxy; allow" in caplog.text
