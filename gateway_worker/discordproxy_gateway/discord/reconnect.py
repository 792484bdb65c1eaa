"""Decides how to go on after the end of a connection. Pure."""

from dataclasses import dataclass

FIRST_RESUME_S = 1.0
MAX_RESUME_S = 60.0
MAX_ADVICE_S = 3600.0
"""Upper bound of a wait that a response advises."""

FIRST_IDENTIFY_S = 5.0
MAX_IDENTIFY_S = 900.0

SESSION_GONE = frozenset({4007, 4009})
"""Close codes after which Discord requires a new session (opcodes and status codes, gateway close events)."""


@dataclass(frozen=True, slots=True)
class ConnectionEnd:
    """How a connection ended.

    Attributes:
        reason: a few words for log and status.
        code: close code of the websocket, if one was given.
        session_gone: Discord refuses to resume the session (op 9 false), or there was none yet.
        established: a connection had come about.
        wait_s: minimum wait advised by the other side.
        unreadable: a message could not be decoded.
    """

    reason: str
    code: int | None = None
    session_gone: bool = False
    established: bool = True
    wait_s: float = 0.0
    unreadable: bool = False

    @property
    def must_identify(self) -> bool:
        """Whether resuming is pointless."""
        return self.session_gone or self.code in SESSION_GONE


@dataclass(frozen=True, slots=True)
class ReconnectStep:
    """Whether to keep the stored session, and how long to wait before connecting."""

    keep_session: bool
    wait_s: float


def next_step(end: ConnectionEnd, *, failures: int, jitter: float) -> ReconnectStep:
    """Decide how to go on.

    Args:
        end: how the connection ended.
        failures: ends of the same kind before this one without a healthy connection between.
        jitter: drawn evenly from [0, 1); spreads reconnects over time.
    """
    advised_s = min(end.wait_s, MAX_ADVICE_S)
    if end.must_identify:
        # Discord: wait 1 to 5 s after an invalid session. More failures cost budget, so they cost time, too.
        wait_s = 1 + 4 * jitter if not failures else back_off(FIRST_IDENTIFY_S, MAX_IDENTIFY_S, failures, jitter)
        return ReconnectStep(keep_session=False, wait_s=max(advised_s, wait_s))
    failures += not end.established  # only a connection that was there is tried again at once
    wait_s = 0.0 if not failures else back_off(FIRST_RESUME_S, MAX_RESUME_S, failures - 1, jitter)
    return ReconnectStep(keep_session=True, wait_s=max(advised_s, wait_s))


def back_off(first_s: float, max_s: float, doublings: int, jitter: float) -> float:
    """Return a wait that doubles with each failure up to a bound; jitter, from [0, 1), takes off up to a half."""
    bound = min(max_s, first_s * 2.0 ** min(doublings, 20))
    return bound * (0.5 + jitter / 2)
