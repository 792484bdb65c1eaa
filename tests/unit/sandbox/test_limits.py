import math

import pytest

from discordproxy_sandbox.limits.limits import FixedWindow, Gcra, GlobalLimit, InvalidRequests, Limiter

EPOCH = 1_790_000_000.0
BUCKETS = [(5, 5.0), (10, 10.0), (10, 15.0), (5, 2.0), (3, 1.0), (30, 120.0), (1, 0.25), (2000, 600.0)]


@pytest.mark.parametrize(("limit", "window_s"), BUCKETS)
def test_leaky_first_answer_shows_one_token_not_the_window(limit, window_s):
    decision = Gcra(limit, window_s).hit(EPOCH)
    assert decision.allowed
    assert decision.remaining == limit - 1
    assert decision.reset_after == pytest.approx(window_s / limit, abs=1e-6)
    assert decision.reset == pytest.approx(EPOCH + window_s / limit)


@pytest.mark.parametrize(("limit", "window_s"), BUCKETS)
def test_leaky_burst_then_one_token_per_interval(limit, window_s):
    bucket, token_s = Gcra(limit, window_s), window_s / limit
    answers = [bucket.hit(EPOCH) for _ in range(limit)]
    assert [a.remaining for a in answers] == list(range(limit - 1, -1, -1))
    assert answers[-1].reset_after == pytest.approx(window_s, abs=1e-5)
    refused = bucket.hit(EPOCH)
    assert not refused.allowed
    assert refused.retry_after == pytest.approx(token_s, abs=1e-5)
    assert not bucket.hit(EPOCH + token_s * 0.9).allowed
    assert bucket.hit(EPOCH + token_s).allowed
    assert not bucket.hit(EPOCH + token_s).allowed


@pytest.mark.parametrize(("limit", "window_s"), BUCKETS)
def test_fixed_window_opens_at_the_first_hit_after_expiry(limit, window_s):
    bucket = FixedWindow(limit, window_s)
    first = bucket.hit(EPOCH)
    later = [bucket.hit(EPOCH + window_s / 2) for _ in range(limit)]
    assert first.reset == EPOCH + window_s
    assert {a.reset for a in later} == {first.reset}
    assert [a.allowed for a in later] == [True] * (limit - 1) + [False]
    assert later[-1].retry_after == pytest.approx(window_s / 2)
    reopened = bucket.hit(EPOCH + 3 * window_s)
    assert reopened.reset == EPOCH + 4 * window_s
    assert reopened.remaining == limit - 1


@pytest.mark.parametrize("kind", [FixedWindow, Gcra])
def test_waiting_retry_after_is_enough_and_less_is_not(kind):
    bucket = kind(3, 7.0)
    for step in range(3):
        bucket.hit(EPOCH + step * 0.1)
    now = EPOCH + 0.5
    wait = bucket.hit(now).retry_after
    assert not bucket.hit(now + wait - 0.01).allowed
    assert bucket.hit(now + wait + 1e-6).allowed


@pytest.mark.parametrize("kind", [FixedWindow, Gcra])
def test_refused_hits_change_nothing(kind):
    bucket = kind(2, 10.0)
    bucket.hit(EPOCH), bucket.hit(EPOCH)
    waits = [bucket.hit(EPOCH + 1).retry_after for _ in range(100)]
    assert len(set(waits)) == 1


@pytest.mark.parametrize("kind", [FixedWindow, Gcra])
def test_limit_may_shrink_in_mid_window(kind):
    bucket = kind(10, 10.0)
    for _ in range(6):
        bucket.hit(EPOCH)
    bucket.limit = 2
    decision = bucket.hit(EPOCH + 0.1)
    assert not decision.allowed
    assert decision.limit == 2


def accepted(limiter: Limiter | GlobalLimit, times: list[float]) -> list[float]:
    return [t for t in times if limiter.hit(t).allowed]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        # 50 at .9, 50 at 1.1 after the epoch: only an aligned second lets all hundred through.
        ("aligned", 100),
        ("first_request", 50),
        ("sliding", 50),
        ("gcra", 60),
    ],
)
def test_global_models_differ_at_the_edge_of_a_second(model, expected):
    limiter = GlobalLimit(50, model)
    assert len(accepted(limiter, [EPOCH + 0.9] * 50 + [EPOCH + 1.1] * 50)) == expected


@pytest.mark.parametrize("model", ["aligned", "first_request", "sliding", "gcra"])
def test_global_models_grant_at_most_the_limit_per_second_in_the_long_run(model):
    times = accepted(GlobalLimit(50, model), [EPOCH + n / 200 for n in range(2000)])
    assert 500 <= len(times) <= 550


def test_sliding_window_never_has_more_than_the_limit_in_any_second():
    times = accepted(GlobalLimit(50, "sliding"), [EPOCH + n * 0.013 for n in range(1000)])
    for index, start in enumerate(times):
        assert len([t for t in times[index : index + 60] if t < start + 1.0 - 1e-6]) <= 50


def test_invalid_requests_end_in_a_ban_that_ends():
    budget = InvalidRequests(limit=100, window_s=600.0, ban_s=60.0)
    assert all(budget.hit(EPOCH + n).allowed for n in range(99))
    assert budget.banned_for(EPOCH + 99) == 0
    assert not budget.hit(EPOCH + 100).allowed
    assert budget.banned_for(EPOCH + 101) == pytest.approx(59)
    assert budget.banned_for(EPOCH + 161) == 0


def test_invalid_requests_age_out():
    budget = InvalidRequests(limit=10, window_s=600.0)
    assert all(budget.hit(EPOCH + n * 70.0).allowed for n in range(200))


@pytest.mark.parametrize("kind", [FixedWindow, Gcra])
def test_idle_means_a_fresh_one_would_answer_the_same(kind):
    bucket = kind(4, 8.0)
    decision = bucket.hit(EPOCH)
    assert not bucket.is_idle(EPOCH)
    assert bucket.is_idle(decision.reset)
    assert math.isclose(bucket.hit(decision.reset).reset, kind(4, 8.0).hit(decision.reset).reset)
