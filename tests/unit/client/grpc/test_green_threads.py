"""Processes that gevent has patched: the recipe of the documentation works, and its absence is noticed once."""

import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from discordproxy._grpc.green_threads import warn_of_green_threads
from discordproxy.discord_api_pb2 import GetGuildChannelsResponse
from fakes.scripted_proxy import scripted_proxy

DOCS = Path(__file__).parents[4] / "docs"
MANY = 6
PROGRAM = """
from gevent import monkey
monkey.patch_all()
{recipe}
import sys, warnings, gevent
from discordproxy.client import DiscordClient
warnings.simplefilter("always")

def call(number):
    with DiscordClient(sys.argv[1], timeout=60, retries=0, options=[("x", number)]) as client:
        client.get_guild_channels(1)

jobs = [gevent.spawn(call, number) for number in range({many})]
gevent.joinall(jobs, raise_error=True)
"""


def recipe():
    text = (DOCS / "guides" / "gevent.md").read_text("utf-8")
    return text.partition("<!-- with: gevent -->")[2].partition("```python\n")[2].partition("```")[0]


def run(target, recipe, many):
    if find_spec("gevent") is None:
        pytest.skip("needs gevent")
    program = PROGRAM.format(recipe=recipe, many=many)
    done = subprocess.run(
        [sys.executable, "-c", program, target], capture_output=True, text=True, check=False, timeout=110
    )
    return done.returncode, done.stderr


def test_the_recipe_lets_calls_overlap():
    assert "init_gevent()" in recipe()
    together = threading.Barrier(MANY, timeout=50)

    def answer(_request, _context):
        together.wait()  # none is answered before all have come
        return GetGuildChannelsResponse()

    with scripted_proxy() as proxy:
        proxy.script("GetGuildChannels", *[answer] * MANY)
        status, err = run(proxy.address, recipe(), MANY)
        assert (status, "RuntimeWarning" in err) == (0, False), err
        assert len(proxy.received) == MANY


def test_without_it_the_client_warns_once_and_works():
    with scripted_proxy() as proxy:
        status, err = run(proxy.address, "", 3)
        assert (status, err.count("RuntimeWarning: gevent has patched this process")) == (0, 1), err
        assert len(proxy.received) == 3


@pytest.mark.parametrize("patched", [True, False])
def test_eventlet(monkeypatch, recwarn, patched):
    monkeypatch.delitem(sys.modules, "gevent.monkey", raising=False)
    patcher = SimpleNamespace(is_monkey_patched=lambda _module: patched)
    monkeypatch.setitem(sys.modules, "eventlet.patcher", patcher)
    warn_of_green_threads.cache_clear()
    for _ in range(2):
        warn_of_green_threads()
    assert ["eventlet" in str(warning.message) for warning in recwarn] == [True] * patched
    warn_of_green_threads.cache_clear()
