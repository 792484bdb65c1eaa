"""What `discordproxyserver` says when it cannot start: one line and the right status."""

import subprocess
import sys

import pytest

from discordproxy_api.processes.launch import (
    PRELOADED,
    UP_AFTER_S,
    LaunchOptions,
    gateways,
    launch,
    local_url,
    preloaded,
)
from discordproxy_api.settings import ApiSettings
from discordproxy_ratelimit.process.exit_status import BROKEN, FAILED, USAGE


@pytest.mark.parametrize("port", ["99999", "0", "x", "-1"])
def test_a_port_that_is_none(monkeypatch, capsys, tmp_path, port):
    monkeypatch.setenv("SANDBOX_PORT", port)
    monkeypatch.setenv("DISCORD_BOT_TOKEN", "")
    assert launch(LaunchOptions(tmp_path, None, "CRITICAL", "always")) == FAILED
    assert capsys.readouterr().err == f"ERROR: SANDBOX_PORT is {port!r}: a number from 1 to 65535 is required\n"


@pytest.mark.parametrize("sandbox", ["never", "auto", "always"])
@pytest.mark.parametrize(("file", "named"), [(b"DISCORDPROXY_REST_HOSTS=x\n", "REST_HOSTS"), (b"A=\xff\n", "UTF-8")])
def test_settings_that_cannot_be_read_are_one_line(monkeypatch, capsys, tmp_path, sandbox, file, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes(file)
    for variable in ("DISCORD_BOT_TOKEN", "DISCORDPROXY_DISCORD_URL", "DISCORDPROXY_GATEWAY_URL", "SANDBOX_TOKEN"):
        monkeypatch.setenv(variable, "")
    assert launch(LaunchOptions(tmp_path, None, "CRITICAL", sandbox)) == USAGE
    error = capsys.readouterr().err
    assert error.startswith("ERROR: ")
    assert named in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(("http_port", "workers"), [(50051, 1), (50049, 3)])
def test_an_http_port_that_is_the_port_for_grpc(monkeypatch, capsys, tmp_path, http_port, workers):
    values = {"DISCORD_BOT_TOKEN": "t", "DISCORDPROXY_PORT": 50051, "DISCORDPROXY_HTTP_PORT": http_port}
    for variable, value in {**values, "DISCORDPROXY_WORKERS": workers}.items():
        monkeypatch.setenv(variable, str(value))
    assert launch(LaunchOptions(tmp_path, None, "CRITICAL", "never")) == USAGE
    error = capsys.readouterr().err
    assert f"DISCORDPROXY_HTTP_PORT is {http_port}" in error
    assert "DISCORDPROXY_PORT" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(("port", "http_port"), [(50051, 50052), (50051, 50049), (0, 0), (50051, None)])
def test_ports_that_differ(port, http_port):
    assert ApiSettings(DISCORD_BOT_TOKEN="t", port=port, http_port=http_port, workers=2).http_port == http_port


def test_each_bot_has_a_gateway_and_one_that_is_refused_takes_no_other_down(tmp_path):
    one = ApiSettings(DISCORD_BOT_TOKEN="t")
    assert gateways(one) == [("gateway", {}, UP_AFTER_S)]
    path = tmp_path / "bots.toml"
    path.write_text('[[bots]]\nname = "a"\ntoken = "x"\n[[bots]]\nname = "b"\ntoken = "y"\n')
    assert gateways(ApiSettings(bots=path)) == [
        ("gateway.a", {"DISCORDPROXY_BOT": "a"}, 0.0),
        ("gateway.b", {"DISCORDPROXY_BOT": "b"}, 0.0),
    ]


WITH_PORTS = [
    (PRELOADED, False),
    (preloaded(ApiSettings(DISCORD_BOT_TOKEN="t", http_port=1)), True),
    (preloaded(ApiSettings(DISCORD_BOT_TOKEN="t", rest_port=1)), False),
]


@pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: only Linux counts threads in /proc")
@pytest.mark.parametrize(("names", "aiohttp_server"), WITH_PORTS, ids=["grpc", "http", "rest"])
def test_preloading_imports_what_is_needed_and_leaves_one_thread(names, aiohttp_server):
    program = (
        "import importlib, os, sys\n"
        f"for name in {tuple(names)}: importlib.import_module(name)\n"
        "print(len(os.listdir('/proc/self/task')), *(n in sys.modules for n in ('aiohttp.web', 'cryptography.x509')))"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert output.split() == ["1", str(aiohttp_server), "False"]


def test_an_error_of_its_own_has_a_status_that_is_tried_again(monkeypatch, capsys, tmp_path, caplog):
    def broken(_settings):
        raise KeyError("surprise")

    monkeypatch.setattr("discordproxy_api.processes.launch._settings", broken)
    assert launch(LaunchOptions(tmp_path, None, "CRITICAL", "never")) == BROKEN
    assert capsys.readouterr().err == "ERROR: internal error; see the log\n"
    assert "surprise" in caplog.text


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::"])
def test_the_addresses_that_are_shown_can_be_opened_on_this_machine(host):
    settings = ApiSettings(DISCORD_BOT_TOKEN="t", host=host, allow_anonymous=True)
    assert local_url(settings, 9464) == "http://localhost:9464"
    assert local_url(settings, None) == ""
