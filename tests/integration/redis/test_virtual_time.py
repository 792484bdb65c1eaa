"""The clock of the simulations, while the machine gives the server no processor time now and then."""

import asyncio
import contextlib
import random
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from discordproxy_ratelimit.redis.client import connect, open_pipeline, subscription
from fakes.virtual_time import EPOCH_S, VirtualClock, WatchedRedis, run
from processes.redis_servers import Servers

MESSAGES = 300


@contextlib.contextmanager
def preempted(server: Servers) -> Iterator[None]:
    """Stop the server for a moment again and again, as a busy machine does, between any two of its writes."""
    over, rng = threading.Event(), random.Random(1)

    def preempt() -> None:
        while not over.is_set():
            for number in (signal.SIGSTOP, signal.SIGCONT):
                server.send_signal(number)
                time.sleep(rng.uniform(0, 0.001))  # this is the disturbance, nobody waits for it

    thread = threading.Thread(target=preempt)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        server.send_signal(signal.SIGCONT)


def test_time_does_not_move_while_a_message_of_a_preempted_server_is_under_way(own_valkey: Servers) -> None:
    """The sender has its reply when the message may still be unwritten: a timer must not overtake it."""
    seen: list[tuple[int, float]] = []
    clock = VirtualClock()

    async def story() -> None:
        sender = WatchedRedis(connect(own_valkey.url, timeout_s=5.0), clock, own_valkey.url)
        receiver = WatchedRedis(connect(own_valkey.url, timeout_s=5.0), clock, own_valkey.url)
        async with subscription(receiver, "home") as letters:
            await letters.subscribe("news")
            reading = asyncio.create_task(read(letters))
            await asyncio.sleep(1)
            for number in range(MESSAGES):
                await sender.eval("return redis.call('PUBLISH', 'news', ARGV[1])", 0, number)
                await asyncio.sleep(1)
            reading.cancel()
        await sender.aclose()
        await receiver.aclose()

    async def read(letters: object) -> None:
        while True:
            if message := await letters.get_message(timeout=None):
                seen.append((int(message["data"]), clock.now))

    with preempted(own_valkey):
        run(story(), clock)
    assert seen == [(number, EPOCH_S + 1 + number) for number in range(MESSAGES)]


def test_time_does_not_move_while_a_command_that_nobody_counts_is_under_way(own_valkey: Servers) -> None:
    """Connecting, subscribing and commands of libraries are under way as well."""
    clock = VirtualClock()

    async def story() -> None:
        for number in range(MESSAGES // 10):
            client = WatchedRedis(connect(own_valkey.url, timeout_s=5.0), clock, own_valkey.url)
            async with asyncio.timeout(0.001):
                assert await client.incr("{dp:number}") == number + 1
            await client.aclose()

    with preempted(own_valkey):
        run(story(), clock)
    assert clock.now == EPOCH_S


def test_time_does_not_move_while_a_command_in_a_pipeline_is_under_way(own_valkey: Servers) -> None:
    """Nor while the reply to a caller that has given up is."""
    clock = VirtualClock()

    async def story() -> None:
        client = WatchedRedis(connect(own_valkey.url, timeout_s=5.0), clock, own_valkey.url)
        pipeline = await open_pipeline(client, timeout_s=0.001, on_lost=lambda: None)
        if pipeline is None:
            pytest.skip("a Cluster has none")
        for number in range(MESSAGES // 10):
            pipeline.send("GET", "{dp:any}").cancel()
            assert await pipeline.send("INCR", "{dp:number}") == number + 1
        pipeline.close()
        await client.aclose()

    with preempted(own_valkey):
        run(story(), clock)
    assert clock.now == EPOCH_S


def test_hours_pass_at_once_and_a_server_that_is_away_does_not_stop_them(own_valkey: Servers) -> None:
    clock = VirtualClock()

    async def story() -> None:
        client = WatchedRedis(connect(own_valkey.url, timeout_s=5.0), clock, own_valkey.url)
        await client.get("{dp:any}")
        own_valkey.stop()
        await asyncio.sleep(3600)
        await client.aclose()

    run(story(), clock)
    assert clock.now == EPOCH_S + 3600
