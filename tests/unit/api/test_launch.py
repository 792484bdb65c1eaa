"""What `discordproxyserver` says when it cannot start: one line and the right status."""

import pytest

from discordproxy_api.launch import FAILED, Options, launch


@pytest.mark.parametrize("port", ["99999", "0", "x", "-1"])
def test_a_port_that_is_none(monkeypatch, capsys, tmp_path, port):
    monkeypatch.setenv("SANDBOX_PORT", port)
    monkeypatch.setenv("DISCORD_BOT_TOKEN", "")
    assert launch(Options(tmp_path, None, "CRITICAL", "always")) == FAILED
    assert capsys.readouterr().err == f"ERROR: SANDBOX_PORT is {port!r}: a number from 1 to 65535 is needed\n"
