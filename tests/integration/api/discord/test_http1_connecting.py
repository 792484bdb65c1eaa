"""How the HTTP client reaches a server: TLS, both address families, HTTP proxies."""

import asyncio
import contextlib
import socket
import ssl

import pytest

from discordproxy_api.discord.http1.client import Http1Client, HttpOptions
from discordproxy_api.discord.http1.response import NoAnswerError
from discordproxy_ratelimit.process.http_proxy import HttpProxy
from fakes.certificates import Authority
from fakes.eventually import eventually
from fakes.http_proxy import http_proxy
from fakes.odd_server import odd_server

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


async def hello(talk):
    while True:
        await talk.request()
        await talk.send(HELLO)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def tls_of(authority, name="localhost"):
    """What a server needs to show a certificate for `name`."""
    pair = authority.issue(name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    return context


def trusting(authority):
    return ssl.create_default_context(cafile=authority.path)


@contextlib.asynccontextmanager
async def client_of(url, **options):
    async with Http1Client(HttpOptions(url, "test", **options)) as client:
        yield client


async def get(client, writes=None):
    writes = [] if writes is None else writes
    return await client.exchange("GET", "/x", {}, before_write=lambda: writes.append(1)).response()


def proxy_at(port, credentials="", scheme="http"):
    return HttpProxy(f"{scheme}://{credentials}localhost:{port}", f"{scheme}://localhost:{port}")


def tunnel(to_port, answer=ESTABLISHED):
    """Return a talk of an HTTP proxy that leads everything to a port of this machine."""

    async def talk(conversation):
        conversation.requests.append(await conversation.reader.readuntil(b"\r\n\r\n"))
        there, onward = await asyncio.open_connection("127.0.0.1", to_port)
        await conversation.send(*answer if isinstance(answer, list) else [answer])
        pumps = [
            asyncio.create_task(pump(*ends)) for ends in ((conversation.reader, onward), (there, conversation.writer))
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            onward.close()
            for each in pumps:
                each.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    return talk


async def pump(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def test_tls_names_the_host_and_keeps_its_connection(authority):
    tls, named = tls_of(authority), []
    tls.sni_callback = lambda _socket, name, _context: named.append(name)
    async with (
        odd_server(hello, tls=tls) as server,
        client_of(f"https://localhost:{server.port}", ssl_context=trusting(authority)) as client,
    ):
        for _ in range(5):
            assert (await get(client)).body == b"hello"
        assert (named, server.connections) == (["localhost"], 1)


async def test_without_an_own_context_the_machine_s_authorities_are_trusted(authority, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    async with (
        odd_server(hello, tls=tls_of(authority)) as server,
        client_of(f"https://localhost:{server.port}") as client,
    ):
        assert (await get(client)).body == b"hello"


async def test_an_address_needs_a_certificate_for_itself(authority):
    async with odd_server(hello, tls=tls_of(authority, "127.0.0.1")) as server:
        async with client_of(f"https://127.0.0.1:{server.port}", ssl_context=trusting(authority)) as client:
            assert (await get(client)).body == b"hello"
        async with client_of(f"https://localhost:{server.port}", ssl_context=trusting(authority)) as client:
            with pytest.raises(NoAnswerError, match=r"certificate refused: Hostname mismatch"):
                await get(client)


@pytest.mark.parametrize("own", [True, False])
async def test_a_server_that_cannot_prove_who_it_is_gets_nothing(authority, tmp_path, own):
    stranger = Authority(tmp_path, "stranger")
    tls = tls_of(authority, "discord.test") if own else tls_of(stranger)
    writes = []
    async with (
        odd_server(hello, tls=tls) as server,
        client_of(f"https://localhost:{server.port}", ssl_context=trusting(authority)) as client,
    ):
        with pytest.raises(NoAnswerError, match="certificate refused"):
            await get(client, writes)
        assert (writes, server.requests, client._pool._slots) == ([], [], 512)


async def test_plain_http_where_tls_is_expected(authority):
    async def plain(talk):
        await talk.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await talk.gone()

    writes = []
    async with odd_server(plain) as server, client_of(f"https://localhost:{server.port}") as client:
        with pytest.raises(NoAnswerError):
            await get(client, writes)
        assert writes == []


async def test_a_handshake_that_stalls_ends_with_the_connect_timeout():
    async def stalling(talk):
        await talk.gone()

    writes = []
    async with (
        odd_server(stalling) as server,
        client_of(f"https://localhost:{server.port}", connect_timeout_s=0.1) as client,
    ):
        with pytest.raises(NoAnswerError, match="no connection in time"):
            await get(client, writes)
        assert (writes, client._pool._slots) == ([], 512)
        await eventually(lambda: server.open == 0)


async def test_cancelled_within_the_handshake_nothing_is_left():
    async def stalling(talk):
        await talk.gone()

    async with odd_server(stalling) as server, client_of(f"https://localhost:{server.port}") as client:
        request = asyncio.create_task(get(client))
        await eventually(lambda: server.open == 1)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await eventually(lambda: server.open == 0)
        assert client._pool._slots == 512


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_tls_that_ends_while_idle_is_not_used(authority, end):
    async def short(talk):
        await talk.request()
        await talk.send(HELLO)
        getattr(talk, end)()

    async with (
        odd_server(short, tls=tls_of(authority)) as server,
        client_of(f"https://localhost:{server.port}", ssl_context=trusting(authority)) as client,
    ):
        for _ in range(5):
            assert (await get(client)).body == b"hello"
            [idle] = client._pool._idle
            await eventually(lambda idle=idle: not idle.is_alive())
        assert server.connections == 5


async def test_a_connection_of_tls_with_half_a_request_is_not_used_again(authority):
    """The next request would follow the rest of the former one, which the server does not read."""

    async def early(talk):
        talk.requests.append(await talk.reader.readuntil(b"\r\n\r\n"))
        await talk.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
        await answered.wait()

    answered = asyncio.Event()
    async with (
        odd_server(early, tls=tls_of(authority)) as server,
        client_of(f"https://localhost:{server.port}", ssl_context=trusting(authority)) as client,
    ):
        assert (await client.exchange("POST", "/x", {}, [bytes(20_000_000)]).response()).status == 413
        assert (await get(client)).status == 413
        assert [request[:6] for request in server.requests] == [b"POST /", b"GET /x"]
        assert server.connections == 2
        answered.set()


async def test_a_large_request_arrives_whole_with_tls(authority):
    pieces = [bytes(range(256)) * 9_000, b"", b"x", bytes(range(255)) * 20_000]
    async with (
        odd_server(hello, tls=tls_of(authority)) as server,
        client_of(f"https://localhost:{server.port}", ssl_context=trusting(authority)) as client,
    ):
        assert (await client.exchange("POST", "/x", {}, pieces).response()).body == b"hello"
        assert server.requests[0].endswith(b"\r\n\r\n" + b"".join(pieces))
        assert (await get(client)).body == b"hello"
        assert server.connections == 1


async def test_tls_that_breaks_within_an_answer(authority):
    async def short(talk):
        await talk.request()
        await talk.send(HELLO[:-2])
        talk.close()

    async with (
        odd_server(short, tls=tls_of(authority)) as server,
        client_of(f"https://localhost:{server.port}", ssl_context=trusting(authority)) as client,
    ):
        assert (await get(client)).cut == "lost"


def has_ipv6():
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="NOT TESTED: this machine has no IPv6")


def resolving(monkeypatch, *addresses):
    calls = []

    def resolve(*call, **_kind):
        calls.append(call)
        families = (socket.AF_INET6 if ":" in host else socket.AF_INET for host, _ in addresses)
        return [
            (family, socket.SOCK_STREAM, 6, "", address if family == socket.AF_INET else (*address, 0, 0))
            for family, address in zip(families, addresses, strict=True)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return calls


@needs_ipv6
@pytest.mark.parametrize("first", ["::1", "127.0.0.1"])
async def test_one_address_family_that_refuses_does_not_matter(monkeypatch, unused_port, first):
    second = "127.0.0.1" if first == "::1" else "::1"
    async with odd_server(hello, host=second) as server:
        resolving(monkeypatch, (first, unused_port), (second, server.port))
        async with client_of("http://discord.test") as client:
            assert (await get(client)).body == b"hello"


@needs_ipv6
async def test_one_address_family_that_swallows_everything_does_not_matter(monkeypatch):
    with (
        contextlib.ExitStack() as stack,
        socket.create_server(("::1", 0), family=socket.AF_INET6, backlog=0) as deaf,
    ):
        for _ in range(4):  # until nothing more is taken in
            full = stack.enter_context(socket.socket(socket.AF_INET6))
            full.settimeout(0)
            full.connect_ex(deaf.getsockname())
        async with odd_server(hello) as server:
            resolving(monkeypatch, deaf.getsockname()[:2], ("127.0.0.1", server.port))
            async with client_of("http://discord.test", connect_timeout_s=60) as client:
                assert (await get(client)).body == b"hello"


@needs_ipv6
async def test_an_address_of_ipv6_is_reached():
    async with odd_server(hello, host="::1") as server, client_of(f"http://[::1]:{server.port}/api") as client:
        assert (await get(client)).body == b"hello"
        assert b"\r\nHost: [::1]:%d\r\n" % server.port in server.requests[0]


async def test_when_every_address_refuses_nothing_was_sent(monkeypatch, unused_port):
    resolving(monkeypatch, ("127.0.0.1", unused_port), ("127.0.0.2", unused_port))
    async with client_of("http://discord.test") as client:
        writes = []
        with pytest.raises(NoAnswerError):
            await get(client, writes)
        assert writes == []


async def test_requests_that_come_together_resolve_the_name_once(monkeypatch):
    async with odd_server(hello) as server, client_of("http://discord.test") as client:
        calls = resolving(monkeypatch, ("127.0.0.1", server.port))
        await asyncio.gather(*(get(client) for _ in range(20)))
        assert (server.connections, calls) == (20, [("discord.test", 80)])
        client._dialer._lookup_expires_at = 0.0
        await asyncio.gather(*(get(client) for _ in range(21)))
        assert len(calls) == 2


async def test_a_name_is_resolved_anew_after_a_failure(monkeypatch, unused_port):
    calls = resolving(monkeypatch, ("127.0.0.1", unused_port))
    async with client_of("http://discord.test") as client:
        for count in (1, 2):
            with pytest.raises(NoAnswerError):
                await get(client)
            assert len(calls) == count


async def test_plain_http_passes_through_a_proxy():
    async with odd_server(hello) as server, http_proxy(server.port) as proxy:
        async with client_of("http://discord.test/api", http_proxy=proxy_at(proxy.port, "us:pw@")) as client:
            assert (await get(client)).body == b"hello"
        [head] = proxy.heads
        assert head.startswith("GET http://discord.test/api/x HTTP/1.1\r\nHost: discord.test\r\n")
        assert "\r\nProxy-Authorization: Basic dXM6cHc=\r\n" in head


async def test_what_a_proxy_answers_to_plain_http_is_the_answer():
    async def refusing(talk):
        await talk.request()
        await talk.send(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        await talk.gone()

    async with (
        odd_server(refusing) as proxy,
        client_of("http://discord.test", http_proxy=proxy_at(proxy.port)) as client,
    ):
        assert (await get(client)).status == 407


@pytest.mark.parametrize(
    "answer",
    [
        ESTABLISHED,
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",  # RFC 9110: to be ignored
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 ", b"OK\r\nVia: x\r\n", b"\r\n"],
    ],
)
async def test_tls_passes_through_the_tunnel_of_a_proxy(authority, answer):
    async with (
        odd_server(hello, tls=tls_of(authority, "discord.test")) as server,
        odd_server(tunnel(server.port, answer)) as proxy,
        client_of(
            "https://discord.test:444/api",
            http_proxy=proxy_at(proxy.port, "us:pw@"),
            ssl_context=trusting(authority),
        ) as client,
    ):
        writes = []
        for _ in range(3):
            assert (await get(client, writes)).body == b"hello"
        assert (proxy.connections, server.connections, len(writes)) == (1, 1, 3)
        head = b"CONNECT discord.test:444 HTTP/1.1\r\nHost: discord.test:444\r\n"
        assert proxy.requests == [head + b"Proxy-Authorization: Basic dXM6cHc=\r\n\r\n"]
        assert server.requests[0].startswith(b"GET /api/x HTTP/1.1\r\nHost: discord.test:444\r\n")
        assert b"Proxy" not in server.requests[0]


async def test_an_ipv6_origin_behind_a_proxy(authority):
    async with (
        odd_server(hello, tls=tls_of(authority, "::1")) as server,
        odd_server(tunnel(server.port)) as proxy,
        client_of("https://[::1]:444", http_proxy=proxy_at(proxy.port), ssl_context=trusting(authority)) as client,
    ):
        assert (await get(client)).body == b"hello"
        assert proxy.requests == [b"CONNECT [::1]:444 HTTP/1.1\r\nHost: [::1]:444\r\n\r\n"]


async def test_a_proxy_that_is_reached_with_tls(authority):
    async with (
        odd_server(hello, tls=tls_of(authority, "discord.test")) as server,
        odd_server(tunnel(server.port), tls=tls_of(authority)) as proxy,
        client_of(
            "https://discord.test", http_proxy=proxy_at(proxy.port, scheme="https"), ssl_context=trusting(authority)
        ) as client,
    ):
        for _ in range(3):
            assert (await get(client)).body == b"hello"
        body = bytes(range(256)) * 20_000
        assert (await client.exchange("POST", "/x", {}, [body, body]).response()).body == b"hello"
        assert server.requests[-1].endswith(b"\r\n\r\n" + body + body)
        assert (await get(client)).body == b"hello"
        assert server.connections == 1


async def test_the_certificate_behind_a_proxy_is_the_origin_s(authority):
    async with (
        odd_server(hello, tls=tls_of(authority)) as server,
        odd_server(tunnel(server.port)) as proxy,
        client_of("https://discord.test", http_proxy=proxy_at(proxy.port), ssl_context=trusting(authority)) as client,
    ):
        with pytest.raises(NoAnswerError, match="certificate refused: Hostname mismatch"):
            await get(client)
        assert (server.requests, client._pool._slots) == ([], 512)
        await eventually(lambda: proxy.open == 0)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno", "the HTTP proxy answered 407"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "the HTTP proxy answered 503"),
        (b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", "the HTTP proxy answered 302"),
        (b"", "connection closed"),
        (b"HTTP/1.1 200 O", "connection closed"),
        (b"SSH-2.0-x\r\n", "."),
        (ESTABLISHED, "."),  # and closes
        (ESTABLISHED + b"garbage", "."),
    ],
)
async def test_a_proxy_that_does_not_lead_there_sends_nothing(answer, why):
    async def refusing(talk):
        await talk.request()
        await talk.send(answer)

    writes = []
    async with (
        odd_server(refusing) as proxy,
        client_of("https://discord.test", http_proxy=proxy_at(proxy.port, "us:canary@")) as client,
    ):
        with pytest.raises(NoAnswerError, match=why) as failed:
            await get(client, writes)
        assert (writes, client._pool._slots, "canary" in repr(failed.value)) == ([], 512, False)
        await eventually(lambda: proxy.open == 0)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 100 Continue\r\n\r\n", ESTABLISHED])
async def test_a_proxy_that_stalls_ends_with_the_connect_timeout(answer):
    async def stalling(talk):
        await talk.request()
        await talk.send(answer)
        await talk.gone()

    async with (
        odd_server(stalling) as proxy,
        client_of("https://discord.test", http_proxy=proxy_at(proxy.port), connect_timeout_s=0.1) as client,
    ):
        writes = []
        with pytest.raises(NoAnswerError, match="no connection in time"):
            await get(client, writes)
        assert (writes, client._pool._slots) == ([], 512)
        await eventually(lambda: proxy.open == 0)


async def test_a_proxy_that_is_away(unused_port):
    async with client_of("https://discord.test", http_proxy=proxy_at(unused_port)) as client:
        with pytest.raises(NoAnswerError):
            await get(client)
