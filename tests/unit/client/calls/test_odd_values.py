"""Values that cannot be sent end in an error that names the argument: a ValueError, or an exception of the client."""

import inspect
import json
import math
from contextlib import suppress
from datetime import timedelta
from itertools import count
from uuid import UUID

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

from discordproxy import builders
from discordproxy._grpc.retry import delay_before_retry
from discordproxy._requests import arguments as call_arguments
from discordproxy._requests.checks import trimmed
from discordproxy.aio import AsyncDiscordClient
from discordproxy.client import DiscordClient, DiscordProxyException, DiscordProxyTimeoutError
from discordproxy.discord_api_pb2 import GuildId
from discordproxy.exceptions import to_discord_proxy_exception
from discordproxy.testing import FakeDiscordProxy
from discordproxy.tests.factories import create_rpc_error
from fakes.scripted_proxy import scripted_proxy
from strategies.client_methods import RPCS, arguments_of, method_name
from strategies.examples import examples

CIRCLE = []
CIRCLE.append(CIRCLE)
DEEP = {}
for _ in range(1_200):
    DEEP = {"fields": [DEEP]}
ODD = [
    "\ud800", "a\udfffb", b"\xff", "x", -1, 2**31, 2**64, 10**400, 1.5, math.nan, math.inf, True, None, object(), [],
    {}, [None], [object()], {"a": "\ud800"}, {"title": "\ud800"}, [{"type": "x"}], [{"type": 10, "content": "\ud800"}],
    ["x"], CIRCLE, DEEP, [DEEP], ("a", "b"), [("a", "b")], [("a", b"b", 1)], timedelta(seconds=-1), "\0", ["\0"],
    [math.nan],
]  # fmt: skip
KEYWORDS = {
    "create_channel_message": call_arguments.MessageArguments,
    "create_direct_message": call_arguments.MessageArguments,
    "execute_webhook": call_arguments.WebhookMessageArguments,
    "create_forum_post": call_arguments.ForumPostArguments,
    "create_interaction_response": call_arguments.InteractionArguments,
    "edit_channel_message": call_arguments.MessageChanges,
    "edit_webhook_message": call_arguments.MessageChanges,
    "create_channel": call_arguments.ChannelSettings,
    "edit_channel": call_arguments.ChannelChanges,
    "edit_role": call_arguments.RoleSettings,
    "edit_guild_member": call_arguments.MemberChanges,
    "create_scheduled_event": call_arguments.ScheduledEventSettings,
}
# Answered by the small Discord in memory or by the file system, not by the client.
OTHERS_SAY = (DiscordProxyException, OSError)


@pytest.fixture
def proxy():
    with FakeDiscordProxy() as fake:
        fake._perform = lambda call: RESPONSES[call.rpc]()
        yield fake


RESPONSES = {name: GetMessageClass(rpc.output_type) for name, rpc in RPCS.items()}


def judged(name, call):
    """Make a call; an error has to be one of those a program expects, in words about the argument."""
    error = error_of(call)
    if isinstance(error, ValueError):
        assert not isinstance(error, UnicodeError), (name, error)
        assert name.removesuffix("s") in str(error), (name, error)
    elif isinstance(error, TypeError):
        assert "unexpected keyword" in str(error) or "are either Component" in str(error), (name, error)


def error_of(call):
    try:
        found = call()
        if inspect.isgenerator(found):
            list(found)
    except OTHERS_SAY:
        return None
    except (ValueError, TypeError) as error:
        return error
    return None


@pytest.mark.parametrize("method", [method_name(rpc) for rpc in RPCS])
def test_every_argument_of_every_method(proxy, method):
    client = DiscordClient(timeout=5)
    good = arguments_of(getattr(DiscordClient, method))
    keywords = KEYWORDS.get(method, call_arguments.CallArguments).__annotations__
    for name in {*good, *keywords}:
        for odd in ODD:
            judged(name, lambda name=name, odd=odd: getattr(client, method)(**{**good, name: odd}))


async def test_coroutines_too(proxy):
    client = AsyncDiscordClient()
    for arguments in ({"content": "\ud800"}, {"files": [object()]}, {"timeout": math.nan}, {"max_wait": math.nan}):
        with pytest.raises(ValueError, match=next(iter(arguments))):
            await client.create_channel_message(1, **{"content": "x", **arguments})
    with pytest.raises(ValueError, match="types: must be a list, not a single str"):
        client.events("MESSAGE_CREATE")


@examples(40)
@given(st.recursive(st.text() | st.floats() | st.integers() | st.binary() | st.none(), st.lists, max_leaves=5))
def test_anything_as_an_argument(value):
    with FakeDiscordProxy():
        client = DiscordClient()
        for name in ("content", "embed", "embeds", "files", "components", "poll", "sticker_ids", "timeout", "max_wait"):
            judged(name, lambda name=name: client.create_channel_message(1, **{"content": "x", name: value}))
        judged("json", lambda: client.request("POST", "/x", json=value))
        for name in ("target", "options", "timeout", "api_key", "app", "retries", "tls"):
            judged(name, lambda name=name: DiscordClient(**{name: value}))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"content": "ab\ud83d"}, r"content: the unpaired surrogate U\+D83D at position 2"),
        ({"embed": {"titel": "x"}}, "embed: .*titel"),
        ({"embeds": [{}, {"fields": [{"nme": "x"}]}]}, r"embeds\[1\]: .*nme"),
        ({"embeds": [{"title": "\ud83d"}]}, r"embeds\[0\]: .*surrogate"),
        ({"components": [{"type": 10, "content": "\ud83d"}]}, r"components: in its JSON, the unpaired surrogate"),
        ({"components": [{"type": math.nan}]}, "components: Out of range"),
        ({"overflow": "cut"}, "overflow: must be one of error, split, truncate, file; not 'cut'"),
        ({"priority": "urgent"}, "priority: must be one of normal, low, high; not 'urgent'"),
        ({"files": [("a", "text")]}, r"files\[0\]: content: must be bytes, not str"),
        ({"sticker_ids": ["a"]}, "sticker_ids: 'str' object"),
        ({"content": 5}, "content: must be a text, not int"),
        ({"idempotency_key": UUID(int=1)}, "idempotency_key: must be a text, not UUID"),
        ({"embed": "x"}, "embed: must be an Embed or a dictionary, not str"),
        ({"embeds": [None]}, r"embeds\[0\]: must be an Embed or a dictionary, not NoneType"),
        ({"embeds": {"title": "x"}}, "embeds: must be a list, not a single dict"),
        ({"files": [b"x"]}, r"files\[0\]: must be a path, .*, not bytes"),
        ({"poll": "x"}, "poll: must be a message Poll or a dictionary, not str"),
        ({"timeout": "30"}, "timeout: must be a number of seconds, not the text '30'"),
        ({"max_wait": -1}, "max_wait: must not be negative"),
    ],
)
def test_words(proxy, arguments, words):
    with pytest.raises(ValueError, match=words):
        DiscordClient().create_channel_message(1, **{"content": "x", **arguments})


def test_a_single_text_is_no_list_of_texts(proxy):
    """Protobuf would take each character as an element."""
    client = DiscordClient()
    for criterion in ("has", "link_hostname", "attachment_extension"):
        with pytest.raises(ValueError, match=f"{criterion}: must be a list, not a single str"):
            client.search_messages(1, "x", **{criterion: "file"})
    with pytest.raises(ValueError, match="answers: must be a list, not a single str"):
        builders.poll("Where?", "Jita")
    with pytest.raises(ValueError, match="options: must be a list, not a single str"):
        builders.StringSelect("where", "Jita")
    assert not proxy.calls


def test_a_poll_takes_texts_and_a_timedelta():
    with pytest.raises(ValueError, match=r"answers\[1\]: must be a text, not NoneType"):
        builders.poll("Where?", ["Jita", None])
    with pytest.raises(ValueError, match="duration: must be a timedelta, not int"):
        builders.poll("Where?", ["Jita"], duration=24)


def test_a_call_by_name_takes_the_request_of_its_rpc(proxy):
    """Another message with the same field numbers would be sent as if it were one."""
    for request in (GuildId(guild_id=1), None, {"user_id": 1}):
        with pytest.raises(ValueError, match="request: GetUser takes a GetUserRequest, not"):
            DiscordClient().call("GetUser", request)
    assert not proxy.calls


@pytest.mark.parametrize("timeout", [math.inf, 1e12, 10**30, timedelta(days=400), 0, None, 0.0], ids=str)
@pytest.mark.parametrize("where", ["client", "call"])
async def test_no_deadline(timeout, where):
    of_client, of_call = ({"timeout": timeout}, {}) if where == "client" else ({"timeout": 3}, {"timeout": timeout})
    with scripted_proxy() as proxy:
        with DiscordClient(proxy.address, **of_client) as client:
            client.get_guild_channels(1, **of_call)
        async with AsyncDiscordClient(proxy.address, **of_client) as client:
            await client.get_guild_channels(1, **of_call)
        with DiscordClient(proxy.address) as client, suppress(DiscordProxyException):
            client.sync_guild_roles(1, {2: [3]}, timeout=timeout).result()
        assert all(received.time_left > 1e15 for received in proxy.received)  # gRPC's word for no deadline


@pytest.mark.parametrize("timeout", [-1, -1e12, -math.inf])
def test_time_that_is_over(proxy, timeout):
    with pytest.raises(DiscordProxyTimeoutError, match="timeout: already exceeded") as late:
        DiscordClient(timeout=timeout).create_channel_message(1, "x")
    assert (late.value.sent, proxy.calls) == ("no", [])
    with pytest.raises(DiscordProxyTimeoutError, match="timeout: already exceeded") as late:
        DiscordClient().sync_guild_roles(1, {2: [3]}, timeout=timeout).result()
    assert (late.value.sent, proxy.calls) == ("no", [])


def test_endless_max_wait(proxy):
    DiscordClient().create_channel_message(1, "x", max_wait=math.inf)
    assert not proxy.requests("SendChannelMessage")[0].options.HasField("max_wait")


@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", " {} ", "\ufeff{}", "\ufeff{}\r\n", "\t{}\n\n"])
def test_what_files_leave_around_a_key_is_cut_off(proxy, monkeypatch, around):
    monkeypatch.setenv("DISCORDPROXY_TARGET", around.format("proxy.test:7"))
    assert DiscordClient().target == "proxy.test:7"
    DiscordClient(api_key=around.format("key"), app=around.format("app")).create_channel_message(1, "x")
    monkeypatch.setenv("DISCORDPROXY_API_KEY", around.format("key"))
    DiscordClient(app="app").create_channel_message(1, "x")
    for call in proxy.calls:
        assert (call.metadata["authorization"], call.metadata["x-discordproxy-app"]) == ("Bearer key", "app")


def test_marks_and_blanks_in_any_order():
    assert trimmed(" \ufeff key \u200b\n") == "key"


@pytest.mark.parametrize("wrong", ["two\nlines", "café", b"bytes", 5])
def test_a_key_that_cannot_travel_is_not_shown(wrong):
    with pytest.raises(ValueError, match="api_key: must") as caught:
        DiscordClient(api_key=wrong)
    assert str(wrong) not in str(caught.value)


def test_generators_are_read_once(proxy):
    numbers = count(1)
    DiscordClient().create_channel_message(1, "x", sticker_ids=(next(numbers) for _ in range(2)))
    assert list(proxy.requests("SendChannelMessage")[0].sticker_ids) == [1, 2]


@given(st.text() | st.integers() | st.binary() | st.floats())
def test_builders(value):
    judged("custom_id", lambda: builders.Button.action("label", value))
    judged("content", lambda: builders.TextDisplay(value))
    judged("text", lambda: builders.poll(value, ["a"]))
    judged("id", lambda: builders.emoji(f"name:{value}"))
    judged("users", lambda: builders.mentions(users=value))


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.text() | st.integers(), st.lists, max_leaves=4)
FACTS = ("type", "status", "code", "text", "sent", "retry_after", "request_id", "reason", "fields", "sent_message_ids")


@given(
    facts=st.dictionaries(st.sampled_from(FACTS), JSON) | JSON,
    code=st.sampled_from(grpc.StatusCode),
    http=st.booleans(),
)
def test_details_that_are_not_the_proxys(facts, code, http):
    details = json.dumps({**facts, "type": "HTTPException"} if http and isinstance(facts, dict) else facts)
    error = to_discord_proxy_exception(create_rpc_error(code=code, details=details))
    assert isinstance(error, DiscordProxyException)
    assert isinstance(str(error), str)
    assert error.sent in {"no", "yes", "unknown"}
    delay_before_retry(error, failures=1, retries=3, repeatable=True, remaining_s=None, jitter=1.0)
