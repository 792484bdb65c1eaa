"""What `discordproxyserver` says when it cannot start: one line and the right status."""

import pytest

from discordproxy_api.processes.launch import UP_AFTER_S, LaunchOptions, gateways, launch
from discordproxy_api.settings import ApiSettings
from discordproxy_ratelimit.process.exit_status import BROKEN, FAILED


@pytest.mark.parametrize("port", ["99999", "0", "x", "-1"])
def test_a_port_that_is_none(monkeypatch, capsys, tmp_path, port):
    monkeypatch.setenv("SANDBOX_PORT", port)
    monkeypatch.setenv("DISCORD_BOT_TOKEN", "")
    assert launch(LaunchOptions(tmp_path, None, "CRITICAL", "always")) == FAILED
    assert capsys.readouterr().err == f"ERROR: SANDBOX_PORT is {port!r}: a number from 1 to 65535 is needed\n"


def test_each_bot_has_a_gateway_and_one_that_is_refused_takes_no_other_down(tmp_path):
    one = ApiSettings(DISCORD_BOT_TOKEN="t")
    assert gateways(one) == [("gateway", {}, UP_AFTER_S)]
    path = tmp_path / "bots.toml"
    path.write_text('[[bots]]\nname = "a"\ntoken = "x"\n[[bots]]\nname = "b"\ntoken = "y"\n')
    assert gateways(ApiSettings(bots=path)) == [
        ("gateway.a", {"DISCORDPROXY_BOT": "a"}, 0.0),
        ("gateway.b", {"DISCORDPROXY_BOT": "b"}, 0.0),
    ]


def test_an_error_of_its_own_has_a_status_that_is_tried_again(monkeypatch, capsys, tmp_path, caplog):
    def broken(_settings):
        raise KeyError("surprise")

    monkeypatch.setattr("discordproxy_api.processes.launch._settings", broken)
    assert launch(LaunchOptions(tmp_path, None, "CRITICAL", "never")) == BROKEN
    assert capsys.readouterr().err == "ERROR: an error of the server's own; the log has it\n"
    assert "surprise" in caplog.text
