"""Private files: independent of the umask and of existing files at their path."""

import os
import stat
from pathlib import Path

import pytest

from discordproxy_ratelimit.process.private_files import can_be_ours, is_our_folder, open_log, open_private

APPEND = os.O_WRONLY | os.O_APPEND


def write(descriptor: int, data: bytes) -> None:
    os.write(descriptor, data)
    os.close(descriptor)


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_a_new_file_is_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write(open_private(tmp_path / "new", APPEND), b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600


def test_a_file_that_exists_keeps_its_mode_and_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"a")
    (tmp_path / "old").chmod(0o644)
    write(open_private(tmp_path / "old", APPEND), b"b")
    assert (tmp_path / "old").read_bytes() == b"ab"
    assert stat.S_IMODE((tmp_path / "old").stat().st_mode) == 0o644


@pytest.mark.parametrize("target", ["there", "nowhere"])
def test_a_link_is_not_followed(tmp_path: Path, target: str) -> None:
    (tmp_path / "there").write_bytes(b"a")
    (tmp_path / "link").symlink_to(tmp_path / target)
    with pytest.raises(OSError, match="symbolic link"):
        open_private(tmp_path / "link", APPEND)
    assert (tmp_path / "there").read_bytes() == b"a"
    assert not (tmp_path / "nowhere").exists()


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(OSError):  # noqa: PT011 - several kinds
            open_private(path, APPEND)
    os.close(reader)
    with pytest.raises(OSError):  # noqa: PT011 - nobody reads
        open_private(tmp_path / "pipe", APPEND)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make files of another user")
def test_a_log_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    os.chown(tmp_path / "log", 12345, 12345)
    with pytest.raises(OSError, match="another user"):
        open_log(tmp_path / "log")
    os.chown(tmp_path, 12345, 12345)
    assert (is_our_folder(tmp_path), can_be_ours(tmp_path)) == (False, False)


def test_folders_that_can_be_ours(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    assert [can_be_ours(tmp_path / name) for name in ("", "none", "file", "link", "file/below")] == [
        *(True, True),
        *(False, False, False),
    ]
    assert [is_our_folder(tmp_path / name) for name in ("", "none", "file", "link")] == [True, False, False, True]
