"""Compressed requests: their size is known before decompression, and it is enforced."""

import gzip
import zlib

import pytest

from discordproxy.discord_api_pb2 import SendChannelMessageRequest
from discordproxy_api.pipeline.receiving.gzipped import GzipError, inflate, inflated_size, is_gzip

TEXT = b"all work and no play " * 500
PACKED = gzip.compress(TEXT)


def _compressed(data: bytes, claimed: int) -> bytes:
    return gzip.compress(data)[:-4] + claimed.to_bytes(4, "little")


def test_the_size_is_known_without_decompression():
    assert inflated_size(PACKED) == len(TEXT)
    assert inflate(PACKED, len(TEXT)) == TEXT
    assert inflated_size(gzip.compress(b"")) == 0
    assert inflate(gzip.compress(b""), 0) == b""


@pytest.mark.parametrize("data", [b"", b"\x1f", b"\x1f\x8b", b"\x1f\x8b\x08", TEXT, bytes(50)])
def test_other_data_has_its_own_size(data):
    assert inflated_size(data) == len(data)
    assert not is_gzip(data)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (_compressed(TEXT, 10), 10),
        (_compressed(TEXT, len(TEXT) + 1), len(TEXT) + 1),
        (PACKED + b"more", len(TEXT)),
        (PACKED + PACKED, len(TEXT)),
        (PACKED[:-10], len(TEXT)),
        (PACKED[:20] + bytes(20) + PACKED[40:], len(TEXT)),
        (b"\x1f\x8b" + bytes(30), 0),
    ],
    ids=["larger", "smaller", "trailing bytes", "two members", "cut", "damaged", "no gzip at all"],
)
def test_data_of_another_size_is_refused(data, size):
    with pytest.raises(GzipError):
        inflate(data, size)


def test_a_bomb_uses_no_more_memory_than_it_states():
    bomb = _compressed(bytes(32 * 1024 * 1024), 100)
    stream = zlib.decompressobj(31)
    assert len(stream.decompress(bomb, 101)) == 101
    with pytest.raises(GzipError):
        inflate(bomb, inflated_size(bomb))


def test_no_protobuf_message_begins_like_gzip():
    with pytest.raises(Exception, match="Error parsing"):
        SendChannelMessageRequest.FromString(b"\x1f\x8b" + bytes(30))
