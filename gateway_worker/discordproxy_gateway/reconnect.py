"""What to do after a connection has ended. Pure: chance and counts come in, a step comes out."""

from dataclasses import dataclass

FIRST_RESUME_S = 1.0
LONGEST_RESUME_S = 60.0
FIRST_IDENTIFY_S = 5.0
LONGEST_IDENTIFY_S = 900.0

SESSION_GONE = frozenset({4007, 4009})
"""Close codes after which Discord asks for a new session (opcodes and status codes, gateway close events)."""


@dataclass(frozen=True, slots=True)
class End:
    """How a connection ended.

    Attributes:
        reason: a word or two for log and status.
        code: close code of the websocket, if one was given.
        session_gone: Discord said that the session cannot be resumed (op 9 false).
    """

    reason: str
    code: int | None = None
    session_gone: bool = False

    @property
    def must_identify(self) -> bool:
        """Whether resuming is pointless."""
        return self.session_gone or self.code in SESSION_GONE


@dataclass(frozen=True, slots=True)
class Step:
    """Whether the stored session is worth keeping, and how long to wait before connecting."""

    keep_session: bool
    wait_s: float


def next_step(end: End, *, failures: int, chance: float) -> Step:
    """Decide how to go on.

    Args:
        end: how the connection ended.
        failures: ends of the same kind before this one without a healthy connection between.
        chance: drawn evenly from [0, 1); spreads the bots of the world over time.
    """
    if end.must_identify:
        # Discord: wait 1 to 5 s after an invalid session. More failures cost budget, so they cost time, too.
        wait_s = 1 + 4 * chance if not failures else _back_off(FIRST_IDENTIFY_S, LONGEST_IDENTIFY_S, failures, chance)
        return Step(keep_session=False, wait_s=wait_s)
    wait_s = 0.0 if not failures else _back_off(FIRST_RESUME_S, LONGEST_RESUME_S, failures - 1, chance)
    return Step(keep_session=True, wait_s=wait_s)


def _back_off(first_s: float, longest_s: float, doublings: int, chance: float) -> float:
    bound = min(longest_s, first_s * 2.0 ** min(doublings, 20))
    return bound * (0.5 + chance / 2)
