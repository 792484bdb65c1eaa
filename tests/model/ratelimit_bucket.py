"""The model's arithmetic of one bucket. Times are us; `rid` is Discord's Reset in ms."""

import math
from dataclasses import dataclass, field
from typing import Any

SECOND, MINUTE = 1_000_000, 60_000_000
GUARD_US = 1000
SAME_RESET_MS = 5
VAGUE_MS = 300
LARGE, MAX_PROVEN = 10, 1000
CAUTION_US, MORE_CAUTION_US = 10 * MINUTE, 60 * MINUTE
FEW_IN_FLIGHT = 4


def whole(value: float) -> int:
    """Round as the script does, which packs whole numbers."""
    return math.floor(value + 0.5)


@dataclass
class Bucket:
    """The known state of a bucket; unknown while `limit` is None. Calls in flight are counted elsewhere (`infl`)."""

    limit: int | None = None
    remaining: float = 0
    reset: float = 0
    rid: int = 0
    leaky: bool | None = None
    step: float | None = None
    period: float | None = None
    opened: float = 0
    proven: int = 0
    cautious: int | None = None
    moved: int | None = None
    full: bool = False
    counted: int | None = None
    heads: dict[str, int] = field(default_factory=dict)

    def take_over(self, former: "Bucket") -> None:
        """Start with the state under a former name."""
        self.limit, self.remaining, self.reset, self.rid = former.limit, former.remaining, former.reset, former.rid
        self.leaky, self.step, self.period, self.opened = former.leaky, former.step, former.period, former.opened
        self.proven, self.cautious = former.proven, former.cautious
        self.full, self.counted = former.full, former.counted

    def is_cautious(self, now: int) -> bool:
        """A 429 has contradicted the numbers; until then only the Remaining of the newest answer counts."""
        return now < (self.cautious or 0)

    def is_careful(self, now: int) -> bool:
        """Its Reset is not known to return all tokens; until it is, only the Remaining of the newest answer counts."""
        return self.is_cautious(now) or not (self.leaky or self.full)

    def grow_cautious(self, now: int) -> None:
        again = self.cautious is not None and now >= self.cautious
        self.cautious = max(self.cautious or 0, now + (MORE_CAUTION_US if again else CAUTION_US))

    def was_cautious(self, now: int, ago: int) -> bool:
        """Whether a call that left so long ago did so with all the caution there is."""
        lasts = (self.cautious or 0) - now
        return lasts > 0 and ago < (MORE_CAUTION_US if lasts > CAUTION_US else CAUTION_US) - lasts

    def is_mixed(self, now: int) -> bool:
        """Its limit has changed lately: routes with one hash may count apart."""
        return self.moved is not None and now - self.moved < MINUTE

    def is_tried(self) -> bool:
        """A burst starts with one call, and grows with each answer."""
        return (self.limit or 0) > LARGE or (self.limit is not None and self.cautious is not None)

    def charged(self, now: int) -> None:
        """A call leaves: caution that is over starts a trial, and a window that is over is another one."""
        if self.cautious and now >= self.cautious:
            self.cautious, self.proven = 0, 0
        self.roll(now)

    def heard(self, outcome: str) -> None:
        """What a bucket that is tried has let pass; a 429 of another limiter begins anew."""
        if outcome == "paused":
            self.proven = 0
        elif outcome == "answered" and self.is_tried():
            self.proven = min(self.proven + 1, MAX_PROVEN)

    def available(self, now: int, infl: int) -> tuple[float, float | None]:
        """How many may be sent now; if none, the instant one may, None if only an answer can tell."""
        at: float | None = None
        if self.limit is None:
            return int(infl == 0), None
        if self.is_tried() and infl >= max(1, self.proven // 2):
            return 0, None
        if self.is_careful(now):
            if self.is_cautious(now) and infl >= FEW_IN_FLIGHT:
                return 0, None
            free = max(self.remaining, 1) if infl == 0 and now >= self.reset else self.remaining - infl
            return (free, None) if free >= 1 else (0, self.reset if infl == 0 else None)
        if self.leaky:
            free = math.floor((self.limit * self.step - max(0, self.reset - now)) / self.step) - infl
            at = max(now + 1, self.reset + (infl + 1 - self.limit) * self.step)
        elif 0 < self.reset <= now:
            free = self.limit - infl
        else:
            free, at = self.remaining - infl, self.reset or None
        if free >= 1:
            return free, None
        return 0, at if infl < self.limit else None

    def eta(self, now: int, infl: int, k: int) -> float:
        """Return a lower bound of the instant at which the k-th waiting call can be sent."""
        if self.limit is None:
            return now
        if self.leaky and not self.is_cautious(now):
            return max(now, max(self.reset, now) + (infl + k - self.limit) * self.step)
        period, over = self.period or 0, 0 < self.reset <= now
        left = k + infl - (self.limit if over else self.remaining)
        if left <= 0:
            return now
        start = now + period if over else (self.reset or self.opened + period)
        return max(now, start + (math.ceil(left / self.limit) - 1) * period)

    def roll(self, now: int) -> None:
        """A window whose end has passed is over; only an answer tells when the next one ends."""
        if self.limit is not None and not self.leaky and not self.is_careful(now) and 0 < self.reset <= now:
            self.remaining, self.reset, self.opened = self.limit, 0, now

    def count_unseen(self, now: int) -> None:
        """A request without a readable answer may have been counted by Discord."""
        if self.limit is None:
            return
        if self.leaky and not self.is_cautious(now):
            self.reset = max(self.reset, now) + self.step
            return
        self.roll(now)
        self.remaining = max(0, self.remaining - 1)
        if not self.reset or (self.is_careful(now) and now >= self.reset):
            self.reset = now + (self.period or 5 * SECOND)

    def learn(self, now: int, answer: dict[str, Any], sure_latency: float) -> None:
        """Apply an answer unless it belongs to an earlier window."""
        answered = now - answer["age_us"]
        limit, remaining, rid, after = (answer[name] for name in ("limit", "remaining", "rid", "after_us"))
        reset, moved = answered + after + GUARD_US - sure_latency, self.limit != limit
        vague = rid == 0
        rid = (answered + after) // 1000 if vague else rid
        used = max(1, limit - remaining)
        least, most = max(1, (after - 500) / used), max(1, after / (used - 1) if used > 1 else after + 500)
        if self.limit is not None and rid < self.rid - SAME_RESET_MS and not vague:
            return
        later = rid > self.rid + (VAGUE_MS if vague else SAME_RESET_MS) or (vague and self.reset == 0)
        if self.limit is None or later:
            still_open = rid - after / 1000 < self.rid
            if self.limit is None:
                self.opened = now
            elif not moved:
                by_us = (rid - self.rid) * 1000
                by_a_step = max(self.step or 0, least) - GUARD_US <= by_us <= most + GUARD_US
                if still_open and not vague and by_a_step:
                    self.leaky = True
                ago = math.inf if self.counted is None else answered - self.counted
                self.full = self.full or (remaining == limit - 1 and ago < (self.period or 0) - GUARD_US)
            self.remaining, self.reset, self.rid = remaining, reset, rid
        else:
            self._learn_more(remaining, reset, after, vague=vague)
        if moved and self.limit is not None:
            self.moved = now
        if moved:
            self.limit, self.step, self.period, self.full = limit, None, None, False
        self.step = min(max(self.step or least, least), most)
        if not self.leaky:
            self.period = max(self.period or 1, after)
        if answer["outcome"] not in ("paused", "exhausted", "global"):
            self.counted = max(self.counted or 0, answered - answer["rtt_us"])

    def _learn_more(self, remaining: int, reset: float, after: int, *, vague: bool) -> None:
        """The same window once more: numbers only get worse, and an end that does not move is a fixed window's."""
        if self.leaky and self.limit > 1 and after > 0 and not vague:
            self.leaky, self.remaining = False, min(remaining, self.remaining)
        if self.reset > 0:
            self.remaining = min(self.remaining, remaining)
            self.reset = max(self.reset, reset) if vague else min(self.reset, reset)
            self.leaky = self.leaky if vague else bool(self.leaky)

    def exhaust(self, now: int, retry_us: int, *, leaks_indeed: bool) -> None:
        """A 429 of this very bucket: nothing before `retry_us`."""
        back = now + retry_us + GUARD_US
        if self.limit is None:
            self.limit, self.remaining, self.rid, self.reset, self.opened, self.step = 1, 0, 0, back, now, retry_us
        elif leaks_indeed and self.leaky and not self.is_cautious(now):
            self.reset = max(self.reset, back + (self.limit - 1) * self.step)
        else:
            self.remaining, self.reset, self.full = 0, max(self.reset, back), False
            if not leaks_indeed and self.limit > 1:
                self.grow_cautious(now)

    def told(self, now: int) -> str:
        """What a worker remembers of it, for a server that forgets."""
        if self.limit is None:
            return ""
        left = max(0, self.reset - now) if self.reset > 0 else 0
        leaky = "" if self.leaky is None else int(self.leaky)
        numbers = (
            self.limit,
            self.remaining,
            whole(left),
            self.rid,
            leaky,
            whole(self.step or 0),
            whole(self.period or 0),
        )
        return "|".join(str(number) for number in numbers)

    def restore(self, now: int, told: str, age_us: int) -> None:
        """Take back what a worker remembers, unless something newer is known."""
        limit, remaining, left, rid, leaky, step, period = told.split("|")
        reset = now + max(0, int(left) - age_us)
        if self.limit is not None and self.rid > int(rid):
            return
        if self.limit is not None and self.rid == int(rid):
            self.remaining, self.reset = min(self.remaining, int(remaining)), max(self.reset, reset)
        else:
            self.remaining, self.reset = int(remaining), reset
        self.limit, self.rid, self.opened, self.step, self.period = int(limit), int(rid), now, int(step), int(period)
        self.leaky = None if leaky == "" else leaky == "1"

    def rounded(self) -> None:
        """The stored state has whole numbers."""
        for name in ("remaining", "reset", "step", "period"):
            value = getattr(self, name)
            setattr(self, name, None if value is None else whole(value))
