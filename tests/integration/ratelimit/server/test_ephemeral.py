"""Folders of runs: removed at the end, by the next run after a kill, and never while in use."""

import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from discordproxy_ratelimit.server.embedded import folder_of, make_private
from discordproxy_ratelimit.server.ephemeral import MARK, ephemeral


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dp-") as folder:  # short, for it holds sockets
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder) / "discordproxy"


def abandoned(name: str) -> Path:
    """A folder as a killed run leaves it."""
    folder = folder_of(name)
    make_private(folder)
    for file in (MARK, "lock", "dump.rdb"):
        (folder / file).touch()
    return folder


def test_a_folder_is_gone_with_its_run() -> None:
    with ephemeral("run"):
        (folder_of("run") / "dump.rdb").touch()
    assert not folder_of("run").exists()


@pytest.mark.parametrize(("held", "stays"), [(MARK, True), ("lock", True), ("dump.rdb", False)])
def test_only_what_nobody_holds_is_removed(held: str, stays: bool) -> None:  # noqa: FBT001 - a parameter
    folder = abandoned("killed")
    with (folder / held).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with ephemeral("next"):
            assert folder.exists() is stays
            assert folder_of("next").exists()


def test_the_private_server_of_a_real_bot_is_left_alone() -> None:
    folder = abandoned("bot")
    (folder / MARK).unlink()
    with ephemeral("run"):
        pass
    assert (folder / "dump.rdb").exists()


def test_two_runs_at_once_leave_each_other_alone() -> None:
    with ephemeral("one"), ephemeral("other"):
        assert folder_of("one").exists()
        assert folder_of("other").exists()
    assert not folder_of("one").exists()
