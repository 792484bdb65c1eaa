"""Without `app`, a client has the name of the package that makes it."""

import subprocess
import sys
import textwrap

import pytest

from discordproxy.aio import AsyncDiscordClient
from discordproxy.client import DiscordClient, default_client
from discordproxy.testing import FakeDiscordProxy

SHOW = "dict(client._metadata).get('x-discordproxy-app')"


def name_of(client):
    return dict(client._metadata).get("x-discordproxy-app")


def made_in(module, code, **names):
    """Run code as if it stood in a module."""
    space = {"__name__": module, "DiscordClient": DiscordClient, **names}
    exec(textwrap.dedent(code), space)
    return space


@pytest.mark.parametrize("client", [DiscordClient, AsyncDiscordClient])
@pytest.mark.parametrize("module", ["mailrelay", "mailrelay.providers", "mailrelay.a.b"])
def test_the_top_level_package(client, module):
    assert name_of(made_in(module, "client = Client()", Client=client)["client"]) == "mailrelay"


def test_a_subclass_and_a_helper_of_another_package():
    helpers = made_in("helpers", "class Own(DiscordClient):\n  pass\ndef make():\n  return DiscordClient()")
    assert name_of(made_in("srp.tasks", "client = Own()", Own=helpers["Own"])["client"]) == "srp"
    assert name_of(made_in("srp.tasks", "client = make()", make=helpers["make"])["client"]) == "helpers"


def test_the_library_of_python_is_no_application():
    story = """
    import functools, dataclasses, concurrent.futures
    class Lazy:
        @functools.cached_property
        def client(self):
            return DiscordClient()
    @dataclasses.dataclass
    class Field:
        client: object = dataclasses.field(default_factory=DiscordClient)
    clients = [Lazy().client, Field().client, functools.partial(DiscordClient, timeout=3)()]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        alone = pool.submit(DiscordClient).result()
    """
    found = made_in("srp", story)
    assert [name_of(client) for client in found["clients"]] == ["srp"] * 3
    assert name_of(found["alone"]) is None  # nobody but the library calls it there


@pytest.mark.parametrize("module", ["café", "x" * 65, "two words"])
def test_a_name_that_cannot_be_sent_is_left_out(module):
    assert name_of(made_in(module, "client = DiscordClient()")["client"]) is None


@pytest.mark.parametrize(
    ("setting", "argument", "expected"),
    [
        ("", None, "srp"),
        ("shop", None, "shop"),
        (" shop\n", None, "shop"),
        ("off", None, None),
        ("OFF", None, None),
        ("off", "mine", "mine"),
        ("shop", "mine", "mine"),
        ("shop", "", None),
        ("", "", None),
    ],
)
def test_setting_and_argument(monkeypatch, setting, argument, expected):
    monkeypatch.setenv("DISCORDPROXY_APP", setting)
    found = made_in("srp", "client = DiscordClient(app=argument)", argument=argument)
    assert name_of(found["client"]) == expected


@pytest.mark.parametrize(("setting", "expected"), [("", None), ("shop", "shop"), ("off", None)])
def test_the_client_of_all_has_no_name_of_one(monkeypatch, setting, expected):
    monkeypatch.setenv("DISCORDPROXY_APP", setting)
    default_client.cache_clear()
    assert name_of(made_in("srp", "client = default_client()", default_client=default_client)["client"]) == expected
    default_client.cache_clear()


def test_scripts_and_modules(tmp_path):
    code = f"from discordproxy.client import DiscordClient\nclient = DiscordClient()\nprint({SHOW})"
    (tmp_path / "nightly-report.py").write_text(code)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__main__.py").write_text(code)
    for arguments, expected in (
        (["nightly-report.py"], "nightly-report"),
        (["-m", "shop"], "shop"),
        (["-c", code], "None"),
    ):
        process = subprocess.run([sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert process.stdout.strip() == expected


def test_it_travels_with_every_call():
    with FakeDiscordProxy() as proxy:
        made_in("srp.tasks", "DiscordClient().create_channel_message(1, 'x')")
        assert proxy.calls[0].metadata["x-discordproxy-app"] == "srp"
