"""The programs in the client's documentation run."""

import re
from pathlib import Path

import pytest

from discordproxy._grpc import configuration
from discordproxy.testing import FakeDiscordProxy

DOCS = Path(__file__).parents[3] / "docs"
EXAMPLE = DOCS.parent / "examples" / "django"


def programs(name):
    return re.findall(r"^```python\n(.*?)^```", (DOCS / name).read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def proxy():
    with FakeDiscordProxy() as fake:
        fake.add_guild(id=7)
        fake.add_channel(7, id=42)
        fake.emit("INTERACTION_CREATE", id="1", token="t", data={"name": "ping"})
        fake.emit("INTERACTION_CREATE", id="2", token="t", data={"custom_id": "ready"})
        fake.emit("MESSAGE_CREATE", id="3", content="not subscribed to")
        yield fake


async def test_client(proxy):
    names = {}
    for program in programs("client.md"):
        exec(compile(program, "client.md", "exec"), names)
    await names["greet"]()
    assert [message.content for message in proxy.messages] == ["Hello, world!", "Late by five minutes"] + [
        "Hello, world!"
    ] * 2
    answers = [(each.interaction_id, each.content) for each in proxy.requests("CreateInteractionResponse")]
    assert answers == [(1, "Pong!"), (2, "Go!")]
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        with FakeDiscordProxy() as fresh:
            test(fresh)


def test_commands(proxy):
    proxy.emit("INTERACTION_CREATE", id="4", data={"name": "shop"})
    proxy.emit("INTERACTION_CREATE", id="5", data={"custom_id": "shop:buy"})
    outputs = []
    for program in programs("commands.md"):
        exec(compile(program, "commands.md", "exec"), {"print": lambda *values: outputs.append(values)})
    assert [values[1] for values in outputs[:2]] == ["shop", "Show orders"]
    assert ['"id": "4"' in outputs[2][0], '"id": "5"' in outputs[3][0]] == [True, True]
    assert len(outputs) == 4


def test_client_names_every_argument():
    text = (DOCS / "client.md").read_text("utf-8")
    signature = re.search(r"`DiscordClient\((.*?)\)`", text)[1]
    arguments = re.findall(r"(\w+)=", signature)
    code = configuration.Configuration.__init__.__code__
    assert arguments == list(code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount])
    assert f"retries={configuration.DEFAULT_RETRIES})" in signature + ")"


def test_django_shows_the_code_of_the_example():
    files = [path.read_text("utf-8") for path in EXAMPLE.rglob("*.py")]
    shown = programs("django.md")
    assert len(shown) >= 5
    for program in shown:
        assert any(program in file for file in files), program
