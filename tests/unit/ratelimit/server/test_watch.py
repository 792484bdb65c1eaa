"""Findings about a server from its INFO and CONFIG."""

import pytest

from discordproxy_ratelimit.server import watch
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
        ({"maxmemory": 1000, "used_memory": 960}, "unix:///x", "its memory is full (960 of 1,000 bytes)"),
        ({"maxmemory": 1000, "used_memory": 900}, "unix:///x", ""),
        ({"maxmemory": 0, "used_memory": 900}, "unix:///x", ""),
        ({"role": "slave"}, "unix:///x", "it is a replica, which refuses writes"),
        ({"role": "slave"}, "redis+sentinel://127.0.0.1/main", ""),
        ({"role": "master"}, "unix:///x", ""),
        ({}, "redis://cache", "not encrypted"),
        ({}, "rediss://cache", ""),
        ({}, "redis://127.0.0.1", ""),
    ],
)
def test_problems(change: dict[str, object], url: str, says: str) -> None:
    found = problems_of(FIT | change, url)
    assert len(found) == bool(says)
    assert says in "".join(found)


def test_an_old_redis_and_an_old_valkey_are_distinguished() -> None:
    assert "Redis 6.2.7 is too old" in problems_of({"redis_version": "6.2.7"}, "unix:///x")[0]


async def test_a_problem_is_logged_once_and_again_after_an_outage(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While the server answers, its memory may become full, and the figures change."""
    seen: list[list[str] | Exception] = [[], ["full (10)", "old"], ["full (20)"], OSError(), ["full (30)"]]

    async def inspect(*_: object) -> tuple[str, list[str]]:
        found = seen.pop(0)
        if isinstance(found, Exception):
            raise found
        return "Valkey 9", found

    monkeypatch.setattr(watch, "inspect", inspect)
    monkeypatch.setattr(watch, "INSPECT_EVERY_S", 0.0)
    one = watch.Watch("unix:///x")
    client = watch.connect("unix:///x")
    with caplog.at_level("INFO", "broker"):
        while seen:
            await one.look(client)
    await client.aclose()
    assert [record.message.removeprefix("Redis at unix:///x") for record in caplog.records] == [
        " answers: Valkey 9",
        ": full (10)",
        ": old",
        " does not answer (OSError); start it or set DISCORDPROXY_REDIS_URL (nothing is sent meanwhile)",
        " answers: Valkey 9",
        ": full (30)",
    ]
