"""Log lines about unauthenticated callers: few in a minute; the others are counted."""

from discordproxy_api.access.log_budget import LogBudget


def test_lines_beyond_the_budget_are_dropped_and_counted():
    budget = LogBudget(max_lines=2, window_s=60)
    assert [budget.count_line(second) for second in range(5)] == [0, 0, None, None, None]
    assert [budget.count_line(60 + second) for second in range(3)] == [3, 0, None]
    assert budget.count_line(1000) == 1


def test_a_budget_that_is_not_used_up_drops_nothing():
    budget = LogBudget(max_lines=2, window_s=60)
    assert [budget.count_line(31 * number) for number in range(20)] == [0] * 20
