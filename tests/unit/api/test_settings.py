"""Settings of an API worker that exclude each other."""

import re

import pytest
from pydantic import ValidationError

from discordproxy_api.contract.contract import load_contract
from discordproxy_api.settings import ApiSettings
from discordproxy_gateway.settings import GatewaySettings
from fakes.every_case import every_case


def test_the_rest_port_requires_keys_beside_client_certificates(tmp_path):
    files = dict.fromkeys(("tls_cert", "tls_key", "tls_client_ca"), tmp_path / "x.pem")
    values = {"DISCORD_BOT_TOKEN": "t", "rest_port": 50052, **files}
    with pytest.raises(ValidationError, match="DISCORDPROXY_REST_PORT requires DISCORDPROXY_KEYS_FILE"):
        ApiSettings(**values)
    assert ApiSettings(**values, keys_file=tmp_path / "keys.toml").rest_port == 50052
    assert ApiSettings(**{**values, "rest_port": None}).rest_port is None


@pytest.mark.parametrize(
    ("ports", "named"),
    [
        ({"port": 5000, "rest_port": 5000}, "DISCORDPROXY_REST_PORT is 5000, the port for gRPC"),
        ({"port": 5001, "http_port": 5000, "workers": 2}, "include 5001, the port for gRPC"),
        ({"rest_port": 5001, "http_port": 5000, "workers": 2}, "include 5001, the port for Discord's API"),
    ],
)
def test_two_servers_on_one_port_are_refused(ports, named):
    """With SO_REUSEPORT both would listen, and each get a part of the other's connections."""
    with pytest.raises(ValidationError, match=named):
        ApiSettings(DISCORD_BOT_TOKEN="t", **ports)


def test_a_lame_duck_leaves_time_to_finish_calls():
    with pytest.raises(ValidationError, match="DISCORDPROXY_LAME_DUCK is 5: it is a part of"):
        ApiSettings(DISCORD_BOT_TOKEN="t", lame_duck=5, drain_timeout=5)
    assert ApiSettings(DISCORD_BOT_TOKEN="t", lame_duck=5, drain_timeout=6).lame_duck == 5
    assert ApiSettings(DISCORD_BOT_TOKEN="t", drain_timeout=0).drain_timeout == 0


def test_http_ports_end_at_the_highest_port():
    with pytest.raises(ValidationError, match="would end at 65536"):
        ApiSettings(DISCORD_BOT_TOKEN="t", http_port=65535, workers=2)
    assert ApiSettings(DISCORD_BOT_TOKEN="t", http_port=65535).http_port == 65535


@every_case(
    ("given", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::", "::"),
        ("[::1]", "::1"),
        ("fe80::1%Eth0", "fe80::1%Eth0"),
        ("LocalHost", "localhost"),
        ("proxy-1.example", "proxy-1.example"),
        ("node_1.7up.example.", "node_1.7up.example."),
    ],
)
def test_hosts(given, host):
    assert ApiSettings(DISCORD_BOT_TOKEN="t", host=given).host == host


@every_case(
    "host",
    [
        '"127.0.0.1"',
        "127.0.0.1:50051",
        "[::1]:50051",
        "http://127.0.0.1",
        "unix:/run/x.sock",
        "*",
        "127.1",
        "0",
        "a..b",
        ".",
        "a" * 64,
        "a." * 127,
    ],
)
def test_what_is_no_host_is_refused(host):
    with pytest.raises(ValidationError, match="an address of this machine is needed"):
        ApiSettings(DISCORD_BOT_TOKEN="t", host=host)


def test_ports_that_the_kernel_chooses_differ():
    assert ApiSettings(DISCORD_BOT_TOKEN="t", port=0, rest_port=0, http_port=0).rest_port == 0


@pytest.mark.parametrize("kind", [ApiSettings, GatewaySettings])
def test_every_number_has_bounds(kind):
    """Huge numbers would overflow in gRPC, Redis or a timer, with a traceback or when the first call comes."""
    numbers = {
        name: field for name, field in kind.model_fields.items() if re.search(r"\b(int|float)\b", str(field.annotation))
    }
    assert len(numbers) > 5
    for name in numbers:
        for value in (10**30, "inf", "nan", -1e300):
            with pytest.raises(ValidationError) as refused:
                kind(DISCORD_BOT_TOKEN="t", **{name: value})
            assert [error["loc"][0] for error in refused.value.errors()] == [name]


@pytest.mark.parametrize("name", ["request_allow", "request_deny"])
@pytest.mark.parametrize(
    ("pattern", "fix"),
    [
        ("/guilds/{guild_id}", "a method and a path"),
        ("get /guilds/{guild_id}", "a method and a path"),
        ("GET guilds/{guild_id}", "a method and a path"),
        ("GET /guilds/{guild_id}/", "no slash at its end"),
        ("GET /api/v10/guilds/{guild_id}", "no /api"),
        ("GET /guilds/{guild_id}?with_counts=true", "no query string"),
        ("GET /guilds/81384788765712384", "the route is GET /guilds/{guild_id}"),
        ("PUT /channels/{channel_id}/pins/9", "the route is PUT /channels/{channel_id}/pins/{message_id}"),
    ],
)
def test_a_route_that_no_request_can_have_is_refused(name, pattern, fix):
    with pytest.raises(ValueError, match=re.escape(fix)):
        ApiSettings(DISCORD_BOT_TOKEN="t", **{name: ["GET *", pattern]})


def test_routes_of_every_rpc_and_of_discords_documentation_are_patterns():
    routes = [f"{rpc.method} {rpc.template}" for rpc in load_contract().values() if rpc.template]
    routes += [
        "*",
        "* *",
        "DELETE *",
        "* /guilds/{guild.id}/*",
        "POST /channels/{channel.id}/messages",
        "GET /users/@me",
    ]
    assert ApiSettings(DISCORD_BOT_TOKEN="t", request_deny=routes).request_deny == tuple(routes)
