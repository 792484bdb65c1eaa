"""Settings: sources, the bot token, and one line for every error."""

import os
from pathlib import Path

import pytest
from pydantic import Field

from discordproxy_ratelimit.process.bot_config import bot_id_of
from discordproxy_ratelimit.settings import SharedSettings, keep_dotenv, load, unknown_variables

TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GaBcDe.s3cret-s3cret-s3cret"


class ExampleSettings(SharedSettings):
    port: int = Field(50051, ge=1, le=65535, description="port to listen on")
    names: tuple[str, ...] = Field((), description="JSON list of names")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_token_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_BOT_TOKEN", f"  {TOKEN}\n")
    settings = load(ExampleSettings)
    assert settings.token.get_secret_value() == TOKEN
    assert settings.bot_id == "123456789012345678"
    assert "s3cret" not in repr(settings) + str(settings) + repr(settings.model_dump())


def test_token_from_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "token").write_text(TOKEN + "\n")
    monkeypatch.setenv("DISCORDPROXY_TOKEN_FILE", str(folder / "token"))
    assert load(ExampleSettings).token.get_secret_value() == TOKEN


AROUND = ["{}\r\n", "\ufeff{}", "\ufeff{}\r\n", "\t{} \n\n"]


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("variable", ["DISCORD_BOT_TOKEN", "DISCORDPROXY_TOKEN_FILE"])
def test_what_editors_leave_around_a_token_is_cut_off(
    folder: Path, monkeypatch: pytest.MonkeyPatch, around: str, variable: str
) -> None:
    (folder / "token").write_text(around.format(TOKEN), "utf-8")
    monkeypatch.setenv(variable, str(folder / "token") if variable.endswith("FILE") else around.format(TOKEN))
    assert load(ExampleSettings).token.get_secret_value() == TOKEN


def test_dotenv_with_a_byte_order_mark(folder: Path) -> None:
    (folder / ".env").write_text(f"DISCORD_BOT_TOKEN={TOKEN}\r\n", "utf-8-sig")
    assert load(ExampleSettings).token.get_secret_value() == TOKEN


def test_dotenv_keeps_whole_values_and_the_environment_wins(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ".env").write_text("DISCORD_BOT_TOKEN='ab#cd'\nDISCORDPROXY_PORT=1\nDISCORDPROXY_KEY_PREFIX=other\n")
    monkeypatch.setenv("DISCORDPROXY_PORT", "2")
    monkeypatch.setenv("DISCORDPROXY_KEY_PREFIX", "")
    settings = load(ExampleSettings)
    assert (settings.token.get_secret_value(), settings.port, settings.key_prefix) == ("ab#cd", 2, "other")


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("redis://cache:1/0", []),
        ("redis://u:p%40ssword@cache", ["redis://u:p%40ssword@cache", "p@ssword"]),
        ("unix:///x?db=1&password=s3cret", ["unix:///x?db=1&password=s3cret", "s3cret"]),
        (
            "redis+sentinel://a/main?sentinel_password=other",
            ["redis+sentinel://a/main?sentinel_password=other", "other"],
        ),
    ],
)
def test_the_secrets_of_a_url_are_its_passwords(url: str, secrets: list[str]) -> None:
    """Without one, logs show where the server is."""
    settings = ExampleSettings(DISCORD_BOT_TOKEN=TOKEN, redis_url=url)
    assert [secret for secret in settings.secrets if secret != TOKEN] == secrets


def test_white_space_around_a_value_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets of Kubernetes end with a line break, and files with CRLF leave a carriage return."""
    given = {
        "DISCORD_BOT_TOKEN": TOKEN,
        "DISCORDPROXY_PORT": "2",
        "DISCORDPROXY_LOG_LEVEL": "debug",
        "DISCORDPROXY_KEY_PREFIX": "other",
        "DISCORDPROXY_DISCORD_URL": "http://x/api",
        "DISCORDPROXY_REDIS_URL": "redis://:p@x",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, f" {value}\r\n")
    monkeypatch.setenv("DISCORDPROXY_GATEWAY_URL", "\n")
    settings = load(ExampleSettings)
    assert (settings.port, settings.log_level, settings.key_prefix) == (2, "DEBUG", "other")
    assert (settings.discord_url, settings.gateway_url) == ("http://x/api", "")
    assert settings.redis_url.get_secret_value() == "redis://:p@x"


@pytest.mark.parametrize(
    "line",
    [
        "DISCORDPROXY_NAMES='s3cret",
        "DISCORDPROXY_NAMES: s3cret",
        "export DISCORDPROXY_NAMES='s3cret' s3cret",
        "DISCORDPROXY_NAMES",
    ],
)
def test_a_line_of_dotenv_that_cannot_be_read_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    """The library skips it, and the server would run without this setting, such as without keys."""
    (folder / ".env").write_text(f"DISCORD_BOT_TOKEN={TOKEN}\n{line}\nDISCORDPROXY_PORT=2\n")
    with pytest.raises(SystemExit) as caught:
        load(ExampleSettings)
    assert caught.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"ERROR: {folder / '.env'}, line 2: DISCORDPROXY_NAMES cannot be read; ")
    assert "s3cret" not in error


def test_processes_that_start_later_have_the_settings_of_the_first_and_no_secret_leaves_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {"DISCORDPROXY_PORT": "1", "DISCORDPROXY_EGRESS": ""})
    (folder / ".env").write_text(
        f"DISCORD_BOT_TOKEN={TOKEN}\nDISCORDPROXY_REDIS_URL=redis://:s3cret@x\n"
        "DISCORDPROXY_PORT=2\nDISCORDPROXY_EGRESS=a\nOTHER=1\nDISCORDPROXY_BOT=\n"
    )
    keep_dotenv()
    assert os.environ == {"DISCORDPROXY_PORT": "1", "DISCORDPROXY_EGRESS": "a"}


def test_lines_of_dotenv_for_other_programs_are_theirs(folder: Path) -> None:
    (folder / ".env").write_text(f"OTHER: 'x\nANOTHER\nDISCORD_BOT_TOKEN={TOKEN}\n")
    assert load(ExampleSettings).token.get_secret_value() == TOKEN


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("DISCORD_BOT_TOKEN", "", "DISCORD_BOT_TOKEN is not set"),
        ("DISCORD_BOT_TOKEN", "Bot s3cret", "DISCORD_BOT_TOKEN: holds more than the token"),
        (
            "DISCORD_BOT_TOKEN",
            "DISCORD_BOT_TOKEN=s3cret",
            "DISCORD_BOT_TOKEN: holds more than the token; leave out DISC",
        ),
        ("DISCORD_BOT_TOKEN", "s3cret s3cret", "DISCORD_BOT_TOKEN: has characters no bot token has"),
        ("DISCORD_BOT_TOKEN", '"s3cret"', "DISCORD_BOT_TOKEN: has characters no bot token has"),
        ("DISCORDPROXY_PORT", "abc", "DISCORDPROXY_PORT is 'abc'"),
        ("DISCORDPROXY_PORT", "70000", "DISCORDPROXY_PORT is '70000'"),
        ("DISCORDPROXY_LOG_LEVEL", "loud", "DISCORDPROXY_LOG_LEVEL is 'LOUD'"),
        ("DISCORDPROXY_DISCORD_URL", "discord.com", "DISCORDPROXY_DISCORD_URL is 'discord.com'"),
        ("DISCORDPROXY_DISCORD_URL", "http://x:s3cret@[::1", "DISCORDPROXY_DISCORD_URL is 'http"),
        (
            "DISCORDPROXY_DISCORD_URL",
            "http://x:99999/api",
            "DISCORDPROXY_DISCORD_URL is 'http://x:99999/api': Port out",
        ),
        (
            "DISCORDPROXY_DISCORD_URL",
            "http://u:s3cret@x/api",
            "DISCORDPROXY_DISCORD_URL is 'http://***@x/api': a URL without",
        ),
        (
            "DISCORDPROXY_DISCORD_URL",
            "http://x/api?a=1",
            "DISCORDPROXY_DISCORD_URL is 'http://x/api?a=1': a URL without",
        ),
        ("DISCORDPROXY_GATEWAY_URL", "https://x", "DISCORDPROXY_GATEWAY_URL is 'https://x'"),
        ("DISCORDPROXY_GATEWAY_URL", "ws://x:y", "DISCORDPROXY_GATEWAY_URL is 'ws://x:y': Port could not"),
        ("DISCORDPROXY_GLOBAL_LIMIT", "9" * 30, "DISCORDPROXY_GLOBAL_LIMIT is '999"),
        ("DISCORDPROXY_NAMES", "s3cret", "DISCORDPROXY_NAMES: must be JSON, such as"),
        ("DISCORDPROXY_KEY_PREFIX", "{a}", "DISCORDPROXY_KEY_PREFIX is '{a}'"),
        ("DISCORDPROXY_REDIS_URL", "redis://:s3cret/@x", "DISCORDPROXY_REDIS_URL: the Redis URL"),
        ("DISCORDPROXY_REDIS_URL", "sentinel://s3cret", "DISCORDPROXY_REDIS_URL: a Redis URL is one of"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    variable: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DISCORD_BOT_TOKEN", TOKEN)
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as caught:
        load(ExampleSettings)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"ERROR: {says}"), err
    assert err.count("\n") == 1
    assert "s3cret" not in out + err


def test_an_unreadable_token_file_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DISCORDPROXY_TOKEN_FILE", str(folder / "missing"))
    with pytest.raises(SystemExit):
        load(ExampleSettings)
    assert "DISCORDPROXY_TOKEN_FILE: cannot read" in capsys.readouterr().err


def test_several_mistakes_are_counted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DISCORDPROXY_PORT", "x")
    monkeypatch.setenv("DISCORDPROXY_LOG_LEVEL", "x")
    with pytest.raises(SystemExit):
        load(ExampleSettings)
    assert "(and 1 more)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("token", "bot"),
    [
        ("MTIz.x.y", "123"),
        ("MTIzNA.x.y", "1234"),  # base64 without its padding
        ("sandbox", "8f81d8b3e8a9ff8b"),
        ("____.x", "hash"),
    ],
)
def test_bot_id(token: str, bot: str) -> None:
    found = bot_id_of(token)
    assert found == bot if bot.isdigit() else len(found) == 16
    assert found == bot_id_of(token)
    assert token not in found


DISCORD = "https://discord.com/api/v10"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (DISCORD, "https://discord.com/api/v9", True),
        (DISCORD, "https://canary.discord.com/api/v10", True),
        (DISCORD, "https://discordapp.com/api", True),
        (DISCORD, "https://DISCORD.com:443/api/v10", True),
        (DISCORD, "http://127.0.0.1:4099/api/v10", False),
        (DISCORD, "https://notdiscord.com/api/v10", False),
        (DISCORD, "https://discord.com.example/api/v10", False),
        ("http://127.0.0.1:4099/api/v10", "http://127.0.0.1:4100/api/v10", False),
        ("http://127.0.0.1:4099/api/v10", "http://127.0.0.1:4099/api/v9/", True),
        ("http://mock.example/api/v10", "http://mock.example:80/api/v10", True),
        ("http://mock.example/one/api", "http://mock.example/two/api", False),
        ("http://[::1]:4099/api/v10", "http://127.0.0.1:4099/api/v10", False),
    ],
)
def test_what_is_kept_belongs_to_one_discord(one: str, other: str, same: bool) -> None:  # noqa: FBT001 - a parameter
    first, second = (ExampleSettings(DISCORD_BOT_TOKEN=TOKEN, discord_url=url) for url in (one, other))
    assert (first.namespace == second.namespace) is same
    assert first.namespace.startswith("dp")  # a Redis user that may use `dp:*` may use either
    assert (first.namespace == "dp") is (one == DISCORD)


SERVICE_LINKS = {  # as Kubernetes sets them for a service named discordproxy
    "DISCORDPROXY_PORT": "tcp://10.96.0.7:50051",
    "DISCORDPROXY_PORT_50051_TCP": "tcp://10.96.0.7:50051",
    "DISCORDPROXY_PORT_50051_TCP_ADDR": "10.96.0.7",
    "DISCORDPROXY_PORT_50051_TCP_PORT": "50051",
    "DISCORDPROXY_PORT_50051_TCP_PROTO": "tcp",
    "DISCORDPROXY_SERVICE_HOST": "10.96.0.7",
    "DISCORDPROXY_SERVICE_PORT": "50051",
    "DISCORDPROXY_SERVICE_PORT_GRPC": "50051",
    "DISCORDPROXY_REST_PORT": "tcp://[fd00::7]:50052",
}


def test_variables_that_kubernetes_sets_for_a_service_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_BOT_TOKEN", TOKEN)
    for name, value in SERVICE_LINKS.items():
        monkeypatch.setenv(name, value)
    assert load(ExampleSettings).port == 50051
    assert list(unknown_variables(ExampleSettings)) == []


def test_a_misspelt_variable_is_reported_with_the_nearest_setting(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text("DISCORDPROXY_LOGLEVEL=DEBUG\nDISCORDPROXY_PORT=1\nOTHER=1\n")
    monkeypatch.setenv("DISCORDPROXY_PROT", "1")
    monkeypatch.setenv("DISCORDPROXY_WEATHER", "s3cret")
    monkeypatch.setenv("DISCORDPROXY_TARGET", "of a client on the same machine")
    assert list(unknown_variables(ExampleSettings)) == [
        "DISCORDPROXY_LOGLEVEL is not a setting and has no effect; did you mean DISCORDPROXY_LOG_LEVEL?",
        "DISCORDPROXY_PROT is not a setting and has no effect; did you mean DISCORDPROXY_PORT?",
        "DISCORDPROXY_WEATHER is not a setting and has no effect",
    ]


def test_a_folder_in_place_of_the_env_file_is_reported(folder: Path) -> None:
    """Docker creates one if the file that is mounted does not exist."""
    (folder / ".env").mkdir()
    assert list(unknown_variables(ExampleSettings)) == [
        f"{folder / '.env'} is a folder, so no settings are read from it; write a file"
    ]
    (folder / ".env/pyvenv.cfg").touch()  # a virtual environment
    assert list(unknown_variables(ExampleSettings)) == []


def test_an_env_file_that_cannot_be_read_is_not_reported_twice(folder: Path) -> None:
    (folder / ".env").write_bytes(b"\xff\xfe")
    assert list(unknown_variables(ExampleSettings)) == []
