"""TLS and client certificates: a real worker, the real clients, certificates of a local authority."""

import asyncio
import contextlib
import json
import ssl
from pathlib import Path

import grpc
import pytest
from cryptography import x509

from discordproxy import discord_api_pb2 as pb
from discordproxy.aio import AsyncDiscordClient
from discordproxy.client import DiscordClient
from discordproxy.discord_api_pb2_grpc import DiscordApiStub
from discordproxy.exceptions import DiscordProxyGrpcError
from discordproxy_sandbox.world.population import CHANNEL_ID
from fakes.certificates import Authority, Pair
from fakes.eventually import eventually
from integration.api.access.test_access import table
from integration.api.conftest import serve

CHANNEL = int(CHANNEL_ID)
LOCAL = [("grpc.use_local_subchannel_pool", 1)]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def served_certificate(port: int, authority: Authority) -> x509.Certificate:
    """Return the certificate that a new connection receives."""
    context = ssl.create_default_context(cafile=str(authority.path))
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        await writer.wait_closed()
    return x509.load_der_x509_certificate(found)


def number_of(pair: Pair) -> int:
    return x509.load_pem_x509_certificates(pair.cert.read_bytes())[0].serial_number


async def test_both_clients_send_over_tls(discord, authority):
    pair = authority.issue()
    async with serve(discord, tls_cert=pair.cert, tls_key=pair.key) as served:
        target = f"localhost:{served.port}"
        async with AsyncDiscordClient(target, timeout=20, tls=str(authority.path)) as client:
            assert (await client.create_channel_message(CHANNEL, "async")).content == "async"

        def send() -> str:
            with DiscordClient(target, timeout=20, tls=authority.path) as client:
                return client.create_channel_message(CHANNEL, "sync").content

        assert await asyncio.to_thread(send) == "sync"
        with pytest.raises(DiscordProxyGrpcError):
            async with AsyncDiscordClient(target, timeout=20, retries=0) as client:
                await client.get_channel(CHANNEL)  # in plain text
        with pytest.raises(DiscordProxyGrpcError):
            async with AsyncDiscordClient(target, timeout=20, retries=0, tls=True) as client:
                await client.get_channel(CHANNEL)  # an unknown authority
    assert len(discord.world.channels[CHANNEL_ID].messages) == 2


async def test_new_connections_get_a_renewed_certificate_and_old_ones_continue(discord, authority, caplog):
    pair = authority.issue()
    first = number_of(pair)
    async with serve(discord, tls_cert=pair.cert, tls_key=pair.key) as served:
        channel = grpc.aio.secure_channel(f"localhost:{served.port}", authority.credentials(), LOCAL)
        async with channel:
            stub = DiscordApiStub(channel)
            await stub.GetChannel(pb.ChannelId(channel_id=CHANNEL))
            assert (await served_certificate(served.port, authority)).serial_number == first
            renewed = number_of(authority.issue())  # into the same files

            async def taken_over() -> bool:
                return (await served_certificate(served.port, authority)).serial_number == renewed

            await eventually(taken_over, within_s=20)
            pair.key.write_text("broken")

            async def told() -> bool:
                assert await taken_over()
                return "DISCORDPROXY_TLS_KEY" in caplog.text

            await eventually(told, within_s=20)
            assert channel.get_state() is grpc.ChannelConnectivity.READY
            await stub.GetChannel(pb.ChannelId(channel_id=CHANNEL))


async def test_client_certificates_are_required_and_name_the_application(discord, authority, tmp_path, monkeypatch):
    pair, own = authority.issue(), authority.issue("srp.example")
    stranger = Authority(tmp_path, "strangers")
    settings = {"tls_cert": pair.cert, "tls_key": pair.key, "tls_client_ca": authority.path}
    async with serve(discord, **settings) as served:
        target = f"localhost:{served.port}"
        async with AsyncDiscordClient(target, timeout=20, app="liar", tls=authority.credentials(own)) as client:
            await client.create_channel_message(CHANNEL, "x")
        assert served.broker.acquired[-1].caller.app == "srp.example"
        monkeypatch.setenv("DISCORDPROXY_CERT", str(own.cert))
        with pytest.raises(ValueError, match="DISCORDPROXY_CERT_KEY"):
            AsyncDiscordClient(target, tls=str(authority.path))
        monkeypatch.setenv("DISCORDPROXY_CERT_KEY", str(own.key))
        async with AsyncDiscordClient(target, timeout=20, tls=str(authority.path)) as client:
            await client.create_channel_message(CHANNEL, "x")
        foreign = stranger.issue("srp.example", file="foreign")
        for credentials in (authority.credentials(), authority.credentials(foreign)):
            async with AsyncDiscordClient(target, timeout=20, retries=0, tls=credentials) as client:
                with pytest.raises(DiscordProxyGrpcError) as failed:
                    await client.create_channel_message(CHANNEL, "x")
                assert failed.value.status is grpc.StatusCode.UNAVAILABLE
    assert len(discord.world.channels[CHANNEL_ID].messages) == 2


async def test_a_certificate_can_replace_a_key(discord, authority, tmp_path):
    pair, own, other = authority.issue(), authority.issue("srp.example"), authority.issue("other.example")
    file = tmp_path / "keys.toml"
    file.write_text('[[keys]]\napp = "srp"\ncertificate = "srp.example"\nrpcs = ["read"]\n' + table("dpk_unused", "x"))
    settings = {"tls_cert": pair.cert, "tls_key": pair.key, "tls_client_ca": authority.path, "keys_file": file}
    async with serve(discord, **settings) as served:
        target = f"localhost:{served.port}"
        async with AsyncDiscordClient(target, timeout=20, retries=0, tls=authority.credentials(own)) as client:
            assert (await client.get_channel(CHANNEL)).id == CHANNEL
            with pytest.raises(DiscordProxyGrpcError) as failed:
                await client.create_channel_message(CHANNEL, "x")
            assert json.loads(failed.value.details)["reason"] == "FORBIDDEN_BY_OPERATOR"
        async with AsyncDiscordClient(target, timeout=20, retries=0, tls=authority.credentials(other)) as client:
            with pytest.raises(DiscordProxyGrpcError) as failed:
                await client.get_channel(CHANNEL)
            assert failed.value.status is grpc.StatusCode.UNAUTHENTICATED
