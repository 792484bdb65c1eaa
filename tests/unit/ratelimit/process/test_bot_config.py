"""Several bots from one file: its content, errors in one line, and no token in them."""

from pathlib import Path

import pytest

from discordproxy_ratelimit.process.bot_config import read_bots
from discordproxy_ratelimit.settings import SharedSettings, load

FIRST, SECOND = "MTAwMDAwMDAwMDAwMDAwMDAx.GaBcDe.c4nary-one", "MTAwMDAwMDAwMDAwMDAwMDAy.GaBcDe.c4nary-two"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def file(folder: Path, text: str) -> Path:
    path = folder / "bots.toml"
    path.write_text(text)
    return path


BOTH = f"""
[[bots]]
name = "alliance"
token = "{FIRST}"
intents = ["guilds", "members"]
global_limit = 100

[[bots]]
name = "corp"
token_file = "corp.token"
"""


def test_bots_in_their_order(folder: Path):
    (folder / "corp.token").write_text(SECOND + "\n")
    first, second = read_bots(file(folder, BOTH))
    assert (first.name, first.id, first.intents, first.global_limit) == (
        "alliance",
        "100000000000000001",
        ("guilds", "members"),
        100,
    )
    assert (second.name, second.id, second.token.get_secret_value()) == ("corp", "100000000000000002", SECOND)
    assert "c4nary" not in repr((first, second))


def one(name: str = "a", **fields: str) -> str:
    return "\n".join(["[[bots]]", f'name = "{name}"', *(f'{key} = "{value}"' for key, value in fields.items()), ""])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "bots: "),
        ("bots = []", "bots: "),
        ("[[bots]", "not valid TOML"),
        (one(), "needs either token or token_file"),
        (one(token=FIRST, token_file="x"), "needs either"),
        (one(token_file="missing"), "cannot read"),
        (one(token="Bot " + FIRST), "leave out the word in front"),
        (one(token="TOKEN=" + FIRST), "leave out TOKEN="),
        (one(token="two words"), "characters no bot token has"),
        (one(token=FIRST, tokn="x"), "tokn is no setting of a bot"),
        (one("Big Bot", token=FIRST), "bot 1 name"),
        (one(token=FIRST) + one(token=SECOND), "same name"),
        (one(token=FIRST) + one("b", token=FIRST), "same token"),
    ],
)
def test_what_is_wrong_with_a_file(folder: Path, text: str, problem: str):
    with pytest.raises(ValueError, match="DISCORDPROXY_BOTS") as wrong:
        read_bots(file(folder, text))
    assert problem in str(wrong.value)
    assert "c4nary" not in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_a_process_belongs_to_the_first_bot_or_to_the_configured_one(folder: Path):
    path = file(folder, one(token=FIRST) + one("b", token=SECOND))
    assert SharedSettings(bots=path).bot_id == "100000000000000001"
    told = SharedSettings(bots=path, bot="b")
    assert told.bot_id == "100000000000000002"
    assert told.home_token.get_secret_value() == FIRST
    assert {FIRST, SECOND} <= set(told.secrets)
    assert "c4nary" not in repr(told)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"DISCORD_BOT_TOKEN": FIRST, "DISCORDPROXY_BOTS": "bots.toml"}, "are both set"),
        ({"DISCORDPROXY_BOTS": "none.toml"}, "cannot be read"),
        ({"DISCORDPROXY_BOTS": "bots.toml", "DISCORDPROXY_BOT": "c"}, "DISCORDPROXY_BOTS has a, b"),
        ({"DISCORD_BOT_TOKEN": FIRST, "DISCORDPROXY_BOT": "a"}, "DISCORDPROXY_BOTS is not set"),
    ],
)
def test_settings_that_contradict(folder: Path, settings: dict[str, str], problem: str, monkeypatch, capsys):
    file(folder, one(token=FIRST) + one("b", token=SECOND))
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        load(SharedSettings)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert problem in told
    assert told.count("\n") == 1
    assert "c4nary" not in told
