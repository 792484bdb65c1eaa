"""A gateway session and its identifiers. Pure."""

import hashlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Session:
    """A session of the gateway as far as its events have been applied.

    Attributes:
        resume_url: where to resume, "" if Discord sent none.
        resumes: RESUMEs in a row, of all processes, without a stored event.
    """

    id: str
    sequence: int
    resume_url: str
    fingerprint: str
    resumes: int = 0

    @property
    def mark(self) -> str:
        """A short public name of the session."""
        return mark_of(self.id)

    def __repr__(self) -> str:
        return f"Session({self.mark}, sequence {self.sequence})"


def begun_by(ready: Any, sequence: int, fingerprint: str) -> Session:
    """Return the session that READY begins; raises LookupError, TypeError or ValueError if it names none."""
    session_id, resume_url = ready["session_id"], ready.get("resume_gateway_url")
    if not isinstance(session_id, str) or not session_id:
        raise ValueError("READY without a session")
    return Session(session_id, sequence, resume_url if isinstance(resume_url, str) else "", fingerprint)


def mark_of(session_id: str) -> str:
    """Return a short public name of a session; the id itself is needed to resume and stays in its record."""
    return hashlib.sha256(session_id.encode()).hexdigest()[:12]


def fingerprint_of(token: str, intents: int, shard_count: int, gateway_url: str = "") -> str:
    """Return a hash of everything that a session depends on; with another value it is not resumed."""
    parts = (token, str(intents), str(shard_count), *filter(None, [gateway_url]))
    return hashlib.sha256(":".join(parts).encode()).hexdigest()[:32]
