"""The bounds of kept responses."""

import pytest

from discordproxy_api.cached.response_cache import MAX_RESPONSE_BYTES, ResponseCache
from discordproxy_gateway.cache import Version


@pytest.fixture
def version() -> Version:
    return Version(b"HMGET...", b"1", [b"mark"], complete=True, not_after_ms=None)


def key(number: int) -> tuple[str, bytes]:
    return ("GetGuild", b"%03d" % number)


def test_the_responses_used_last_are_kept(version):
    cache = ResponseCache(max_bytes=100_000)
    for number in range(100):
        cache.put(key(number), bytes(8000), version)
        cache.get(key(0))
    kept = [number for number in range(100) if cache.get(key(number))]
    assert kept == [0, *range(91, 100)]


def test_a_response_replaces_the_earlier_one(version):
    cache = ResponseCache(max_bytes=20_000)
    for _ in range(100):
        cache.put(key(1), bytes(8000), version)
    cache.put(key(2), b"second", version)
    assert [len(cache.get(key(number)).body) for number in (1, 2)] == [8000, 6]
    cache.put(key(1), b"new", version)
    assert cache.get(key(1)).body == b"new"


def test_a_response_that_is_too_large_is_not_kept_and_ends_the_earlier_one(version):
    cache = ResponseCache()
    cache.put(key(1), b"small", version)
    cache.put(key(1), bytes(MAX_RESPONSE_BYTES + 1), version)
    assert cache.get(key(1)) is None


def test_small_responses_are_bounded_too(version):
    cache = ResponseCache(max_bytes=100_000)
    for number in range(1000):
        cache.put(("GetChannel", b"%d" % number), b"", version)
    assert sum(cache.get(("GetChannel", b"%d" % number)) is not None for number in range(1000)) < 100
