"""URLs: accepted forms, and no secrets in their descriptions."""

import pytest

from discordproxy_ratelimit.redis.url import describe, is_encrypted, is_remote, parse


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://cache", "redis://cache:6379"),
        ("redis://cache:7000/3", "redis://cache:7000/3"),
        ("redis://:s3cret@cache:7000", "redis://***@cache:7000"),
        ("rediss://user:s3cret@cache/1?ssl_cert_reqs=none", "rediss://***@cache:6379/1"),
        ("valkey://s3cret@[::1]:1", "valkey://***@[::1]:1"),
        ("valkeys://user:a%2Fs3cret@cache", "valkeys://***@cache:6379"),
        ("unix:///run/x.sock?password=s3cret&db=2", "unix:///run/x.sock"),
        ("redis+sentinel://one,two:7/main", "redis+sentinel://one:26379,two:7/main"),
        ("rediss+sentinel://u:s3cret@one,[::1]:2/main/3", "rediss+sentinel://***@one:26379,[::1]:2/main/3"),
        ("redis+sentinel://one/main?sentinel_password=s3cret", "redis+sentinel://***@one:26379/main"),
        ("redis+cluster://:s3cret@one,two:7", "redis+cluster://***@one:6379,two:7"),
        ("valkeys+cluster://one", "valkeys+cluster://one:6379"),
    ],
)
def test_accepted_urls_are_shown_without_their_secrets(url: str, shown: str) -> None:
    assert describe(url) == shown
    assert "s3cret" not in repr(parse(url))


@pytest.mark.parametrize(
    "url",
    [
        "cache:6379",
        "http://cache",
        "redis://",
        "redis://:s3cret/@cache",
        "redis://:s3cret#1@cache",
        "redis://u:s3cret?x@cache",
        "redis://cache/s3cret",
        "redis://cache:s3cret",
        "unix://s3cret.sock",
        "redis://cache/0#s3cret",
        "redis://cache?socket_timeout=s3cret",
        "redis://cache?no_such_option=s3cret",
        "redis://s3cret@one,two",
        "redis+sentinel://s3cret@cache",
        "redis+sentinel://s3cret@cache/name/s3cret",
        "redis+sentinel://:s3cret@,one/name",
        "redis+cluster://:s3cret@cache/1",
        "redis+cluster://cache?no_such_option=s3cret",
        "redis+proxy://s3cret@cache",
        "unix+cluster:///s3cret.sock",
    ],
)
def test_other_urls_are_refused_and_their_secrets_stay_out_of_the_text(url: str) -> None:
    with pytest.raises(ValueError, match="Redis") as caught:
        parse(url)
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in describe(url)


@pytest.mark.parametrize(
    ("url", "remote_and_encrypted"),
    [
        ("redis://localhost", (False, False)),
        ("redis://127.0.0.5:1", (False, False)),
        ("redis://[::1]", (False, False)),
        ("unix:///x", (False, False)),
        ("valkey://cache", (True, False)),
        ("valkeys://cache", (True, True)),
        ("rediss://10.0.0.1", (True, True)),
        ("redis+sentinel://127.0.0.1,localhost/main", (False, False)),
        ("rediss+cluster://127.0.0.1,cache", (True, True)),
    ],
)
def test_where_the_server_is(url: str, remote_and_encrypted: tuple[bool, bool]) -> None:
    assert (is_remote(url), is_encrypted(url)) == remote_and_encrypted
