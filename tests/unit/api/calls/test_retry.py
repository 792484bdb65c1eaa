"""Decisions about repeats, and their bounds."""

import pytest

from discordproxy_api.calls.retry import (
    NONCE_WINDOW_S,
    Outcome,
    Repeat,
    RetryPolicy,
    pause_before_repeat,
    repeatability,
)

POLICY = RetryPolicy(attempts=4, limited_at_once=3, pause_s=1.0, max_pause_s=3.0)


def pause(outcome, repeat, **changes):
    values = {"attempt": 1, "since_first_s": 0.0, "time_left_s": 60.0, "jitter": 1.0, **changes}
    return pause_before_repeat(outcome, repeat, POLICY, **values)


@pytest.mark.parametrize(
    ("method", "nonce", "repeat"),
    [
        ("GET", False, Repeat.ALWAYS),
        ("PUT", False, Repeat.ALWAYS),
        ("DELETE", False, Repeat.ALWAYS),
        ("PATCH", False, Repeat.ALWAYS),
        ("POST", True, Repeat.NONCE),
        ("POST", False, Repeat.NEVER),
    ],
)
def test_repeatability(method, nonce, repeat):
    assert repeatability(method, nonce=nonce) is repeat


@pytest.mark.parametrize(
    ("outcome", "always", "nonce", "never"),
    [
        (Outcome.UNSENT, True, True, True),
        (Outcome.LIMITED, True, True, True),
        (Outcome.FAILED, True, True, False),
        (Outcome.LOST, True, True, False),
    ],
)
def test_the_table(outcome, always, nonce, never):
    found = [pause(outcome, repeat) is not None for repeat in (Repeat.ALWAYS, Repeat.NONCE, Repeat.NEVER)]
    assert found == [always, nonce, never]


def test_the_broker_delays_the_repeat_of_a_limited_request():
    assert pause(Outcome.LIMITED, Repeat.NEVER, time_left_s=0.0) == 0.0


def test_repeats_after_429_slow_down_and_only_the_deadline_ends_them():
    attempts = (1, 2, 3, 4, 5, 400)
    pauses = [pause(Outcome.LIMITED, Repeat.NEVER, attempt=n) for n in attempts]
    assert pauses == [0.0, 0.0, 1.0, 2.0, 3.0, 3.0]
    assert pause(Outcome.LIMITED, Repeat.NEVER, attempt=400, time_left_s=2.0) is None


def test_pauses_double_up_to_the_longest_and_are_spread():
    assert [pause(Outcome.LOST, Repeat.ALWAYS, attempt=n) for n in (1, 2, 3, 4)] == [1.0, 2.0, 3.0, None]
    assert pause(Outcome.LOST, Repeat.ALWAYS, attempt=2, jitter=0.0) == 1.0


def test_what_discord_asks_for_is_respected():
    assert pause(Outcome.FAILED, Repeat.ALWAYS, retry_after_s=7.0) == 7.0


def test_no_repeat_beyond_the_deadline():
    assert pause(Outcome.LOST, Repeat.ALWAYS, time_left_s=1.0) is None
    assert pause(Outcome.LOST, Repeat.ALWAYS, time_left_s=1.1) == 1.0


def test_a_nonce_is_trusted_only_within_its_window():
    late = {"since_first_s": NONCE_WINDOW_S}
    assert pause(Outcome.LOST, Repeat.NONCE, **late) is None
    assert pause(Outcome.FAILED, Repeat.NONCE, **late) is None
    assert pause(Outcome.UNSENT, Repeat.NONCE, **late) == 1.0
    assert pause(Outcome.LOST, Repeat.ALWAYS, **late) == 1.0
