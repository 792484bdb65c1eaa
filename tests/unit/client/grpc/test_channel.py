"""Where calls go, and who shares a channel."""

import asyncio
import gc
import os
import shutil
import subprocess
import weakref

import grpc
import pytest

from discordproxy._grpc.channel import ChannelPool, Endpoint, resolve_target
from discordproxy.aio import AsyncDiscordClient
from discordproxy.client import DiscordClient, DiscordProxyGrpcError
from discordproxy.discord_api_pb2 import Message, MessagesResponse
from discordproxy.exceptions import to_discord_proxy_exception
from fakes.name_server import name_server
from fakes.scripted_proxy import scripted_proxy


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("localhost:50051", ("localhost:50051", False)),
        ("127.0.0.1:1", ("127.0.0.1:1", False)),
        ("[::1]:1", ("[::1]:1", False)),
        ("discordproxy:50051", ("discordproxy:50051", True)),
        ("dns:///discordproxy:50051", ("dns:///discordproxy:50051", True)),
        ("unix:/run/proxy.sock", ("unix:/run/proxy.sock", False)),
        ("unix:///run/proxy.sock", ("unix:///run/proxy.sock", False)),
        ("localhost:1, 127.0.0.1:2", ("ipv4:127.0.0.1:1,127.0.0.1:2", True)),
        ("[::1]:1,[::2]:2", ("ipv6:[::1]:1,[::2]:2", True)),
        ("10.0.0.1:1,[::1]:2", ("ipv6:[::ffff:10.0.0.1]:1,[::1]:2", True)),
        ("unix:/a,unix:/b", ("unix:/a,/b", True)),
    ],
)
def test_targets(target, expected):
    assert resolve_target(target) == expected


@pytest.mark.parametrize(
    ("targets", "unfit"),
    [
        ("127.0.0.1:1,two:2", "two:2"),
        ("unix:/a,127.0.0.1:1", "unix:/a"),
        ("127.0.0.1:1,dns:///two:2", "dns:///two:2"),
        (["10.0.0.1", "10.0.0.2:1"], "10.0.0.1"),
    ],
)
def test_targets_that_cannot_share_a_channel(targets, unfit):
    with pytest.raises(ValueError, match=f"'{unfit}' does not fit .* one DNS name"):
        DiscordClient(targets)


def test_own_options_win():
    options = Endpoint("a:1", (("grpc.lb_policy_name", "pick_first"),), tls=False).channel_arguments()["options"]
    assert options[-1] == ("grpc.lb_policy_name", "pick_first")
    assert ("grpc.use_local_subchannel_pool", 1) in options


async def test_an_answer_beyond_the_bound_of_grpc_arrives():
    page = MessagesResponse(messages=[Message(id=1, content="x" * 9_000_000)])
    with scripted_proxy() as proxy:
        proxy.script("GetMessages", page, page)
        with DiscordClient(proxy.address, timeout=20) as client:
            assert list(client.get_channel_messages(1, limit=1)) == list(page.messages)
        async with AsyncDiscordClient(proxy.address, timeout=20) as client:
            assert [message async for message in client.get_channel_messages(1, limit=1)] == list(page.messages)


@pytest.mark.parametrize("whose", ["SERVER", "CLIENT"])
def test_a_request_that_grpc_refuses_was_not_sent_and_an_answer_may_have_been(whose):
    """The server's refusal is gRPC's own; `test_bad_bytes` has the real one."""
    refusal = grpc.aio.AioRpcError(
        grpc.StatusCode.RESOURCE_EXHAUSTED, (), (), f"{whose}: Received message larger than max (9 vs. 8)"
    )
    error = to_discord_proxy_exception(refusal)
    assert error.sent == ("no" if whose == "SERVER" else "unknown")
    assert ("DISCORDPROXY_MAX_MESSAGE_BYTES" in str(error)) is (whose == "SERVER")


def test_streams_have_no_bound():
    options = dict(Endpoint("a:1", (), tls=False).for_streams().channel_arguments()["options"])
    assert options["grpc.max_receive_message_length"] == -1


class Channels:
    """Counts what a pool opens."""

    def __init__(self):
        self.opened = 0

    def open(self):
        self.opened += 1
        return f"channel {self.opened}", f"stub {self.opened}"


class User:
    pass


def test_clients_of_equal_configuration_share_a_channel():
    pool, channels = ChannelPool(), Channels()
    one, two = User(), User()
    assert pool.acquire(one, "key", channels.open).stub == pool.acquire(two, "key", channels.open).stub == "stub 1"
    assert pool.acquire(one, "other", channels.open).stub == "stub 2"


def test_the_last_user_closes():
    pool, channels = ChannelPool(), Channels()
    one, two = User(), User()
    pool.acquire(one, "key", channels.open)
    pool.acquire(two, "key", channels.open)
    assert pool.release(one, "key") is None
    assert pool.release(one, "key") is None
    assert pool.release(two, "key").channel == "channel 1"
    assert pool.acquire(two, "key", channels.open).stub == "stub 2"


def test_channel_outlives_clients_made_for_one_call():
    pool, channels = ChannelPool(), Channels()
    for _ in range(3):
        pool.acquire(User(), "key", channels.open)
    gc.collect()
    assert channels.opened == 1


def test_stale_channels_are_dropped():
    pool, channels = ChannelPool(), Channels()
    pool.acquire(User(), "old", channels.open)
    pool.discard(lambda key: key == "old")
    assert pool.acquire(User(), "old", channels.open).stub == "stub 2"


def test_fork_support_switched_off_is_loud(monkeypatch):
    monkeypatch.setenv("GRPC_ENABLE_FORK_SUPPORT", "0")
    with pytest.warns(RuntimeWarning, match="unset it"):
        ChannelPool().acquire(User(), "key", Channels().open)


def test_constructing_opens_nothing(monkeypatch):
    monkeypatch.setattr(grpc, "insecure_channel", pytest.fail)
    DiscordClient("one:1", [("grpc.x", 1)], 3).close()


def test_closed_client_says_so():
    client = DiscordClient("127.0.0.1:1")
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="is closed"):
        client.get_guild_channels(1)


def test_key_is_not_shown():
    assert "secret" not in repr(DiscordClient(api_key="secret"))
    with pytest.raises(ValueError, match="api_key: must consist") as caught:
        DiscordClient(api_key="secret\nmore")
    assert "secret" not in str(caught.value)


def test_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("DISCORDPROXY_TARGET", f"unix:{tmp_path}/proxy.sock")
    monkeypatch.setenv("DISCORDPROXY_API_KEY", "from-environment")
    with scripted_proxy(f"unix:{tmp_path}/proxy.sock") as proxy:
        with DiscordClient(app="srp") as client:
            client.get_guild_channels(1)
        with DiscordClient(api_key="given") as client:
            client.get_guild_channels(1)
    first, second = (received.metadata for received in proxy.received)
    assert (first["authorization"], first["x-discordproxy-app"]) == ("Bearer from-environment", "srp")
    assert second["authorization"] == "Bearer given"
    assert first["x-request-id"] != second["x-request-id"]


def test_list_of_targets_spreads_calls():
    with scripted_proxy() as one, scripted_proxy() as two, DiscordClient([one.address, two.address]) as client:
        while not (one.received and two.received):
            client.get_guild_channels(1)
        for _ in range(20):
            client.get_guild_channels(1)
        assert client.target == f"{one.address},{two.address}"
        assert min(len(one.received), len(two.received)) >= 10


def test_list_of_both_kinds_of_addresses_spreads_calls():
    with scripted_proxy() as one, scripted_proxy("[::1]:0") as two, DiscordClient([one.address, two.address]) as client:
        while not (one.received and two.received):
            client.get_guild_channels(1)


def test_name_with_several_addresses_spreads_calls():
    with scripted_proxy("127.0.0.1:0") as one:
        port = one.address.rpartition(":")[2]
        with (
            scripted_proxy(f"127.0.0.2:{port}") as two,
            name_server("127.0.0.1", "127.0.0.2") as names,
            DiscordClient(f"dns://{names}/discordproxy.test:{port}", timeout=30) as client,
        ):
            while not (one.received and two.received):
                client.get_guild_channels(1)


def test_list_of_targets_survives_a_dead_one():
    with scripted_proxy() as alive, DiscordClient(["127.0.0.1:1", alive.address], retries=0) as client:
        for _ in range(10):
            client.get_guild_channels(1)
        assert len(alive.received) == 10


async def test_async_channel_is_shared_within_a_loop_and_closed():
    with scripted_proxy() as proxy:
        one, two = AsyncDiscordClient(proxy.address), AsyncDiscordClient(proxy.address)
        assert one.stub is two.stub
        await one.close()
        assert await two.get_guild_channels(1) == []
        async with two:
            pass
        with pytest.raises(RuntimeError, match="is closed"):
            await two.get_guild_channels(1)


def test_channels_of_ended_loops_are_dropped():
    async def call(client):
        await client.get_guild_channels(1)
        return weakref.ref(asyncio.get_running_loop())

    with scripted_proxy() as proxy:
        client = AsyncDiscordClient(proxy.address)
        loops = [asyncio.run(call(client)) for _ in range(3)]
        asyncio.run(call(client))
        gc.collect()
        assert [loop() for loop in loops] == [None, None, None]


def test_forked_child_forgets_without_closing():
    pool, channels = ChannelPool(), Channels()
    user = User()
    pool.acquire(user, "key", channels.open)
    pool._lock.acquire()
    child = os.fork()
    if child == 0:
        os._exit(0 if pool.acquire(user, "key", channels.open).stub == "stub 2" else 1)
    pool._lock.release()
    assert os.waitpid(child, 0)[1] == 0
    assert pool.acquire(user, "key", channels.open).stub == "stub 1"


@pytest.fixture
def certificate(tmp_path):
    """Return a certificate for localhost that signs itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "ca.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", names]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def test_encrypted(certificate, monkeypatch):
    path, key = certificate
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), path.read_bytes())])
    with scripted_proxy("localhost:0", credentials=credentials) as proxy:
        for tls in (str(path), path, grpc.ssl_channel_credentials(path.read_bytes())):
            with DiscordClient(proxy.address, tls=tls, timeout=20) as client:
                assert client.get_guild_channels(1) == []
        monkeypatch.setenv("DISCORDPROXY_CA", str(path))
        with DiscordClient(proxy.address, timeout=20) as client:
            assert client.get_guild_channels(1) == []
        for tls in (True, False):  # neither strangers' certificates nor plain text will do
            with (
                DiscordClient(proxy.address, tls=tls, timeout=20, retries=0) as client,
                pytest.raises(DiscordProxyGrpcError),
            ):
                client.get_guild_channels(1)


@pytest.mark.parametrize("second", ["127.0.0.1:0", "[::1]:0"])
def test_list_of_targets_encrypted(certificate, second):
    path, key = certificate
    pair = (key.read_bytes(), path.read_bytes())
    with (
        scripted_proxy(credentials=grpc.ssl_server_credentials([pair])) as one,
        scripted_proxy(second, credentials=grpc.ssl_server_credentials([pair])) as two,
        DiscordClient([one.address, two.address], tls=path, timeout=20) as client,
    ):
        while not (one.received and two.received):
            client.get_guild_channels(1)


async def test_encrypted_async(certificate):
    path, key = certificate
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), path.read_bytes())])
    with scripted_proxy("localhost:0", credentials=credentials) as proxy:
        async with AsyncDiscordClient(proxy.address, tls=path, timeout=20) as client:
            assert await client.get_guild_channels(1) == []
