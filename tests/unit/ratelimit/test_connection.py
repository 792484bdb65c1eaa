"""URLs: what is accepted, what is shown of them, and that a lost reply is never repeated silently."""

import pytest

from discordproxy_ratelimit.connection import connect, describe, is_encrypted, is_remote


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
    ],
)
def test_accepted_urls_are_shown_without_their_secrets(url: str, shown: str) -> None:
    client = connect(url)
    assert describe(url) == shown
    assert "s3cret" not in repr(describe(url))
    assert client.connection_pool.connection_kwargs["socket_timeout"] == 1.0


@pytest.mark.parametrize(
    "url",
    [
        "cache:6379",
        "http://cache",
        "redis+sentinel://s3cret@cache/name",
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
    ],
)
def test_other_urls_are_refused_and_their_secrets_stay_out_of_the_text(url: str) -> None:
    with pytest.raises(ValueError, match="Redis") as caught:
        connect(url).connection_pool.make_connection()
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in describe(url)


def test_schemes_of_valkey_mean_the_same_as_those_of_redis() -> None:
    plain, encrypted = connect("valkey://cache:7000/3"), connect("valkeys://cache")
    assert plain.connection_pool.connection_kwargs["db"] == 3
    assert "SSL" in encrypted.connection_pool.connection_class.__name__


@pytest.mark.parametrize("url", ["redis://cache", "unix:///run/x.sock", "rediss://user:pw@cache"])
def test_the_client_repeats_nothing_by_itself(url: str) -> None:
    assert connect(url).connection_pool.connection_kwargs["retry"].get_retries() == 0


def test_options_in_the_url_win() -> None:
    assert connect("redis://cache?socket_timeout=7").connection_pool.connection_kwargs["socket_timeout"] == 7.0


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
    ],
)
def test_where_the_server_is(url: str, remote_and_encrypted: tuple[bool, bool]) -> None:
    assert (is_remote(url), is_encrypted(url)) == remote_and_encrypted
