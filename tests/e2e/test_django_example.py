"""The example site with real processes: Django, a Celery prefork worker, an API worker, a local Discord, and kills."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from discordproxy_sandbox.rest.faults import Fault
from fakes.eventually import eventually
from fakes.ports import free_port
from processes.deployment import COMMANDS, USER
from processes.process import Process, children_of

SITE = Path(__file__).parents[2] / "examples" / "django"
ORDERS = 6

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def api(settings, own_valkey):
    environment = {**settings, "DISCORDPROXY_REDIS_URL": own_valkey.url}

    def make(folder):
        return Process.module("discordproxy_api", env=environment, cwd=folder)

    return make


@pytest.fixture
def site(settings, own_valkey, tmp_path):
    """Return a function that makes a process of the site, of `manage.py` or of Celery."""
    environment = {
        "SHOP_DATABASE": str(tmp_path / "db.sqlite3"),
        "SHOP_BROKER_URL": f"redis+socket://{urlsplit(own_valkey.url).path}?virtual_host=1",
        "SHOP_RETRY_DELAY": "0.2",
        "DISCORDPROXY_TARGET": f"127.0.0.1:{settings['DISCORDPROXY_PORT']}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    def make(*command):
        return Process(*command, env=environment, cwd=SITE)

    return make


def manage(*arguments):
    return sys.executable, "-W", "error", "manage.py", *arguments


def celery():
    return str(COMMANDS / "celery"), "--app", "shop", "worker", "--loglevel", "INFO", "--concurrency", "2"


async def order(port, article):
    form = {"customer": str(USER), "article": article}
    url = f"http://127.0.0.1:{port}/orders/"
    async with aiohttp.ClientSession() as session, session.post(url, data=form) as response:
        return (await response.json())["order"]


def kill_children(process):
    """Kill what Celery forked, as the kernel does when memory runs out."""
    for pid in children_of(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def test_its_own_tests_pass_without_any_server(site):
    async with site(*manage("test")) as tests:
        assert await tests.ended(within_s=60) == 0, tests.output
        assert "OK" in tests.lines


async def test_every_receipt_arrives_once_whatever_dies(discord, api, site, tmp_path):
    async with site(*manage("migrate")) as migration:
        assert await migration.ended(within_s=60) == 0, migration.output
    port = free_port()
    web = site(*manage("runserver", "--noreload", f"127.0.0.1:{port}"))
    worker = site(*celery())
    async with web, worker:
        await web.line("Quit the server", within_s=60)
        await worker.line("celery@.* ready", within_s=60)

        await order(port, "Hat")  # nobody there: the task is tried again until the proxy has come
        await worker.line("Retry in", within_s=60)
        async with api(tmp_path) as proxy:
            await proxy.line("serves on", within_s=60)
            await eventually(lambda: receipts(tmp_path) == 1, within_s=60)

            discord.faults.add(Fault(kind="slow", path="/messages", when="after", delay_s=1.5))
            await order(port, "Scarf")
            await eventually(lambda: len(discord.ledger.stored) == 2, within_s=60)
            kill_children(worker)  # the message is out, and nobody has heard of it yet
            await eventually(lambda: receipts(tmp_path) == 2, within_s=60)

            discord.faults.add(Fault(kind="slow", path="/messages", when="after", delay_s=1))
            await order(port, "Gloves")
            await eventually(lambda: len(discord.ledger.stored) == 3, within_s=60)
            proxy.signal(signal.SIGTERM)
            await asyncio.gather(*(order(port, f"Shoe {number}") for number in range(ORDERS - 3)))
            assert await proxy.ended(within_s=60) == 0
        async with api(tmp_path):
            await eventually(lambda: receipts(tmp_path) == ORDERS, within_s=60)
    assert Counter(one.message_id for one in discord.ledger.stored) == Counter(receipt_ids(tmp_path))
    assert len(discord.ledger.stored) == ORDERS
    assert discord.ledger.duplicate_contents == 0


def receipt_ids(folder):
    """Return the ids of the messages that the site has noted."""
    with contextlib.closing(sqlite3.connect(folder / "db.sqlite3")) as database:
        rows = database.execute("SELECT receipt_id FROM orders_order WHERE receipt_id IS NOT NULL").fetchall()
    return [str(receipt_id) for (receipt_id,) in rows]


def receipts(folder):
    return len(receipt_ids(folder))
