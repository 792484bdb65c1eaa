"""Settings of an API worker that exclude each other."""

import re

import pytest
from pydantic import ValidationError

from discordproxy_api.settings import ApiSettings
from discordproxy_gateway.settings import GatewaySettings


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
