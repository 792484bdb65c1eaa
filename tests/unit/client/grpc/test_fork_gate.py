"""A fork waits for the calls that are under way, and no call starts meanwhile."""

import os
import threading

import pytest

from discordproxy._grpc.fork_gate import ForkGate
from discordproxy.aio import _Process

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


def forked(gate):
    """Fork; return whether the gate is usable in the child."""
    if (child := os.fork()) == 0:
        with gate:
            os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def test_open_gate_costs_nothing():
    gate = ForkGate()
    with gate, gate:
        pass
    assert forked(gate)
    with gate:
        pass


def test_fork_waits_for_the_last_call_and_holds_back_the_next():
    gate = ForkGate(timeout_s=60)
    order, inside, leave, closed = [], threading.Event(), threading.Event(), threading.Event()

    def call():
        with gate:
            inside.set()
            leave.wait()
            order.append("call ends")

    def next_call():
        with gate:
            order.append("next call")

    first = threading.Thread(target=call)
    first.start()
    inside.wait()
    late = threading.Thread(target=next_call)

    def release():
        with gate._changed:
            gate._changed.wait_for(lambda: gate._forking)
        late.start()
        closed.set()
        leave.set()

    releaser = threading.Thread(target=release)
    releaser.start()
    wake_up_when_forking(gate)
    assert forked(gate)
    order.append("forked")
    for thread in (first, late, releaser):
        thread.join()
    assert order[0] == "call ends"
    assert set(order) == {"call ends", "forked", "next call"}


def wake_up_when_forking(gate):
    """Let those who wait for the gate to close see it at once."""
    original = gate._changed.wait_for

    def wait_for(predicate, timeout=None):
        gate._changed.notify_all()
        return original(predicate, timeout)

    gate._changed.wait_for = wait_for


def test_fork_does_not_wait_for_ever():
    gate, inside, leave = ForkGate(timeout_s=0.01), threading.Event(), threading.Event()

    def call():
        with gate:
            inside.set()
            leave.wait()

    thread = threading.Thread(target=call)
    thread.start()
    inside.wait()
    assert forked(gate)
    leave.set()
    thread.join()


def test_fork_does_not_wait_for_a_call_of_its_own_thread():
    """The call goes on only after the signal handler that forks."""
    gate = ForkGate(timeout_s=threading.TIMEOUT_MAX)
    with gate:
        assert forked(gate)


def test_asyncio_says_that_it_does_not_survive_a_fork(monkeypatch):
    process = _Process()
    process.claim()
    process.claim()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(RuntimeError, match="does not survive a fork"):
        process.claim()
