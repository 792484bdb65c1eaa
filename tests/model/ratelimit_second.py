"""The model's second limiters of a lane: rates learned from 429s. Times are us."""

import math
from dataclasses import dataclass, field
from typing import Any

from model.ratelimit_bucket import MINUTE, SECOND

MAX_LOGGED, MAX_LIMITERS, DAY = 256, 3, 86_400_000_000


@dataclass
class Sent:
    id: str
    at: int
    answered: int = 0


@dataclass
class Limiter:
    name: str
    limit: int
    period: int
    since: int = 0
    reported: int = 0
    quiet: int = 0
    step: int = 1
    size: int = 0

    def trust_period(self) -> int:
        if self.limit < self.size:
            return max(10 * SECOND, 4 * self.period)
        return max(10 * MINUTE if self.size else MINUTE, 10 * self.period)


@dataclass
class Second:
    """Of one lane: what left, and the limiters that count it."""

    log: list[Sent] = field(default_factory=list)
    limiters: list[Limiter] = field(default_factory=list)
    changed: bool = False

    def forget(self) -> None:
        """The server lost its memory: who is in flight is not known any more."""
        self.log = []
        for limiter in self.limiters:
            limiter.since = 0

    def instant(self, now: int) -> tuple[bool, int | None]:
        """Whether a call may leave; if not, when; None: an answer must come first."""
        at = now
        for limiter in self.limiters:
            free, later = self._passes(limiter, now)
            if not free and later is None:
                return False, None
            at = max(at, later or now)
        return (True, None) if at == now else (False, at)

    def is_closed(self, now: int) -> bool:
        """Whether a limiter lets no call pass now; changes nothing."""
        return any(now < m.quiet and not self._passes(m, now)[0] for m in self.limiters)

    def _passes(self, m: Limiter, now: int) -> tuple[bool, int | None]:
        unanswered = sum(not sent.answered for sent in self.log)
        free_at = sorted(s.answered + m.period for s in self.log if s.answered and s.answered + m.period > now)
        if unanswered >= (max(1, len(free_at)) if m.limit else 1):
            return False, None
        over = unanswered + len(free_at) - m.limit + 1
        if not m.limit or over < 1:
            return True, None
        if now >= m.quiet:
            m.limit = min(m.limit + m.step, m.size if m.limit < m.size else math.inf)
            m.step = min(m.step * 2, max(2, m.limit // 8))
            m.quiet = now + m.trust_period()
            self.changed = True
            return True, None
        return False, free_at[over - 1] if over <= len(free_at) else None

    def sent(self, now: int, record_id: str) -> None:
        self.log = [*self.log, Sent(record_id, now)][-MAX_LOGGED:]
        self.changed = True

    def ended(self, now: int, record_id: str, answer: dict[str, Any] | None) -> Sent | None:
        """An answer counts from now on, a refusal and what was never sent do not. Returns what was logged."""
        self.changed = True
        for sent in self.log:
            if sent.id == record_id:
                if answer and answer.get("rtt_us", 0) > 0:
                    sent.at = max(sent.at, now - answer["age_us"] - answer["rtt_us"])
                if answer and answer.get("outcome") not in ("paused", "exhausted", "global"):
                    sent.answered = max(1, now - answer["age_us"])
                else:
                    self.log.remove(sent)
                return sent
        return None

    def _limiter(self, name: str, wait: int) -> Limiter | None:
        fits = [m for m in self.limiters if m.name == name and (name or not m.limit or wait <= 1.25 * m.period)]
        return min(fits, key=lambda m: m.period, default=None)

    def _since(self, start: int, refused: Sent) -> list[int]:
        return sorted(sent.at for sent in self.log if start <= sent.at <= refused.at)

    def refused(self, now: int, answer: dict[str, Any], entry: Sent | None) -> int:
        """A 429 that is not the bucket's own. Returns for how long nothing may leave."""
        named, retry, self.changed = answer.get("second"), answer["retry_us"], True
        leaky = bool(named) and named["limit"] > 1 and named["after_us"] > retry + 1000
        wait = named["after_us"] if named and not leaky else retry
        m, pause = self._limiter(named["name"] if named else "", wait), retry
        if m is None:
            m = Limiter(named["name"], named["limit"], wait) if named else Limiter("", 0, wait)
            self.limiters = [*self.limiters, m][-MAX_LIMITERS:]
            pause = max(pause, named["after_us"] if named else 0)
        else:
            m.period = max(m.period, wait)
            if entry and entry.at >= m.reported:
                self._correct(m, now + wait, wait, entry, named)
        if leaky:
            m.period = math.floor(named["limit"] * (named["after_us"] - retry) / (named["limit"] - 1))
        m.size = named["limit"] if named else m.size
        m.since, m.reported, m.step = now + pause, now, 1
        m.quiet = now + m.trust_period()
        return pause

    def _correct(self, m: Limiter, back: int, wait: int, entry: Sent, named: dict[str, Any] | None) -> None:
        if not m.limit:
            if sent := self._since(m.since, entry):
                m.limit, m.period = len(sent), max(m.period, back - sent[0])
            return
        sent = self._since(m.since if named else back - math.floor(1.25 * m.period), entry)
        most = named["limit"] if named else m.limit
        if len(sent) >= most and (named or wait < m.period / 4):
            m.limit, m.period = most, max(wait, back - sent[-most])
        else:
            m.limit = max(1, min(most, len(self._since(back - math.floor(1.05 * m.period), entry))))

    def close(self, now: int) -> bool:
        """Forget what counts no more. Returns whether anything is left."""
        if self.changed:
            self.changed = False
            self.limiters = [m for m in self.limiters if now - m.reported < DAY]
            longest = max((math.floor(1.25 * m.period) for m in self.limiters), default=0)
            longest = max(longest, MINUTE)
            self.log = [s for s in self.log if not s.answered or s.answered + longest > now]
        return bool(self.limiters)
