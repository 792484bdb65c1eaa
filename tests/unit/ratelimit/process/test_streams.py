"""Standard streams that are closed, full, or without a reader: the process goes on, its exit status stays."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from discordproxy_ratelimit.process import streams
streams.prepare()
with open(os.devnull) as file:
    assert file.fileno() > 2, "a file got the number of a standard stream"
streams.announce("h\\u00e9llo")
streams.complain("w\\u00f6e")
raise SystemExit(7)
"""


def end_of(shell: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a shell, with its streams as the shell makes them."""
    environment = {**os.environ, "PYTHON": sys.executable, "PROGRAM": PROGRAM, **variables}
    return subprocess.run(
        ["/bin/sh", "-c", shell], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    "redirection",
    ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full", ">/dev/full 2>/dev/full", "</dev/full"],
)
def test_the_exit_status_stays_whatever_the_streams_are(redirection: str) -> None:
    done = end_of(f'"$PYTHON" -c "$PROGRAM" {redirection}')
    assert done.returncode == 7, done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_the_reader_has_gone() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-c", PROGRAM], stdout=writing, stderr=writing, timeout=60, check=False)
    os.close(writing)
    assert done.returncode == 7


def test_a_locale_without_the_letter() -> None:
    done = end_of('"$PYTHON" -c "$PROGRAM"', PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout, done.stderr) == (7, "h\\xe9llo\n", "w\\xf6e\n")
