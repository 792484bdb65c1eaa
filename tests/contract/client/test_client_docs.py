"""The programs in the client's documentation run."""

import re
from pathlib import Path

import pytest

from discordproxy._grpc import configuration
from discordproxy.discord_api_pb2 import Component, Interaction
from discordproxy.discord_api_pb2 import CreateInteractionResponseRequest as Response
from discordproxy.testing import FakeDiscordProxy

DOCS = Path(__file__).parents[3] / "docs"
EXAMPLE = DOCS.parent / "examples" / "django"


SUBMITTED = Component(component=Component(value="because"))
INTERACTIONS = (
    Interaction(id=3, token="t", type="APPLICATION_COMMAND_AUTOCOMPLETE"),
    Interaction(id=4, token="t", type="APPLICATION_COMMAND"),
    Interaction(id=5, token="t", type="MODAL_SUBMIT", data=Interaction.Data(components=[SUBMITTED])),
)


def programs(name):
    return re.findall(r"^```python\n(.*?)^```", (DOCS / name).read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def proxy():
    with FakeDiscordProxy() as fake:
        fake.add_guild(id=300000000000000001)
        fake.add_channel(300000000000000001, id=500000000000000001)
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
    for used in INTERACTIONS:
        names["respond"](used)
    kinds = [each.type for each in proxy.requests("CreateInteractionResponse")[2:]]
    assert kinds == [Response.AUTOCOMPLETE, Response.MODAL, Response.MESSAGE]
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        with FakeDiscordProxy() as fresh:
            test(fresh)


def test_role_sync(proxy, capsys):
    guild, pilot, director, user = 300000000000000001, 400000000000000003, 400000000000000004, 200000000000000001
    proxy.add_role(guild, id=pilot)
    proxy.add_role(guild, id=director, managed=True)
    member = proxy.add_member(guild, user, roles=[])
    (program,) = programs("role-sync.md")
    exec(compile(program, "role-sync.md", "exec"), {})
    assert list(member.roles) == [pilot]
    assert capsys.readouterr().out.splitlines() == [
        f"{user} gains [{pilot}] loses []",
        "1 members changed; [] failed",
        f"{director} MANAGED MANAGED",
    ]


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
