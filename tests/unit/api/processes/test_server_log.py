"""The log file and the levels of its lines."""

import errno
import io
import json
import logging
import os
import re
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from discordproxy_api.processes import server_log
from discordproxy_api.processes.children import pause_s
from discordproxy_ratelimit.process import logs
from discordproxy_ratelimit.process.logs import FORMAT


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(before):
        handler.close()
    root.handlers[:] = before
    root.setLevel(level)


def formatted(level: int, text: str) -> bytes:
    return logging.Formatter(FORMAT).format(logging.LogRecord("rest", level, "", 0, text, (), None)).encode()


def test_children_keep_their_levels_and_names(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = server_log.set_up(tmp_path, "INFO", "CRITICAL")
    assert log.path == tmp_path / "discordproxyserver.log"
    heard = formatted(logging.INFO, "said 100%")
    assert log.relay("api.1", [formatted(logging.DEBUG, "unheard"), heard]) == ""
    assert log.relay("api.2", [formatted(logging.CRITICAL, "shouted")]) == ""
    lines = [b"ERROR: last words", formatted(logging.WARNING, "after"), b"ERROR: \xff", formatted(logging.ERROR, "end")]
    assert log.relay("gateway", lines) == "ERROR: \ufffd"
    written = log.path.read_text()
    assert "unheard" not in written
    assert f"{heard[:28].decode()} api.1: rest: said 100%\n" in written
    assert "CRITICAL api.2: rest: shouted" in written
    assert re.findall("(?:ERROR|WARNING) gateway: (.*)", written) == [
        *("ERROR: last words", "rest: after", "ERROR: \ufffd", "rest: end"),
    ]
    logging.shutdown([weakref.ref(handler) for handler in logging.getLogger().handlers])  # as at the process' end
    on_console = capfd.readouterr().err
    assert "shouted" in on_console
    assert "said" not in on_console


def test_json_lines_of_children_stay_json_with_their_facts(tmp_path: Path) -> None:
    log = server_log.set_up(tmp_path, "INFO", "CRITICAL", style="json")
    child = logs.formatter("json", context=lambda: {"request_id": "r1"})
    record = logging.LogRecord("rest", logging.WARNING, "", 0, 'a "quoted" \\ ü\nend', (), None)
    line = child.format(record)
    assert log.relay("api.1", [line.encode(), line[:-9].encode()]) == line[:-9]
    written, cut = map(json.loads, log.path.read_text().splitlines())
    text = 'rest: a "quoted" \\ ü\nend'
    assert (written["level"], written["logger"], written["message"]) == ("WARNING", "api.1", text)
    assert (written["time"], written["request_id"]) == (json.loads(line)["time"], "r1")
    assert (cut["level"], cut["logger"]) == ("ERROR", "api.1")


@pytest.mark.parametrize("style", ["human", "json"])
def test_known_secrets_are_redacted_again_and_long_lines_are_cut(tmp_path: Path, style: logs.Style) -> None:
    log = server_log.set_up(tmp_path, "INFO", "CRITICAL", style=style, secrets=["hush-hush"])
    child = logs.formatter(style)
    for text in ("with hush-hush", "x" * 8192):
        line = child.format(logging.LogRecord("rest", logging.WARNING, "", 0, text, (), None)).encode()
        log.relay("api.1", [line[:8192]])
    first, second = log.path.read_text().splitlines()
    assert "rest: with ***" in first
    assert "hush" not in first
    assert 8192 < len(second) < 9000
    assert style == "human" or json.loads(second)["logger"] == "api.1"


def test_many_lines_are_one_write_and_the_file_rotates_before_it_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_log, "MEBIBYTES", 0.0006)
    log = server_log.set_up(tmp_path, "INFO", "CRITICAL")
    lines = [formatted(logging.INFO, f"line {number}") for number in range(10)]
    for _ in range(4):
        log.relay("api.1", lines)
    assert log.path.read_text().count("\n") == 10
    kept = [log.path.with_name(f"{log.path.name}.{number}").read_text() for number in (1, 2, 3)]
    assert [text.count("\n") for text in kept] == [10, 10, 10]


def test_lines_are_kept_by_the_more_curious_reader_only(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = server_log.set_up(tmp_path, "ERROR", "INFO")
    log.relay("api.1", [formatted(logging.INFO, "small"), formatted(logging.ERROR, "large")])
    logging.shutdown([weakref.ref(handler) for handler in logging.getLogger().handlers])
    assert [line.split("rest: ")[1] for line in capfd.readouterr().err.splitlines()] == ["small", "large"]
    assert [line.split("rest: ")[1] for line in log.path.read_text().splitlines()] == ["large"]


def test_the_file_rotates_at_ten_mebibytes_and_ten_are_kept(tmp_path: Path) -> None:
    server_log.set_up(tmp_path, "INFO", "CRITICAL")
    handler = next(h for h in logging.getLogger().handlers if isinstance(h, logging.handlers.RotatingFileHandler))
    assert (handler.maxBytes, handler.backupCount) == (10 * 1024 * 1024, 10)


@pytest.fixture(params=[0o000, 0o022, 0o777])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.usefixtures("umask")
def test_only_its_own_user_reads_the_log(tmp_path: Path) -> None:
    log = server_log.set_up(tmp_path, "INFO", "CRITICAL")
    path = log.path
    assert mode(path) == 0o600
    handler = next(h for h in logging.getLogger().handlers if isinstance(h, server_log.LogFile))
    log.relay("api.1", [formatted(logging.INFO, "first")])
    handler.doRollover()
    log.relay("api.1", [formatted(logging.INFO, "second")])
    assert "second" in path.read_text()
    assert (mode(path), mode(path.with_name(f"{path.name}.1"))) == (0o600, 0o600)


@pytest.mark.parametrize(
    ("found", "kept"), [(0o644, 0o600), (0o666, 0o600), (0o660, 0o600), (0o600, 0o600), (0o640, 0o640), (0o200, 0o600)]
)
def test_a_log_that_others_could_read_becomes_private(tmp_path: Path, found: int, kept: int) -> None:
    path = tmp_path / server_log.FILE_NAME
    path.write_text("of before\n")
    path.chmod(found)
    log = server_log.set_up(tmp_path, "INFO", "CRITICAL")
    log.relay("api.1", [formatted(logging.INFO, "new")])
    assert mode(path) == kept
    assert path.read_text().startswith("of before\n")


@pytest.mark.parametrize("what", ["link", "dangling link", "folder", "pipe"])
def test_the_log_is_written_to_nothing_but_a_file(tmp_path: Path, what: str) -> None:
    path, other = tmp_path / server_log.FILE_NAME, tmp_path / "other"
    if what == "link":
        other.write_text("precious")
    if "link" in what:
        path.symlink_to(other)
    elif what == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    with pytest.raises(OSError) as refused:  # noqa: PT011 - several kinds
        server_log.set_up(tmp_path, "INFO", "CRITICAL")
    assert refused.value.strerror
    assert "link" not in what or refused.value.strerror == "it is a symbolic link"
    assert what != "link" or other.read_text() == "precious"
    assert what != "dangling link" or not other.exists()


@pytest.mark.parametrize("how", ["moved", "removed", "replaced"])
def test_a_log_that_somebody_moved_is_made_anew(tmp_path: Path, how: str) -> None:
    log = server_log.set_up(tmp_path, "INFO", "CRITICAL")
    path = log.path
    log.relay("api.1", [formatted(logging.INFO, "before")])
    if how == "removed":
        path.unlink()
    else:
        path.rename(tmp_path / "moved")
    if how == "replaced":
        path.touch(mode=0o640)
    log.relay("api.1", [formatted(logging.INFO, "after")])
    assert "after" in path.read_text()
    assert "before" not in path.read_text()
    assert mode(path) == (0o640 if how == "replaced" else 0o600)
    assert how == "removed" or "after" not in (tmp_path / "moved").read_text()


def test_lines_go_on_while_the_log_cannot_be_made_anew(tmp_path: Path) -> None:
    log = server_log.set_up(tmp_path, "INFO", "CRITICAL")
    path = log.path
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "elsewhere")
    log.relay("api.1", [formatted(logging.INFO, "meanwhile")])
    assert "meanwhile" in (tmp_path / "moved").read_text()
    assert not (tmp_path / "elsewhere").exists()
    path.unlink()
    log.relay("api.1", [formatted(logging.INFO, "after")])
    assert "after" in path.read_text()


@pytest.mark.parametrize(("first", "second", "lower"), [("INFO", "CRITICAL", "INFO"), ("ERROR", "WARN", "WARN")])
def test_children_send_what_the_more_curious_reader_wants(first: str, second: str, lower: str) -> None:
    assert server_log.lower(first, second) == lower


PAGER = """
import logging, pathlib, sys
from discordproxy_api.processes import server_log
path = server_log.set_up(pathlib.Path(sys.argv[1]), "INFO", "INFO").path
for number in range(5000):
    logging.getLogger("api.1").info("line %d %s", number, "x" * 100)
assert path.read_text().count("\\n") == 5000
raise SystemExit(7)
"""


def test_a_reader_that_stops_reading_holds_nobody_up(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    try:
        command = [sys.executable, "-c", PAGER, str(tmp_path)]
        assert subprocess.run(command, stderr=writing, timeout=100, check=False).returncode == 7
        assert os.read(reading, 100).split(maxsplit=3)[3].startswith(b"api.1: line 0 xxx")
    finally:
        os.close(reading)
        os.close(writing)


class FullDisk(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_reported_once_and_lines_come_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = server_log.set_up(tmp_path, "INFO", "CRITICAL")
    path = log.path
    handler = next(h for h in logging.getLogger().handlers if isinstance(h, logging.handlers.RotatingFileHandler))
    good = handler.setStream(FullDisk())
    for _ in range(3):
        logging.getLogger("api.1").error("lost")
    told = f"WARNING: log lines are lost: {path} cannot be written ([Errno 28] No space left on device)\n"
    assert capsys.readouterr().err == told
    handler.setStream(good)
    logging.getLogger("api.1").error("kept")
    assert "kept" in path.read_text()


def test_the_back_off_doubles_up_to_a_bound() -> None:
    assert pause_s(100_000) == 30
    pauses = [pause_s(failures) for failures in range(1, 12)]
    assert pauses[:4] == [0.2, 0.4, 0.8, 1.6]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 30
