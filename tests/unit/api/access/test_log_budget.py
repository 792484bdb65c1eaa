"""Log lines about strangers: few in a minute, and the others are counted."""

from discordproxy_api.access.log_budget import LogBudget


def test_lines_beyond_the_budget_are_left_out_and_counted():
    budget = LogBudget(lines=2, within_s=60)
    assert [budget.take(second) for second in range(5)] == [0, 0, None, None, None]
    assert [budget.take(60 + second) for second in range(3)] == [3, 0, None]
    assert budget.take(1000) == 1


def test_a_budget_that_is_not_used_up_leaves_nothing_out():
    budget = LogBudget(lines=2, within_s=60)
    assert [budget.take(31 * number) for number in range(20)] == [0] * 20
