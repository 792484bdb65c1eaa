"""The server's command line, and what a started server tells."""

import dataclasses
import os
import subprocess
import sys

import pytest

from discordproxy_api.processes.banner import SANDBOX_CHANNEL, BannerFacts, banner
from discordproxy_api.supervisor import FLAGS, into_environment, parser

FACTS = BannerFacts(
    version="2.0.0",
    address="127.0.0.1:50051",
    workers=1,
    http="",
    broker="unix:///run/x/broker.sock",
    private=True,
    discord="https://discord.com/api/v10",
    sandbox=False,
    log="/x/discordproxyserver.log",
    command="discordproxy",
)


def test_defaults_are_those_of_the_settings_and_of_version_1() -> None:
    options = parser().parse_args([])
    assert (options.log_console_level, options.log_file_level, str(options.log_file_path)) == ("CRITICAL", None, ".")
    assert options.sandbox == "never"
    assert into_environment(options) == {}


def test_flags_become_settings() -> None:
    arguments = ["--token", "t", "--host", "::1", "--port", "1", "--workers", "3"]
    assert into_environment(parser().parse_args(arguments)) == {
        "DISCORD_BOT_TOKEN": "t",
        "DISCORDPROXY_HOST": "::1",
        "DISCORDPROXY_PORT": "1",
        "DISCORDPROXY_WORKERS": "3",
    }
    assert len(FLAGS) == 4


@pytest.mark.parametrize(
    ("arguments", "sandbox"),
    [([], "never"), (["--sandbox"], "always"), (["--sandbox=auto"], "auto"), (["--sandbox", "never"], "never")],
)
def test_the_local_discord_is_asked_for(arguments: list[str], sandbox: str) -> None:
    assert parser().parse_args(arguments).sandbox == sandbox


def test_levels_are_those_of_version_1() -> None:
    assert parser().parse_args(["--log-file-level", "warn"]).log_file_level == "WARN"
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args(["--log-file-level", "loud"])


def test_the_command_starts_with_the_standard_library_alone() -> None:
    program = (
        "import sys; before = set(sys.modules); import discordproxy_api.supervisor; print(*set(sys.modules) - before)"
    )
    command = [sys.executable, "-c", program]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ)).stdout.split()
    assert {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names) == {
        "discordproxy_api",
        "discordproxy_ratelimit",  # its module of the standard streams, which imports nothing else
    }


def test_what_runs_where_and_what_to_try_first() -> None:
    assert banner(FACTS) == (
        "Discord Proxy 2.0.0 is ready.\n"
        "  gRPC    127.0.0.1:50051 (1 worker)\n"
        "  status  discordproxy status\n"
        "  broker  unix:///run/x/broker.sock (private Valkey of this machine)\n"
        "  Discord https://discord.com/api/v10\n"
        "  log     /x/discordproxyserver.log\n"
        "Send a first message, in another shell:\n"
        '  discordproxy message channel CHANNEL_ID "Hello, world!"\n'
        "(CHANNEL_ID: in Discord, Settings > Advanced > Developer Mode, then Copy Channel ID)\n"
        "Ctrl-C stops everything."
    )


@pytest.mark.parametrize(
    ("address", "option"),
    [("127.0.0.1:7", " --target localhost:7"), ("0.0.0.0:50051", ""), ("10.0.0.1:50051", " --target 10.0.0.1:50051")],
)
def test_the_command_names_the_address_if_it_is_not_the_usual_one(address: str, option: str) -> None:
    assert f'"Hello, world!"{option}\n' in banner(dataclasses.replace(FACTS, address=address))


def test_with_the_sandbox_the_command_is_complete() -> None:
    facts = dataclasses.replace(
        FACTS, sandbox=True, address="[::1]:7", workers=2, http="http://127.0.0.1:8", private=False
    )
    text = banner(facts)
    assert f'discordproxy message channel {SANDBOX_CHANNEL} "Hello, world!" --target [::1]:7\n' in text
    assert "(2 workers)" in text
    assert "  status  http://127.0.0.1:8/ (and /metrics, /readyz), or: discordproxy status --target [::1]:7\n" in text
    assert "as configured" in text
    assert "nothing leaves this machine" in text


def test_a_secured_server_tells_what_its_callers_need() -> None:
    text = banner(dataclasses.replace(FACTS, bots=("alliance", "corp"), tls=True, keys=True))
    assert "(1 worker, TLS)" in text
    assert "  bots    alliance, corp\n" in text
    assert "(DISCORDPROXY_API_KEY: " in text
    assert "(DISCORDPROXY_CA: " in text


def test_the_rest_port_comes_with_a_line_for_curl():
    text = banner(dataclasses.replace(FACTS, rest="http://localhost:50052"))
    assert "  REST    http://localhost:50052/api/v10 (" in text
    assert (
        f"http://localhost:50052/api/v10/channels/{SANDBOX_CHANNEL if FACTS.sandbox else 'CHANNEL_ID'}/messages" in text
    )
    assert "Authorization" not in text
    assert '"Authorization: Bot $DISCORDPROXY_API_KEY"' in banner(
        dataclasses.replace(FACTS, rest="https://h:1", keys=True)
    )
