"""One client used by many threads, tasks and processes, and a proxy that dies under it."""

import asyncio
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from discordproxy.aio import AsyncDiscordClient
from discordproxy.client import DiscordClient, DiscordProxyException
from processes import forking_program
from processes.mortal_proxy import Progress, dying_again_and_again, mortal_proxy

MESSAGES = 1000


@pytest.fixture
def proxy(tmp_path):
    with mortal_proxy(tmp_path) as process:
        yield process


def test_forty_forked_children_while_the_parent_calls(proxy):
    command = [sys.executable, "-W", "ignore::DeprecationWarning", forking_program.__file__, proxy.address, "1"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == {"children": [0] * forking_program.CHILDREN, "parent": []}


def test_sixty_four_threads(proxy):
    with DiscordClient(proxy.address, timeout=30, retries=0) as client, ThreadPoolExecutor(64) as threads:
        answers = threads.map(client.get_guild_channels, range(1280))
        assert list(answers) == [[]] * 1280


async def test_a_thousand_tasks(proxy):
    async with AsyncDiscordClient(proxy.address, timeout=30, retries=0) as client:
        sends = [client.create_channel_message(1, str(number)) for number in range(MESSAGES)]
        await asyncio.gather(*sends)
    assert sorted(map(int, proxy.messages().values())) == list(range(MESSAGES))


def test_killed_proxy_with_repetitions_sends_each_message_once(proxy):
    progress = Progress()
    with DiscordClient(proxy.address, timeout=60, retries=50) as client:

        def send(number):
            client.create_channel_message(1, str(number))
            progress.step()

        with dying_again_and_again(proxy, 200, progress), ThreadPoolExecutor(16) as threads:
            list(threads.map(send, range(MESSAGES)))
    assert sorted(map(int, proxy.messages().values())) == list(range(MESSAGES))


def test_killed_proxy_without_repetitions_says_truthfully_what_was_sent(proxy):
    progress = Progress()
    outcomes = {}
    with DiscordClient(proxy.address, timeout=60, retries=0) as client:

        def send(number):
            nonce = f"n{number}"
            try:
                client.create_channel_message(1, "x", nonce=nonce)
                outcomes[nonce] = "yes"
            except DiscordProxyException as error:
                outcomes[nonce] = error.sent
            progress.step()

        with dying_again_and_again(proxy, 100, progress), ThreadPoolExecutor(16) as threads:
            list(threads.map(send, range(MESSAGES)))
    arrived = set(proxy.messages())
    assert {nonce for nonce, sent in outcomes.items() if sent == "yes"} <= arrived
    assert not {nonce for nonce, sent in outcomes.items() if sent == "no"} & arrived
    assert {"no", "unknown", "yes"} == set(outcomes.values())


async def test_killed_proxy_async(proxy):
    progress = Progress()
    async with AsyncDiscordClient(proxy.address, timeout=60, retries=50) as client:
        gate = asyncio.Semaphore(16)

        async def send(number):
            async with gate:
                await client.create_channel_message(1, str(number))
            progress.step()

        with dying_again_and_again(proxy, 300, progress):
            await asyncio.gather(*map(send, range(MESSAGES)))
    assert sorted(map(int, proxy.messages().values())) == list(range(MESSAGES))
