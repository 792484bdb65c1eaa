"""Compares the answers that callers got with Discord's state. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

SendResult = Literal["ok", "no", "yes", "unknown"]


@dataclass(slots=True)
class Send:
    """One message that a caller wanted to send once.

    Attributes:
        way: the way of sending.
        text: its unique text.
        answers: the answer of each attempt: `ok`, or `sent` of the error.
        reasons: reasons of the failed attempts.
    """

    way: str
    text: str
    answers: list[SendResult] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> SendResult:
        """The final answer; `unknown` of an earlier attempt outweighs a later `no`."""
        if self.answers and self.answers[-1] == "ok":
            return "ok"
        return next((answer for answer in ("yes", "unknown") if answer in self.answers), "no")

    @property
    def internal(self) -> int:
        """Attempts that failed with reason INTERNAL."""
        return self.reasons.count("INTERNAL")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The wrong answers by text; all empty when every answer was true.

    Attributes:
        lost: answered OK, but not stored.
        doubled: stored more than once.
        untrue: `sent` is yes but it is not stored, or no but it is.
    """

    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    untrue: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether all is well."""
        return not (self.lost or self.doubled or self.untrue)


def judge(sends: Iterable[Send], stored: Mapping[str, int]) -> Verdict:
    """Return the verdict; `stored` maps each text to its number of stored messages."""
    lost, doubled, untrue = [], [], []
    for send in sends:
        count, outcome = stored.get(send.text, 0), send.outcome
        if count > 1:
            doubled.append(send.text)
        if outcome == "ok" and not count:
            lost.append(send.text)
        if (outcome == "yes" and not count) or (outcome == "no" and count):
            untrue.append(send.text)
    return Verdict(tuple(lost), tuple(doubled), tuple(untrue))


def table(sends: Iterable[Send], stored: Mapping[str, int]) -> list[dict[str, int | str]]:
    """Return one row per way of sending."""
    rows: dict[str, Counter[str]] = {}
    for send in sends:
        row = rows.setdefault(send.way, Counter())
        row["sends"] += 1
        row["attempts"] += len(send.answers)
        row[send.outcome] += 1
        row["stored"] += stored.get(send.text, 0)
    columns = ("sends", "attempts", "ok", "no", "yes", "unknown", "stored")
    return [{"way": way, **{column: row[column] for column in columns}} for way, row in rows.items()]
