"""Compares what callers were told with what Discord did. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Told = Literal["ok", "no", "yes", "unknown"]


@dataclass(slots=True)
class Send:
    """One thing a caller wanted to happen once.

    Attributes:
        way: how it was sent.
        text: what finds it in Discord.
        told: the answer of each attempt: `ok`, or `sent` of the error.
        reasons: why attempts failed.
    """

    way: str
    text: str
    told: list[Told] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> Told:
        """What the caller knows in the end: an attempt whose fate is unknown is not forgotten."""
        if self.told and self.told[-1] == "ok":
            return "ok"
        return next((told for told in ("yes", "unknown") if told in self.told), "no")

    @property
    def internal(self) -> int:
        """Attempts in which the proxy itself failed."""
        return self.reasons.count("INTERNAL")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was wrong, by text; all empty when every answer was true.

    Attributes:
        lost: answered OK, and not there.
        doubled: there more than once.
        untrue: `sent` is yes and it is not there, or no and it is.
    """

    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    untrue: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether all is well."""
        return not (self.lost or self.doubled or self.untrue)


def judge(sends: Iterable[Send], stored: Mapping[str, int]) -> Verdict:
    """Return the verdict; `stored` tells how often each text is at Discord."""
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
        row["attempts"] += len(send.told)
        row[send.outcome] += 1
        row["stored"] += stored.get(send.text, 0)
    columns = ("sends", "attempts", "ok", "no", "yes", "unknown", "stored")
    return [{"way": way, **{column: row[column] for column in columns}} for way, row in rows.items()]
