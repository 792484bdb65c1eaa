"""Faults in real time: dead workers, a server that is dead, full or without its state, lost replies."""

import asyncio
import contextlib
import os
import signal
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
import redis
from prometheus_client import CollectorRegistry
from redis.exceptions import ConnectionError as ConnectionLost
from typing_extensions import Self

import processes
from discordproxy_ratelimit.broker import Broker, Limits
from discordproxy_ratelimit.errors import BrokerError, BrokerUnavailableError, DrainingError, WaitRefusedError
from discordproxy_ratelimit.metrics import Decisions
from discordproxy_ratelimit.redis.batch import BatchItem, ScriptBatch
from discordproxy_ratelimit.redis.client import connect
from discordproxy_sandbox.limits.limits import FixedWindow, Gcra
from fakes.eventually import eventually
from fakes.tapped_pipeline import open_tapped
from model.packed_state import bucket_state
from processes.fleet import Fleet, fleet
from processes.process import Process
from processes.redis_servers import blocking
from strategies.discord_limits import FakeDiscord, message_in, role_in

LEASE_S = 1.0
PATIENCE_S = 60.0
"""For a busy machine. How soon is asked in virtual time (simulation/test_faults.py)."""


def bot_key(fleet_: Fleet, name: str) -> str:
    return f"{{{fleet_.prefix}:{fleet_.bot_id}}}:rl3:{name}"


@pytest.fixture
def server(own_valkey):
    """The test's own server, asked behind the broker's back."""
    client = blocking(own_valkey.operator_url)
    yield client
    client.close()


class Load:
    """Callers who send one message after the other, each in a channel of its own, whatever happens."""

    def __init__(self, fleet_: Fleet, callers: int) -> None:
        self.sent: list[list[float]] = [[] for _ in range(callers)]
        self.refused: list[BrokerError] = []
        self._fleet, self._stop = fleet_, asyncio.Event()

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._send(caller)) for caller in range(len(self.sent))]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def _send(self, caller: int) -> None:
        while not self._stop.is_set():
            began = asyncio.get_running_loop().time()
            try:
                assert await self._fleet.send(caller % len(self._fleet.brokers), message_in(caller), caller) == 200
                self.sent[caller].append(began)
            except BrokerError as error:
                self.refused.append(error)
                await asyncio.sleep(0.05)  # a caller's own back-off

    async def everybody_sent(self, count: int, *, within_s: float) -> None:
        """Return once each caller has sent so many calls that began after this one."""
        now = asyncio.get_running_loop().time()
        await eventually(
            lambda: all(sum(began > now for began in one) >= count for one in self.sent), within_s=within_s
        )


async def test_killed_workers_bucket_is_free_once_its_lease_ends(valkey, key_prefix, tmp_path):
    script = Path(processes.__path__[0]) / "broker_process.py"
    arguments = (valkey, key_prefix, "1", str(LEASE_S), "5")
    discord = FakeDiscord(limiter=lambda _: Gcra(5, 1.0))
    limits = Limits(lease_s=LEASE_S)
    async with (
        fleet(valkey, discord, 1, clock=None, limits=limits, prefix=key_prefix) as survivors,
        Process(sys.executable, str(script), *arguments, env={}, cwd=tmp_path) as victim,
    ):
        await victim.line("^holding$")
        calls = [asyncio.create_task(survivors.send(0, message_in(1), n)) for n in range(3)]
        await eventually(lambda: survivors.brokers[0].waiting == 3)
        victim.signal(signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_S):
            assert await calls[0] == 200
        assert await asyncio.gather(*calls) == [200] * 3
        client = blocking(valkey)
        await eventually(lambda: client.hlen(bot_key(survivors, "held")) == 0)
        client.close()
    assert [arrival.label for arrival in discord.arrivals] == [0, 1, 2]
    assert discord.too_many == []


async def test_worker_that_wakes_up_after_its_burial_takes_its_places_again(valkey, key_prefix, tmp_path):
    script = Path(processes.__path__[0]) / "broker_process.py"
    async with (
        fleet(valkey, FakeDiscord(), 1, clock=None, limits=Limits(lease_s=LEASE_S), prefix=key_prefix) as survivors,
        Process(
            sys.executable, str(script), valkey, key_prefix, "1", str(LEASE_S), "3", env={}, cwd=tmp_path
        ) as sleeper,
    ):
        await sleeper.line("^holding$")
        client = blocking(valkey)
        await eventually(lambda: client.hlen(bot_key(survivors, "held")) == 4)
        await survivors.send(0, message_in(2))  # meanwhile the sleeper reads the last reply: a late one would wake it
        sleeper.signal(signal.SIGSTOP)
        try:
            async with Load(survivors, 1):  # whoever calls finds the silent worker
                await eventually(lambda: client.zrange(bot_key(survivors, "workers"), 0, -1) == [b"w0"])
            await eventually(lambda: client.hlen(bot_key(survivors, "held")) == 0)
        finally:
            sleeper.signal(signal.SIGCONT)
        await sleeper.line("^granted$")
        client.close()


async def test_worker_whose_places_others_gave_away_takes_them_again(valkey, key_prefix):
    """As after a leap of the server's clock: everybody counts as dead, and the worker itself cannot know."""
    limits = Limits(lease_s=LEASE_S)
    async with fleet(valkey, FakeDiscord(), 2, clock=None, limits=limits, prefix=key_prefix) as workers:
        client = blocking(valkey)
        async with workers.brokers[1].acquire(message_in(2)) as unsent:
            async with workers.brokers[0].acquire(message_in(1)):
                calls = [asyncio.create_task(workers.send(1, message_in(1), n)) for n in range(3)]
                await eventually(lambda: client.hlen(bot_key(workers, "held")) == 5)
                client.zrem(bot_key(workers, "workers"), "w1")
            async with asyncio.timeout(PATIENCE_S):
                assert await asyncio.gather(*calls) == [200] * 3
            with pytest.raises(BrokerUnavailableError, match="no contact with Redis"):
                unsent.sent()
        client.close()
    assert [arrival.label for arrival in workers.discord.arrivals] == [0, 1, 2]


async def test_worker_that_wakes_up_during_its_burial_keeps_what_it_holds(valkey):
    async with fleet(valkey, FakeDiscord(), 2, clock=None) as workers:
        await workers.send(0, message_in(1))
        client = blocking(valkey)
        async with workers.brokers[1].acquire(message_in(2)) as permit:
            reaper = workers.brokers[0]._accounts["bot"]._reaper
            reaper.begin("w1")
            await eventually(reaper._task.done)
            assert client.hkeys(bot_key(workers, "held")) == [permit.id.encode()]
            assert b"w1" in client.zrange(bot_key(workers, "workers"), 0, -1)
        client.close()


async def test_call_that_comes_with_the_goodbye_keeps_the_worker_alive(valkey, key_prefix):
    async with fleet(valkey, FakeDiscord(), 1, clock=None, prefix=key_prefix) as workers:
        client = blocking(valkey)
        await workers.send(0, message_in(1), 1)
        await eventually(lambda: client.hlen(bot_key(workers, "held")) == 0)
        workers.brokers[0]._accounts["bot"]._batch.poke("g")
        async with workers.brokers[0].acquire(message_in(1)):
            assert client.zrange(bot_key(workers, "workers"), 0, -1) == [b"w0"]
        client.close()


async def test_a_killed_server_is_reported_until_it_is_back(own_valkey):
    discord = FakeDiscord(limiter=lambda _: FixedWindow(5, 1.0))
    async with (
        fleet(own_valkey.url, discord, 2, clock=None, limits=Limits(global_limit=1000)) as workers,
        Load(workers, 40) as load,
    ):
        queue = [asyncio.create_task(workers.send(n % 2, message_in(1000), n)) for n in range(100)]
        await load.everybody_sent(2, within_s=PATIENCE_S)
        own_valkey.stop()
        async with asyncio.timeout(PATIENCE_S):
            outcomes = await asyncio.gather(*queue, return_exceptions=True)
        assert sum(isinstance(outcome, BrokerUnavailableError) for outcome in outcomes) >= 80
        assert all(outcome == 200 or isinstance(outcome, BrokerUnavailableError) for outcome in outcomes)
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(BrokerUnavailableError):
                await workers.send(0, message_in(2000))
        assert workers.registries[0].get_sample_value("discordproxy_permit_refused_total", {"why": "unavailable"}) >= 1
        own_valkey.start()
        await load.everybody_sent(1, within_s=PATIENCE_S)
        await load.everybody_sent(8, within_s=PATIENCE_S)
    assert load.refused
    assert {type(error) for error in load.refused} == {BrokerUnavailableError}
    assert discord.too_many == []


@pytest.mark.skipif("TOPOLOGY" in os.environ, reason="other topologies decide by themselves who is read-only")
@pytest.mark.parametrize(
    ("refuse", "serve"),
    [
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
        ("ACL SETUSER default -@scripting", "ACL SETUSER default +@scripting"),
    ],
)
async def test_server_that_refuses_for_a_while_leaves_nothing_behind(own_valkey, server, refuse, serve):
    """Calls of every moment meet it: those that wait, those in flight, those whose caller goes away meanwhile."""
    discord = FakeDiscord(limiter=lambda _: FixedWindow(5, 0.5))
    async with fleet(own_valkey.url, discord, 2, clock=None, limits=Limits(global_limit=1000)) as workers:
        async with Load(workers, 12) as load:
            waiting = [asyncio.create_task(workers.send(n % 2, message_in(n % 12), n)) for n in range(48)]
            await load.everybody_sent(1, within_s=PATIENCE_S)
            own_valkey.tell(*refuse.split())
            await eventually(lambda: len(load.refused) >= 12)
            for call in waiting:
                call.cancel()
            await eventually(lambda: len(load.refused) >= 36)
            own_valkey.tell(*serve.split())
            await load.everybody_sent(2, within_s=PATIENCE_S)
        await eventually(lambda: server.hlen(bot_key(workers, "held")) == 0)
        await eventually(lambda: server.zcount(bot_key(workers, "slots"), 1e17, "+inf") == 0)
    assert {type(error) for error in load.refused} == {BrokerUnavailableError}
    assert discord.too_many == []


async def test_local_pace_while_the_server_is_away(own_valkey):
    discord = FakeDiscord(limiter=lambda _: FixedWindow(5, 1.0))
    limits = Limits(degraded="local", workers=2)
    async with fleet(own_valkey.url, discord, 2, clock=None, limits=limits) as workers, Load(workers, 6) as load:
        await load.everybody_sent(1, within_s=PATIENCE_S)
        own_valkey.stop()
        await load.everybody_sent(2, within_s=PATIENCE_S)
        assert [registry.get_sample_value("discordproxy_degraded") for registry in workers.registries] == [1, 1]
        calls = workers.script_calls
        await load.everybody_sent(1, within_s=PATIENCE_S)
        assert workers.script_calls == calls, "nobody asks a server that is away"
        own_valkey.start()
        await eventually(lambda: workers.script_calls > calls)
        await load.everybody_sent(6, within_s=PATIENCE_S)
        assert [registry.get_sample_value("discordproxy_degraded") for registry in workers.registries] == [0, 0]
    assert discord.too_many == []


async def test_local_pace_where_there_has_never_been_a_server_and_for_who_waits_when_it_goes(own_valkey):
    discord, limits = FakeDiscord(), Limits(degraded="local")
    own_valkey.stop()
    lonely = Fleet(own_valkey.url, discord, 1, clock=None, limits=limits)
    await lonely.brokers[0].start()
    async with contextlib.aclosing(lonely):
        assert await lonely.send(0, message_in(1), "alone") == 200
        assert (
            lonely.registries[0].get_sample_value("discordproxy_permit_refused_total", {"why": "unavailable"}) is None
        )
        own_valkey.start()
        await lonely.brokers[0].ready()
        async with lonely.brokers[0].acquire(message_in(1)):
            waiting = asyncio.create_task(lonely.send(0, message_in(1), "waited"))
            await eventually(lambda: lonely.brokers[0].waiting == 1 and lonely.script_calls > 1)
            own_valkey.stop()
            assert await waiting == 200
        lonely.brokers[0].drain()
        with pytest.raises(DrainingError):
            await lonely.send(0, message_in(1))
    assert [arrival.label for arrival in discord.arrivals] == ["alone", "waited"]


class LosesReplies:
    """A Redis client whose connection breaks after a script ran, before its reply came."""

    def __init__(self, url: str) -> None:
        self._client, self.losing = connect(url), 0

    def __getattr__(self, name: str):
        return getattr(self._client, name)

    async def open_pipeline(self, **options: Any):
        return await open_tapped(self._client, self._lossy, **options)

    async def execute_command(self, *command: object):
        return await self._lossy(self._client.execute_command, *command)

    async def _lossy(self, send, *command: object):
        reply = await send(*command)
        if self.losing:
            self.losing -= 1
            raise ConnectionLost("the reply is lost")
        return reply


async def test_lost_reply_charges_once(valkey):
    registry = CollectorRegistry()
    client, prefix = LosesReplies(valkey), f"lost-{uuid.uuid4().hex[:8]}"
    broker = Broker(client, prefix=prefix, bot_id="1", decisions=Decisions(registry))
    discord = FakeDiscord(limiter=lambda _: FixedWindow(5, 60.0))
    await broker.start()
    try:
        await one_call(broker, discord)
        client.losing = 2
        async with asyncio.timeout(PATIENCE_S), broker.acquire(role_in(1)) as permit:
            assert client.losing == 0
            keys = [key async for key in client.scan_iter(f"{{{prefix}:1}}:rl3:b:h*")]
            assert [bucket_state(await client.get(key)).infl for key in keys] == [1]
            permit.sent()
            permit.complete(await discord.request(role_in(1)))
        for _ in range(3):
            await one_call(broker, discord)
        with pytest.raises(WaitRefusedError):
            await one_call(broker, discord, deadline_s=1.0)
    finally:
        await broker.close()
    assert len(discord.accepted()) == 5


async def test_a_broker_that_is_closed_while_it_connects_leaves_no_task(valkey):
    connected = False
    turns = 1
    while not connected:
        broker = Broker(connect(valkey), prefix=uuid.uuid4().hex, bot_id="1", decisions=Decisions(CollectorRegistry()))
        await broker.start()
        acquiring = asyncio.ensure_future(broker.acquire(role_in(1)))
        for _ in range(turns):
            await asyncio.sleep(0)
        connected = acquiring.done()
        if connected:
            acquiring.result().release()
        acquiring.cancel()
        await asyncio.wait([acquiring])
        await broker.close()
        turns += 1
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("broker-")] == []


async def one_call(broker: Broker, discord: FakeDiscord, *, deadline_s: float = 30.0) -> None:
    async with broker.acquire(role_in(1), asyncio.get_running_loop().time() + deadline_s) as permit:
        permit.sent()
        permit.complete(await discord.request(role_in(1)))


async def test_forgotten_scripts_are_brought_again(own_valkey):
    discord = FakeDiscord(limiter=lambda _: Gcra(5, 0.2))
    async with fleet(own_valkey.url, discord, 3, clock=None) as workers:
        calls = [asyncio.create_task(workers.send(n % 3, message_in(n % 4), n)) for n in range(60)]
        for arrived in (10, 25, 40):
            await eventually(lambda arrived=arrived: len(discord.arrivals) >= arrived)
            own_valkey.tell("SCRIPT", "FLUSH")
        assert await asyncio.gather(*calls) == [200] * 60
    assert sorted(arrival.label for arrival in discord.arrivals) == list(range(60))


async def test_full_server_still_takes_permits_back(own_valkey, server):
    discord = FakeDiscord(limiter=lambda _: FixedWindow(5, 1.0))
    async with fleet(own_valkey.url, discord, 1, clock=None) as workers:
        async with workers.brokers[0].acquire(message_in(1)) as permit:
            waiting = asyncio.create_task(workers.send(0, message_in(1)))
            await eventually(lambda: server.hlen(bot_key(workers, "held")) == 2)
            own_valkey.tell("CONFIG", "SET", "maxmemory", "1")
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                server.set("anything", "more")
            permit.sent()
            permit.complete(await discord.request(message_in(1)))
        assert await waiting == 200
        await eventually(lambda: server.hlen(bot_key(workers, "held")) == 0)


async def test_closing_waits_for_the_call_under_way():
    """A permit's end may be in it: lost, it would hold its lane back for a lease."""
    sending, arrived = asyncio.Event(), []

    async def send(items):
        sending.set()
        await asyncio.sleep(0)
        arrived.extend(items)
        return [[] for _ in items]

    batch = ScriptBatch(send, sending.wait)
    item = BatchItem(["c"], [], lasting=True)
    batch.add(item, hurry=True)
    await sending.wait()
    await batch.close()
    assert arrived == [item]


async def test_what_cannot_be_written_is_dropped_and_the_next_call_goes_on():
    tries = []

    async def send(items):
        tries.append(items)
        if len(tries) == 1:
            raise TypeError("no JSON")
        assert len(tries) == 2, "tried again at once, and for ever"
        return [[] for _ in items]

    async def until_up():
        return

    batch = ScriptBatch(send, until_up)
    failed, sent = (asyncio.get_running_loop().create_future() for _ in range(2))
    batch.add(BatchItem(["c"], [], None, failed.set_exception, lasting=True), hurry=True)
    with pytest.raises(TypeError):
        await failed
    batch.add(BatchItem(["c"], [], sent.set_result, lasting=True), hurry=True)
    assert await sent == []
    await batch.close()


async def test_closing_ends_although_a_cancellation_gets_lost():
    """Before Python 3.12 a library's `wait_for` loses one that comes just as its work was done."""
    writing = asyncio.Event()

    async def write(items):
        writing.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return [[] for _ in items]

    batch = ScriptBatch(write, writing.wait)
    batch.poke()
    await writing.wait()
    async with asyncio.timeout(PATIENCE_S):
        await batch.close()
