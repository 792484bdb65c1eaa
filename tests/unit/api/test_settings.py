"""Settings of an API worker that exclude each other."""

import pytest
from pydantic import ValidationError

from discordproxy_api.settings import ApiSettings


def test_the_rest_port_requires_keys_beside_client_certificates(tmp_path):
    files = dict.fromkeys(("tls_cert", "tls_key", "tls_client_ca"), tmp_path / "x.pem")
    values = {"DISCORD_BOT_TOKEN": "t", "rest_port": 50052, **files}
    with pytest.raises(ValidationError, match="DISCORDPROXY_REST_PORT requires DISCORDPROXY_KEYS_FILE"):
        ApiSettings(**values)
    assert ApiSettings(**values, keys_file=tmp_path / "keys.toml").rest_port == 50052
    assert ApiSettings(**{**values, "rest_port": None}).rest_port is None
