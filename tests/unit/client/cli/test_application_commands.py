"""`discordproxy commands`, as people and scripts see it."""

import io
import json

import pytest

from discordproxy._cli import main

SHOP = {"name": "shop", "description": "Opens the shop"}


@pytest.fixture
def run(capsys, monkeypatch):
    monkeypatch.setenv("DISCORDPROXY_APP", "shop")

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main.main(["commands", *arguments])
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "commands.json"
    path.write_text(json.dumps([SHOP, {"name": "Show", "type": 2}]))
    return str(path)


def test_sync_and_list(proxy, run, file):
    proxy.add_command("foreign")
    assert run("sync", file) == (0, "created    /shop\ncreated    user command Show\n1 other commands\n", "")
    assert run("sync", file)[1].startswith("unchanged  /shop\n")
    status, out, _ = run("list")
    assert (status, out.splitlines()) == (
        0,
        ["/foreign           (no application)", "/shop              default", "user command Show  default"],
    )
    assert {call.metadata["x-discordproxy-app"] for call in proxy.calls} == {"shop"}


def test_a_dry_run(proxy, run, file):
    assert "not changed" in run("sync", file, "--dry-run")[1]
    assert run("list") == (0, "There are no commands.\n", "")


def test_standard_input_and_a_guild(proxy, run, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps([SHOP])))
    assert run("sync", "-", "--guild", "7", "--app", "bank")[0] == 0
    assert proxy.calls[0].metadata["x-discordproxy-app"] == "bank"
    assert json.loads(run("list", "--json", "--guild", "7")[1])[0]["name"] == "shop"


def test_a_conflict_is_reported(proxy, run, file):
    proxy.add_command("shop", owner="bank")
    status, out, err = run("sync", file)
    assert (status, out) == (1, "")
    assert "/shop belongs to the application bank" in err


def test_taking_over(proxy, run, file):
    proxy.add_command("shop", description="Before")
    assert run("sync", file)[0] == 1
    assert run("sync", file, "--take-over")[1].startswith("updated    /shop\n")


def test_release(proxy, run, file):
    run("sync", file)
    assert run("release", "/shop", "unknown") == (0, "released  /shop\n", "")
    assert run("release", "shop") == (1, "The application owns no such command.\n", "")


@pytest.mark.parametrize(
    "arguments",
    [("sync",), ("sync", "a", "b"), ("sync", "missing.json"), ("release",), ("list", "shop"), ("other",)],
    ids=" ".join,
)
def test_wrong_usage(proxy, run, arguments):
    assert run(*arguments)[0] == 2
    assert proxy.calls == []


def test_a_file_without_json(proxy, run, tmp_path):
    path = tmp_path / "commands.json"
    path.write_text("no JSON")
    status, _, err = run("sync", str(path))
    assert (status, "commands: " in err) == (2, True)


def test_the_name_of_the_application_is_required(proxy, run, file, monkeypatch):
    monkeypatch.delenv("DISCORDPROXY_APP")
    for arguments in (("sync", file), ("release", "shop")):
        status, _, err = run(*arguments)
        assert (status, "--app" in err) == (2, True)
    assert proxy.calls == []
    assert run("list")[0] == 0
    monkeypatch.setenv("DISCORDPROXY_API_KEY", "dpk_" + "a" * 43)
    assert run("sync", file)[0] == 0
