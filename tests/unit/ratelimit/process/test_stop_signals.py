"""Processes that are started with ignored or blocked signals, as by `nohup` or a supervisor."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, subprocess, sys, time
from discordproxy_ratelimit.process.stop_signals import exit_on_stop_signal
exit_on_stop_signal()
print(subprocess.run(["false"], check=False).returncode, flush=True)
os.kill(os.getpid(), signal.Signals[sys.argv[1]])
print("goes on", flush=True)
"""


def ignore(*signals: signal.Signals) -> None:
    for number in signals:
        signal.signal(number, signal.SIG_IGN)


def output(name: str, before: object) -> tuple[int, list[str]]:
    """Return status and lines of a process that sends itself a signal, and is started after `before` was called."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, name], check=False, capture_output=True, text=True, preexec_fn=before
    )
    return ended.returncode, ended.stdout.split("\n")[:-1]


def test_without_anything_inherited_a_hangup_ends_it() -> None:
    assert output("SIGHUP", lambda: None) == (0, ["1"])


def test_an_ignored_hangup_stays_ignored() -> None:
    assert output("SIGHUP", lambda: ignore(signal.SIGHUP)) == (0, ["1", "goes on"])


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_blocked_signals_end_it(name: str) -> None:
    blocked = {signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGCHLD}
    assert output(name, lambda: signal.pthread_sigmask(signal.SIG_BLOCK, blocked)) == (0, ["1"])


def test_exit_statuses_of_children_are_known_although_their_end_was_ignored() -> None:
    assert output("SIGTERM", lambda: ignore(signal.SIGCHLD)) == (0, ["1"])
