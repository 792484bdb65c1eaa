"""A judge that never finds anything would prove nothing."""

import pytest

from chaos.verdict import Send, Verdict, judge, table


def sent(*told):
    return Send("message", "text", list(told), ["X"] * sum(each != "ok" for each in told))


@pytest.mark.parametrize(
    ("told", "stored", "wrong"),
    [
        (["ok"], 1, ""),
        (["ok"], 0, "lost"),
        (["ok"], 2, "doubled"),
        (["no"], 0, ""),
        (["no"], 1, "untrue"),
        (["no", "ok"], 2, "doubled"),
        (["yes"], 1, ""),
        (["yes"], 0, "untrue"),
        (["unknown"], 0, ""),
        (["unknown"], 1, ""),
        (["unknown"], 2, "doubled"),
        (["unknown", "no"], 1, ""),
        ([], 1, "untrue"),
    ],
)
def test_verdict(told, stored, wrong):
    verdict = judge([sent(*told)], {"text": stored})
    expected = {kind: ("text",) if kind == wrong else () for kind in ("lost", "doubled", "untrue")}
    assert verdict == Verdict(**expected)
    assert bool(verdict) is (not wrong)


def test_table():
    (row,) = table([sent("no", "ok"), sent("unknown")], {"text": 1})
    assert list(row.values()) == ["message", 2, 3, 1, 0, 0, 1, 2]
