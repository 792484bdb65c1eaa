"""Selection of the environment's HTTP proxy for a URL."""

import pytest

from discordproxy_ratelimit.process.http_proxy import HttpProxyError, http_proxy_for

DISCORD, GATEWAY = "https://discord.com/api/v10", "wss://gateway.discord.gg"
PROXY = "http://proxy.example:3128"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize("url", [DISCORD, GATEWAY])
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_secure_urls_take_the_proxy_for_https(monkeypatch, name, url):
    monkeypatch.setenv(name, PROXY)
    assert str(http_proxy_for(url)) == PROXY


def test_each_scheme_has_its_own(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    assert http_proxy_for("http://discord.test") is None
    monkeypatch.setenv("HTTP_PROXY", "http://plain.example:80")
    assert str(http_proxy_for("ws://discord.test")) == "http://plain.example:80"


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8080/api", "http://127.5.5.5", "https://localhost", "http://a.localhost:1", "ws://[::1]:9"],
)
def test_loopback_never_takes_one(monkeypatch, url):
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, PROXY)
    assert http_proxy_for(url) is None


@pytest.mark.parametrize(
    ("excluded", "direct"), [("*", 2), ("discord.com", 1), (".discord.gg", 1), ("example.com", 0), ("", 0)]
)
def test_no_proxy_is_obeyed_for_each_host(monkeypatch, excluded, direct):
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", excluded)
    assert [http_proxy_for(url) for url in (DISCORD, GATEWAY)].count(None) == direct


@pytest.mark.parametrize(
    ("given", "url", "shown"),
    [
        ("http://us%40er:p%3Ass@proxy.example", "http://us%40er:p%3Ass@proxy.example:80", "http://proxy.example:80"),
        ("https://proxy.example", "https://proxy.example:443", "https://proxy.example:443"),
        ("proxy.example:3128", PROXY, PROXY),
        ("http://[2001:db8::1]:3128/", "http://[2001:db8::1]:3128", "http://[2001:db8::1]:3128"),
    ],
)
def test_credentials_are_kept_and_never_shown(monkeypatch, given, url, shown):
    monkeypatch.setenv("HTTPS_PROXY", given)
    proxy = http_proxy_for(DISCORD)
    assert (proxy.url, str(proxy)) == (url, shown)
    assert "p%3Ass" not in repr(proxy)


@pytest.mark.parametrize("given", ["socks5://proxy.example:1080", "http://", "http://proxy.example:99999"])
def test_a_proxy_that_cannot_be_used_is_named(monkeypatch, given):
    monkeypatch.setenv("HTTPS_PROXY", given)
    with pytest.raises(HttpProxyError, match="HTTPS_PROXY: "):
        http_proxy_for(DISCORD)
