"""The generated checks accept no request that the complete validation refuses, and recognize usual ones."""

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.contract.contract import load_contract
from discordproxy_api.contract.quick_check import compile_quick_check
from discordproxy_api.contract.validation import InvalidRequestError, validate, validate_completely
from fakes.every_case import every_case
from strategies.bad_requests import BAD_REQUESTS
from strategies.examples import examples
from strategies.random_messages import messages
from strategies.valid_requests import valid_requests

CONTRACT = load_contract()
CHECKS = {name: compile_quick_check(rpc) for name, rpc in CONTRACT.items()}

LENGTHS = (1, 2, 25, 26, 32, 33, 80, 81, 100, 101, 256, 257, 512, 513, 1000, 1024, 1025, 2000, 2001, 2048, 4096, 4097)
TEXTS = st.sampled_from(
    [
        *("x" * length for length in LENGTHS),
        *("", " ", "\n", "\u2028", "\x7f", "\U0001f44d", "\U0001f44d" * 1001, "a/b", "..", "name:123", "a:name:1"),
        *("https://example.com", "HTTPS://example.com", "discord://x", "attachment://a.png", "https://", "http:// x"),
        *("2026-01-01T00:00:00+00:00", "2026-13-01", "data:image/png;base64,AAAA", "everyone", "user", "[]", "[{}]"),
    ]
)
NUMBERS = st.sampled_from([0, 1, 2, 3, 4, 11, 25, 26, 60, 100, 101, 250, 1000, 1001, 21600, 21601, 0xFFFFFF, 2**24])
IDS = NUMBERS | st.sampled_from([2**63 - 1, 2**63, 2**64 - 1])


def edges(field: FieldDescriptor) -> st.SearchStrategy | None:
    """Draw values around the limits."""
    if field.enum_type is not None:
        return None
    return {
        FieldDescriptor.TYPE_STRING: TEXTS,
        FieldDescriptor.TYPE_UINT64: IDS,
        FieldDescriptor.TYPE_INT32: NUMBERS | st.just(-1),
        FieldDescriptor.TYPE_DOUBLE: st.sampled_from([0.0, -1.0, 1e10, float("nan"), float("inf")]),
    }.get(field.type)


def is_valid(name, request) -> bool:
    try:
        validate_completely(CONTRACT[name], request)
    except InvalidRequestError:
        return False
    return True


@pytest.mark.parametrize("name", CONTRACT)
@given(data=st.data())
@examples(10)
def test_what_is_recognized_is_valid(name, data):
    request = data.draw(messages(CONTRACT[name].request, choose=edges))
    assert not CHECKS[name](request) or is_valid(name, request)


@pytest.mark.parametrize("name", CONTRACT)
@given(data=st.data())
@examples(4)
def test_one_wrong_field_is_enough(name, data):
    """A valid request, merged with a random one: most of its fields are valid."""
    request = data.draw(valid_requests(CONTRACT[name]))
    request.MergeFrom(data.draw(messages(CONTRACT[name].request, choose=edges)))
    assert not CHECKS[name](request) or is_valid(name, request)


@every_case("bad", BAD_REQUESTS, ids=str)
def test_a_bad_request_is_not_recognized(bad):
    assert not CHECKS[bad.rpc](bad.request)


EMBED = pb.Embed(
    title="title",
    description="text",
    url="https://example.com/?a=b#c",
    timestamp="2026-01-01T00:00:00Z",
    color=0xFFFFFF,
    footer=pb.Embed.Footer(text="text", icon_url="http://example.com"),
    image=pb.Embed.Image(url="https://example.com/a.png"),
    author=pb.Embed.Author(name="name"),
    fields=[pb.Embed.Field(name="name", value="value", inline=True)] * 25,
)
OPTIONS = pb.RequestOptions(priority="HIGH", max_wait=Duration(seconds=5, nanos=1), idempotency_key="key")
USUAL = {
    "GetGuild": {"guild_id": 2**63 - 1},
    "GetChannel": {"channel_id": 1, "options": OPTIONS},
    "GetGuildMember": {"guild_id": 1, "user_id": 2},
    "ListGuildMembers": {"guild_id": 1, "after": 0, "limit": 1000, "role_id": 3},
    "GetMessages": {"channel_id": 1, "limit": 100, "before": 5},
    "SendChannelMessage": {
        "channel_id": 1,
        "content": "x" * 2000,
        "embeds": [EMBED] * 10,
        "nonce": "n",
        "options": OPTIONS,
    },
    "SendDirectMessage": {"user_id": 1, "content": "x", "embed": EMBED},
    "EditMessage": {"channel_id": 1, "message_id": 2, "content": ""},
    "DeleteMessage": {"channel_id": 1, "message_id": 2, "reason": "Spam, says everybody: Zoë"},
    "AddReaction": {"channel_id": 1, "message_id": 2, "emoji": "\U0001f44d"},
    "AddMemberRole": {"guild_id": 1, "user_id": 2, "role_id": 3},
    "EditGuildMember": {"guild_id": 1, "user_id": 2, "nick": "nick", "roles": [1, 2, 3]},
    "SyncMemberRoles": {"guild_id": 1, "user_id": 2, "roles": [3]},
    "ExecuteWebhook": {"webhook_id": 1, "webhook_token": "token-_1", "content": "x", "embeds": [EMBED]},
}


@pytest.mark.parametrize("name", USUAL)
def test_usual_requests_are_recognized(name):
    request = CONTRACT[name].request_type(**USUAL[name])
    assert CHECKS[name](request)
    validate(CONTRACT[name], request)


@pytest.mark.parametrize(
    "request_",
    [
        pb.SendChannelMessageRequest(channel_id=1, content="x" * 1001, overflow="OVERFLOW_SPLIT"),
        pb.SendChannelMessageRequest(channel_id=1, files=[pb.File(filename="a.txt", content=b"x")]),
        pb.SendChannelMessageRequest(channel_id=1, content=" ", embeds=[pb.Embed(image=EMBED.image)]),
    ],
)
def test_valid_requests_that_are_not_recognized_are_accepted(request_):
    validate(CONTRACT["SendChannelMessage"], request_)
