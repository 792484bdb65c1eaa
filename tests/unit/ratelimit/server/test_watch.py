"""Findings about a server from its INFO and CONFIG."""

import pytest

from discordproxy_ratelimit.server.watch import problems_of, version_of

FIT = {"redis_version": "7.2.4", "valkey_version": "9.1.2", "maxmemory_policy": "noeviction"}


def test_valkeys_own_version_counts() -> None:
    assert version_of(FIT) == ("Valkey", (9, 1), "9.1.2")
    assert version_of({"redis_version": "7.0.15"}) == ("Redis", (7, 0), "7.0.15")
    assert version_of({"redis_version": "8"}) == ("Redis", (8, 0), "8")


@pytest.mark.parametrize(
    ("change", "url", "says"),
    [
        ({"valkey_version": "7.1.0"}, "unix:///x", "Valkey 7.1.0 is too old"),
        ({"valkey_version": "10.0.0"}, "unix:///x", ""),
        ({"maxmemory_policy": "allkeys-lru"}, "unix:///x", "maxmemory-policy is allkeys-lru"),
        ({}, "redis://cache", "not encrypted"),
        ({}, "rediss://cache", ""),
        ({}, "redis://127.0.0.1", ""),
    ],
)
def test_problems(change: dict[str, str], url: str, says: str) -> None:
    found = problems_of(FIT | change, url)
    assert len(found) == bool(says)
    assert says in "".join(found)


def test_an_old_redis_is_told_apart_from_an_old_valkey() -> None:
    assert "Redis 6.2.7 is too old" in problems_of({"redis_version": "6.2.7"}, "unix:///x")[0]
