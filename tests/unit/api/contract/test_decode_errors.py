"""Unreadable bytes are answered with the field that is wrong."""

import pytest

from discordproxy.discord_api_pb2 import SendChannelMessageRequest
from discordproxy_api.contract.decode_errors import locate

GOOD = SendChannelMessageRequest(channel_id=1, content="x").SerializeToString()


def field(number, payload):
    return bytes([number << 3 | 2, len(payload)]) + payload


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def nested(depth):
    """Components inside each other."""
    data = b""
    for level in reversed(range(depth)):
        data = varint((3 if level else 7) << 3 | 2) + varint(len(data)) + data
    return data


@pytest.mark.parametrize(
    ("data", "path", "code"),
    [
        (field(2, b"\xff\xfe"), "content", "INVALID_UTF8"),
        (GOOD + field(4, field(1, b"fine")) + field(4, field(3, b"\xc3\x28")), "embeds[1].description", "INVALID_UTF8"),
        (field(3, field(13, field(1, b"\x80"))), "embed.fields[0].name", "INVALID_UTF8"),
        (field(2, b"abc")[:-1], "", "MALFORMED_BYTES"),
        (field(4, b"\x0a\x09x"), "embeds[0]", "MALFORMED_BYTES"),
        (b"\x08", "", "MALFORMED_BYTES"),
        (b"\x08" + b"\xff" * 11, "", "MALFORMED_BYTES"),
        (b"\x0f", "", "MALFORMED_BYTES"),
        (b"\x00\x00", "", "MALFORMED_BYTES"),
        (b"\x09\x00", "", "MALFORMED_BYTES"),
        (GOOD, "", "MALFORMED_BYTES"),
    ],
)
def test_the_first_bad_field_is_named(data, path, code):
    found = locate(SendChannelMessageRequest.DESCRIPTOR, data)
    assert (found.path, found.code) == (path, code)


def test_deep_nesting_ends_the_walk():
    assert locate(SendChannelMessageRequest.DESCRIPTOR, nested(200)).code == "TOO_DEEP"


def test_a_huge_message_is_not_walked_to_its_end():
    data = field(2, b"x") * 1_000_000 + field(2, b"\xff")
    assert locate(SendChannelMessageRequest.DESCRIPTOR, data).code == "MALFORMED_BYTES"
