"""The programs in the client's documentation run."""

import re
import sys
import types
from pathlib import Path

import pytest

from discordproxy import _configuration, client
from discordproxy.testing import FakeDiscordProxy

DOCS = Path(__file__).parents[2] / "docs"


def programs(name):
    return re.findall(r"^```python\n(.*?)^```", (DOCS / name).read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def proxy():
    with FakeDiscordProxy() as fake:
        fake.add_guild(id=7)
        fake.add_channel(7, id=42)
        yield fake


async def test_client(proxy):
    names = {}
    for program in programs("client.md"):
        exec(compile(program, "client.md", "exec"), names)
    await names["greet"]()
    assert [message.content for message in proxy.messages] == ["Hello, world!", "Late by five minutes"] + [
        "Hello, world!"
    ] * 2
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        with FakeDiscordProxy() as fresh:
            test(fresh)


def test_client_names_every_argument():
    text = (DOCS / "client.md").read_text("utf-8")
    signature = re.search(r"`DiscordClient\((.*?)\)`", text)[1]
    arguments = re.findall(r"(\w+)=", signature)
    code = _configuration.Configuration.__init__.__code__
    assert arguments == list(code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount])
    assert f"retries={_configuration.DEFAULT_RETRIES})" in signature + ")"


class Retry(Exception):  # noqa: N818 -- its name in Celery
    """What Celery raises to run a task again."""


class Task:
    """As much of a Celery task as the example uses."""

    request = types.SimpleNamespace(retries=1)

    def retry(self, exc, countdown):
        raise Retry(countdown) from exc


def test_django(proxy, monkeypatch):
    names = {}
    monkeypatch.setitem(sys.modules, "celery", types.SimpleNamespace(shared_task=lambda **_options: lambda task: task))
    settings, *examples = programs("django.md")
    exec(settings, names)
    django_conf = types.SimpleNamespace(settings=types.SimpleNamespace(**names))
    monkeypatch.setitem(sys.modules, "django", types.SimpleNamespace(conf=django_conf))
    monkeypatch.setitem(sys.modules, "django.conf", django_conf)
    for example in examples:
        exec(example, names)
    assert names["send_receipt"](Task(), 5, 42, "Thank you") == proxy.messages[0].id
    assert proxy.calls[0].request.options.idempotency_key == "receipt-5"
    assert proxy.calls[0].timeout == 30
    proxy.fail_rate_limited(retry_after=7.0)
    with pytest.raises(Retry, match=r"7\.0"):
        names["send_receipt"](Task(), 6, 42, "Thank you")
    proxy.fail_http(403, 50007, "Cannot send messages to this user")
    with pytest.raises(client.DiscordProxyHttpError):
        names["send_receipt"](Task(), 7, 42, "Thank you")
