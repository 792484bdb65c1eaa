"""One diagnosis per cause, in the words of a person; and where an HTTP proxy of the environment is used."""

import socket
import threading
from concurrent import futures
from datetime import datetime, timezone

import grpc
import pytest

from discordproxy._cli import main
from discordproxy._grpc.connection_errors import connection_problem, http_proxy_for, only_local
from discordproxy.aio import AsyncDiscordClient
from discordproxy.client import DiscordClient, DiscordProxyGrpcError
from discordproxy.tests.helpers import NoSocketsTestCase
from fakes.certificates import Authority
from fakes.scripted_proxy import scripted_proxy

VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_http_proxy(monkeypatch):
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def serving(pair, trusted=None):
    keys = [(pair.key.read_bytes(), pair.cert.read_bytes())]
    ca = trusted and trusted.path.read_bytes()
    return scripted_proxy("127.0.0.1:0", credentials=grpc.ssl_server_credentials(keys, ca, trusted is not None))


def hint_of(target, **arguments):
    with (
        DiscordClient(target, timeout=20, retries=0, **arguments) as client,
        pytest.raises(DiscordProxyGrpcError) as failed,
    ):
        client.get_guild_channels(1)
    assert failed.value.sent == "no"
    assert failed.value.hint in str(failed.value)
    return failed.value.hint


def test_tls_with_the_wrong_authority(authority, tmp_path):
    other = Authority(tmp_path, "other")
    with serving(authority.issue("127.0.0.1")) as proxy:
        for tls in (True, other.path):
            assert hint_of(proxy.address, tls=tls).startswith(
                f"The server at {proxy.address} responds, but TLS failed: the proxy's certificate is not trusted ("
            )
            assert "DISCORDPROXY_CA" in hint_of(proxy.address, tls=tls)


async def test_asyncio_says_the_same(authority):
    with serving(authority.issue("127.0.0.1")) as proxy:
        async with AsyncDiscordClient(proxy.address, timeout=20, retries=0, tls=True) as client:
            with pytest.raises(DiscordProxyGrpcError, match="but TLS failed: the proxy's certificate is not trusted"):
                await client.get_guild_channels(1)


def test_tls_with_another_name(authority):
    with serving(authority.issue("elsewhere.test")) as proxy:
        assert "TLS failed: the proxy's certificate is for another name" in hint_of(proxy.address, tls=authority.path)


def test_tls_with_an_old_certificate(authority):
    old = authority.issue("127.0.0.1", until=datetime(2021, 1, 1, tzinfo=timezone.utc))
    with serving(old) as proxy:
        assert "TLS failed: the proxy's certificate has expired" in hint_of(proxy.address, tls=authority.path)


def test_tls_on_one_side_only(authority):
    with serving(authority.issue("127.0.0.1")) as proxy:
        assert "closes the connection: it may require TLS" in hint_of(proxy.address)
    with scripted_proxy() as proxy:
        assert "TLS failed: the server does not use TLS" in hint_of(proxy.address, tls=authority.path)


def test_tls_without_the_certificate_that_is_asked_for(authority):
    with serving(authority.issue("127.0.0.1"), trusted=authority) as proxy:
        assert "it may require a client certificate" in hint_of(proxy.address, tls=authority.path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read"),
        (b"no PEM", "no certificate in the PEM"),
        (b"-----BEGIN CERTIFICATE REQUEST-----", "no certificate in the PEM"),
        (b"-----BEGIN PRIVATE KEY-----", "no certificate in the PEM"),
    ],
)
def test_files_of_certificates_that_are_none(tmp_path, content, words):
    if content:
        (tmp_path / "ca.pem").write_bytes(content)
    with (
        DiscordClient("127.0.0.1:1", tls=tmp_path / "ca.pem") as client,
        pytest.raises(ValueError, match=f"tls: .*{words}"),
    ):
        client.get_guild_channels(1)


def test_a_proxy_that_is_older_than_the_client():
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with pytest.raises(DiscordProxyGrpcError, match="upgrade the proxy, which is older than this client") as old:
            DiscordClient(f"127.0.0.1:{port}").create_channel_message(1, "x")
        assert (old.value.status, old.value.sent) == (grpc.StatusCode.UNIMPLEMENTED, "no")
    finally:
        server.stop(0)


@pytest.mark.parametrize("scheme", ["http", "https", "grpc", "grpcs", "tcp"])
def test_a_target_with_a_scheme(scheme):
    with pytest.raises(ValueError, match=r"target: .* must not have a scheme: use proxy.test:50051$"):
        DiscordClient(f"{scheme}://proxy.test:50051/path")
    with pytest.raises(ValueError, match="target: ',' contains no address"):
        DiscordClient(",")
    with pytest.raises(ValueError, match="must not have a scheme"):
        DiscordClient(["127.0.0.1:1", f"{scheme}://127.0.0.1:2"])


@pytest.mark.parametrize(
    "target", ["dns:///x:1", "dns://1.1.1.1/x:1", "unix:///run/x", "ipv4:1.2.3.4:5", "::1", "[::1]:5"]
)
def test_other_targets_pass(target):
    assert DiscordClient(target).target == target


def test_a_port_that_does_not_exist():
    with pytest.raises(ValueError, match="port above 65535"):
        DiscordClient("127.0.0.1:99999")


def test_a_server_of_http_1():
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        port = listening.getsockname()[1]
        assert hint_of(f"127.0.0.1:{port}").startswith(f"An HTTP/1 server responds at 127.0.0.1:{port}")
        thread.join(20)


@pytest.mark.parametrize(("tls", "wanted"), [(False, "it may require TLS"), (True, "a client certificate")])
def test_an_error_of_another_address_does_not_hide_who_answers(tls, wanted):
    refused = "failed to connect to all addresses; last error: UNKNOWN: ipv6:%5B::1%5D:7: Connection refused"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert wanted in connection_problem(f"localhost:{port}", refused, tls=tls).text
        assert wanted in connection_problem(f"dns:///localhost:{port}", refused, tls=tls).text
    assert connection_problem(f"localhost:{port}", refused, tls=tls).text == f"No server responds at localhost:{port}"


def test_applications_that_forbid_sockets_get_the_error(monkeypatch):
    monkeypatch.setattr(socket, "socket", NoSocketsTestCase.guard)
    assert connection_problem("localhost:7", "failed to connect", tls=False).text == "No server responds at localhost:7"


def test_nobody(tmp_path):
    assert hint_of("127.0.0.1:1").startswith("No server responds at 127.0.0.1:1. Start the proxy")
    assert hint_of(f"unix:{tmp_path}/none").startswith(f"No server responds at unix:{tmp_path}/none.")


@pytest.mark.parametrize(
    ("target", "details", "text"),
    [
        ("proxy.test:1", "errors resolving proxy.test:1: [...]", "The host name in proxy.test:1 cannot be resolved"),
        (
            "proxy.test:1",
            "DNS resolution failed for proxy.test:1: C-ares",
            "The host name in proxy.test:1 cannot be resolved",
        ),
        ("proxy.test", "failed to connect to all addresses", "(port 443, because the target has no port)"),
        ("[::1]", "failed to connect to all addresses", "(port 443, because the target has no port)"),
        ("[::1]:7", "failed to connect to all addresses", "No server responds at [::1]:7"),
        (
            "proxy.test:1",
            "failed to connect to all addresses; last error: UNKNOWN: Ssl handshake failed: SSL_ERROR_SSL: odd: OK",
            "but TLS failed: odd",
        ),
    ],
)
def test_words_of_grpc(target, details, text):
    assert connection_problem(target, details, tls=False).text.endswith(text)


def test_commands_say_it_too(authority, capsys, monkeypatch):
    with serving(authority.issue("127.0.0.1")) as proxy:
        for arguments in (["status"], ["message", "channel", "1", "x"]):
            with pytest.raises(SystemExit) as ended:
                main.main([*arguments, "--target", proxy.address])
            assert (ended.value.code, "it may require TLS" in capsys.readouterr().err) == (3, True)


@pytest.mark.parametrize("variable", ["grpc_proxy", "https_proxy", "http_proxy"])
async def test_the_http_proxy_is_not_used_within_the_machine(monkeypatch, tmp_path, variable):
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    with scripted_proxy() as one, scripted_proxy(f"unix:{tmp_path}/proxy.sock") as other:
        port = one.address.rpartition(":")[2]
        for target in (one.address, f"localhost:{port}", f"dns:///localhost:{port}", other.address):
            with DiscordClient(target, timeout=20) as client:
                client.get_guild_channels(1)
            async with AsyncDiscordClient(target, timeout=20) as client:
                await client.get_guild_channels(1)
        with DiscordClient([one.address, f"localhost:{port}"], timeout=20) as client:
            client.get_guild_channels(1)


def test_elsewhere_the_error_names_the_http_proxy(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://user:secret@127.0.0.1:1/")
    hint = hint_of("192.0.2.1:50051")
    assert hint.startswith(
        "192.0.2.1:50051 cannot be reached through the HTTP proxy 127.0.0.1:1, "
        "which the environment variable http_proxy sets. "
        "Add the host to no_proxy"
    )
    assert "secret" not in hint


@pytest.mark.parametrize(
    ("target", "excepted", "used"),
    [
        ("proxy.test:1", "", True),
        ("proxy.test:1", "other.test", True),
        ("proxy.test:1", "other.test, .test", False),
        ("PROXY.test:1", "proxy.TEST", False),
        ("192.0.2.1:1", "192.0.2.0/24", False),
        ("192.0.2.1:1,198.51.100.1:1", "198.51.100.1", False),
        ("[2001:db8::1]:1", "2001:db8::/32", False),
        ("dns://192.0.2.9/proxy.test:1", "proxy.test", False),
        ("127.0.0.1:1", "", False),
    ],
)
def test_no_proxy_is_honoured(monkeypatch, target, excepted, used):
    monkeypatch.setenv("https_proxy", "http://between.test:3128")
    monkeypatch.setenv("no_proxy", excepted)
    assert (http_proxy_for(target) is not None) is used


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("http://between.test:3128", "between.test:3128"),
        ("http://user:secret@between.test:3128/", "between.test:3128"),
        ("between.test:3128", None),
        ("https://between.test:3128", None),
        ("socks5://between.test:1080", None),
        ("", None),
    ],
)
def test_grpc_uses_http_proxies_only(monkeypatch, value, address):
    monkeypatch.setenv("https_proxy", value)
    found = http_proxy_for("proxy.test:1")
    assert (found and found.address) == address


@pytest.mark.parametrize(
    ("target", "local"),
    [
        ("localhost", True),
        ("LOCALHOST:1", True),
        ("proxy.localhost:1", True),
        ("127.8.9.1:1", True),
        ("[::1]:1", True),
        ("::1", True),
        ("[::ffff:127.0.0.1]:1", True),
        ("ipv4:127.0.0.1:1", True),
        ("ipv6:[::1]:1", True),
        ("unix:/x", True),
        ("unix-abstract:x", True),
        ("unix:/x,unix:/y", True),
        ("dns:localhost:1", True),
        ("dns://192.0.2.9/localhost:1", True),
        ("127.0.0.1:1,10.0.0.1:1", False),
        ("10.0.0.1:1", False),
        ("localhost.example.org:1", False),
        ("[2001:db8::1]:1", False),
    ],
)
def test_what_stays_on_this_machine(target, local):
    assert only_local(target) is local
