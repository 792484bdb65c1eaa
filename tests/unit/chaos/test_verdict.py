"""The verdict on a chaos run detects lost, doubled and untrue answers."""

import pytest

from chaos.verdict import Send, Verdict, judge, table


def sent(*answers):
    return Send("message", "text", list(answers), ["X"] * sum(each != "ok" for each in answers))


@pytest.mark.parametrize(
    ("answers", "stored", "wrong"),
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
def test_verdict(answers, stored, wrong):
    verdict = judge([sent(*answers)], {"text": stored})
    expected = {kind: ("text",) if kind == wrong else () for kind in ("lost", "doubled", "untrue")}
    assert verdict == Verdict(**expected)
    assert bool(verdict) is (not wrong)


def test_table():
    (row,) = table([sent("no", "ok"), sent("unknown")], {"text": 1})
    assert list(row.values()) == ["message", 2, 3, 1, 0, 0, 1, 2]
