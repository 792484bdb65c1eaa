"""Requests as they go out: what a server reads is what was meant, or nothing is sent."""

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discordproxy_api.discord.http1.client import Http1Client, HttpOptions
from discordproxy_ratelimit.process.http_proxy import HttpProxy

OPTIONS = HttpOptions("http://discord.test:8080/api/v10", "DiscordBot (test)")
CLIENT = Http1Client(OPTIONS)
FIXED = {
    b"Host": b"discord.test:8080",
    b"User-Agent": b"DiscordBot (test)",
    b"Accept": b"*/*",
    b"Accept-Encoding": b"gzip, deflate",
}
printable = st.characters(codec="utf-8", exclude_categories=("Cc",))


class Server:
    """What a server reads of a request."""

    def __init__(self):
        self.url, self.headers, self.body, self.complete = b"", [], b"", 0

    def on_url(self, url):
        self.url += url

    def on_header(self, name, value):
        self.headers.append((name, value))

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        self.complete += 1


def read(request):
    server = Server()
    parser = httptools.HttpRequestParser(server)
    parser.feed_data(request)
    assert server.complete == 1
    return server, parser.get_method()


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]),
    target=st.text("abcXYZ019-._~%!$&'()*+,;=:@/?", max_size=40),
    fields=st.dictionaries(
        st.sampled_from(["Authorization", "X-Audit-Log-Reason", "Content-Type"]), st.text(printable)
    ),
    body=st.none() | st.binary(max_size=200),
)
def test_a_server_reads_what_was_meant(method, target, fields, body):
    seen, read_method = read(CLIENT._encoded(method, f"/{target}", fields, body))
    sent = FIXED | {name.encode(): value.strip(" ").encode() for name, value in fields.items()}
    if body is not None or method not in {"GET", "HEAD", "OPTIONS"}:
        sent[b"Content-Length"] = str(len(body or b"")).encode()
    got = {name: value.strip(b" ") for name, value in seen.headers}
    assert (read_method, seen.url, seen.body) == (method.encode(), f"/api/v10/{target}".encode(), body or b"")
    assert (got, len(seen.headers)) == (sent, len(sent))


@given(
    place=st.sampled_from(["method", "target", "name", "value"]),
    before=st.text(printable, max_size=10),
    evil=st.sampled_from(["\r\n", "\r", "\n", "\0", "\r\nX: y\r\n\r\nGET / HTTP/1.1\r\n", "\n\r"]),
    after=st.text(printable, max_size=10),
)
def test_no_line_is_smuggled_in(place, before, evil, after):
    parts = {"method": "GET", "target": "/x", "name": "Authorization", "value": "Bot canary"}
    parts[place] = before + evil + after
    with pytest.raises(ValueError, match="line break") as refused:
        CLIENT._encoded(parts["method"], parts["target"], {parts["name"]: parts["value"]}, None)
    assert "canary" not in repr(refused.value)


@pytest.mark.parametrize(
    ("method", "target"), [("GET /x", "/y"), ("GET", "/a b"), ("GET", "/a HTTP/1.1"), ("G T", "/")]
)
def test_the_first_line_has_three_words(method, target):
    with pytest.raises(ValueError, match="blank"):
        CLIENT._encoded(method, target, {}, None)


def test_half_a_surrogate_pair_is_refused_without_showing_the_request():
    with pytest.raises(ValueError, match="surrogate") as refused:
        CLIENT._encoded("GET", "/", {"Authorization": "Bot canary \ud800"}, None)
    assert not isinstance(refused.value, UnicodeError)
    assert "canary" not in repr(refused.value)
    assert refused.value.__suppress_context__


def test_a_user_agent_with_a_line_break_is_refused_with_the_first_request():
    client = Http1Client(HttpOptions("http://discord.test", "x\r\nX: y"))
    with pytest.raises(ValueError, match="line break"):
        client._encoded("GET", "/", {}, None)


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        ("http://discord.test", "discord.test", "/x"),
        ("http://discord.test:80/", "discord.test", "/x"),
        ("https://discord.test:443/api/v10/", "discord.test", "/api/v10/x"),
        ("https://discord.test:8443/api", "discord.test:8443", "/api/x"),
        ("http://[::1]:8080/api", "[::1]:8080", "/api/x"),
        ("http://bücher.test/%C3%BC", "xn--bcher-kva.test", "/%C3%BC/x"),
    ],
)
def test_host_and_target(url, host, target):
    seen, _ = read(Http1Client(HttpOptions(url, "x"))._encoded("GET", "/x", {}, None))
    assert (dict(seen.headers)[b"Host"].decode(), seen.url.decode()) == (host, target)


@pytest.mark.parametrize("url", ["discord.test", "ftp://discord.test", "http://", "unix:///x", ""])
def test_other_urls_are_refused(url):
    with pytest.raises(ValueError, match="URL"):
        Http1Client(HttpOptions(url, "x"))


def test_through_a_proxy_plain_http_names_the_origin_and_carries_the_credentials():
    proxy = HttpProxy("http://us%40er:p%3Aw@proxy.test:3128", "http://proxy.test:3128")
    client = Http1Client(HttpOptions("http://discord.test/api", "x", http_proxy=proxy))
    seen, _ = read(client._encoded("GET", "/x", {}, None))
    assert seen.url == b"http://discord.test/api/x"
    assert dict(seen.headers)[b"Proxy-Authorization"] == b"Basic dXNAZXI6cDp3"


def test_the_origin_never_sees_the_credentials_for_a_tunnel():
    proxy = HttpProxy("http://us:pw@proxy.test:3128", "http://proxy.test:3128")
    client = Http1Client(HttpOptions("https://discord.test/api", "x", http_proxy=proxy))
    seen, _ = read(client._encoded("GET", "/x", {}, None))
    assert seen.url == b"/api/x"
    assert b"Proxy-Authorization" not in dict(seen.headers)
    assert "pw" not in repr(client._options)
