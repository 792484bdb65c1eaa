"""One record per request and per stored message, with totals for assertions. Holds no token and no message content."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from discordproxy_sandbox.errors import Json


@dataclass(slots=True)
class Record:
    """One request, judged when it arrived. Times are epoch seconds of the sandbox's clock."""

    number: int
    arrived_at: float
    method: str
    path: str  # tokens in it are masked
    template: str = ""
    credential: str = ""  # bot, bearer or none
    major: str = ""
    in_flight: int = 0  # unanswered requests at its arrival, this one included
    digest: str = ""  # of the body
    nonce: str = ""
    reason: str = ""  # X-Audit-Log-Reason, decoded
    answered_at: float = 0.0
    status: int = 0  # 0: no response was sent
    bucket: str = ""
    scope: str = ""  # of a 429
    retry_after: float = 0.0
    avoidable: bool = False
    hidden: bool = False  # a 429 of a limit that headers do not show
    fault: str = ""  # the injected fault that determined the response
    violations: list[str] = field(default_factory=list)

    def as_json(self) -> Json:
        """Return the record as a JSON object."""
        return asdict(self)


@dataclass(slots=True)
class Stored:
    """One stored message; `digest` covers the visible content, not the nonce."""

    channel_id: str
    message_id: str
    digest: str
    nonce: str


class Ledger:
    """Append-only; `records` in order of arrival, `stored` in order of storing."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.stored: list[Stored] = []
        self.nonce_repeats = 0  # repeated sends for which the first message was returned
        self.max_in_flight = 0
        self._in_flight = 0

    def open(self, record: Record) -> None:
        """Add a request on arrival."""
        self._in_flight += 1
        record.in_flight = self._in_flight
        self.max_in_flight = max(self.max_in_flight, self._in_flight)
        self.records.append(record)

    def close(self, record: Record, status: int, now: float) -> None:
        """Record the response's status; 0 if no response was sent."""
        self._in_flight -= 1
        record.status = status
        record.answered_at = now

    def next_number(self) -> int:
        """Return the number of the next request, from 1."""
        return len(self.records) + 1

    def matching(self, route: str) -> list[Record]:
        """Return the records of one route, e.g. "POST /channels/{channel_id}/messages"."""
        return [record for record in self.records if f"{record.method} {record.template}" == route]

    @property
    def avoidable_429s(self) -> int:
        """429s that a client could have avoided by reading headers and bodies."""
        return sum(record.avoidable for record in self.records)

    @property
    def hidden_429s(self) -> int:
        """429s of limits that no header had shown; a client that learns a rate from them receives few."""
        return sum(record.hidden and not record.avoidable for record in self.records)

    @property
    def duplicate_nonces(self) -> int:
        """Messages whose nonce an earlier message of the channel had."""
        return _repeats((one.channel_id, one.nonce) for one in self.stored if one.nonce)

    @property
    def duplicate_contents(self) -> int:
        """Messages whose content equals an earlier one of the channel."""
        return _repeats((one.channel_id, one.digest) for one in self.stored)

    @property
    def violations(self) -> list[str]:
        """All rule violations of all requests, such as unknown JSON keys."""
        return [violation for record in self.records for violation in record.violations]

    def order(self, channel_id: str | int) -> list[str]:
        """Return the ids of a channel's messages in the order of storing."""
        return [one.message_id for one in self.stored if one.channel_id == str(channel_id)]

    def stats(self) -> Json:
        """Return the totals."""
        refused = [record for record in self.records if record.status == 429]  # noqa: PLR2004 - Too Many Requests
        return {
            "requests": len(self.records),
            "by_status": Counter(str(record.status) for record in self.records),
            "by_route": Counter(f"{record.method} {record.template}" for record in self.records),
            "429": {
                "avoidable": self.avoidable_429s,
                "injected": sum(bool(record.fault) for record in refused),
                "by_scope": Counter(record.scope or "none" for record in refused),
            },
            "hidden_429s": self.hidden_429s,
            "invalid": sum(is_invalid(record.status, record.scope) for record in self.records),
            "stored": len(self.stored),
            "nonce_repeats": self.nonce_repeats,
            "duplicate_nonces": self.duplicate_nonces,
            "duplicate_contents": self.duplicate_contents,
            "in_flight": self._in_flight,
            "max_in_flight": self.max_in_flight,
            "violations": len(self.violations),
        }

    def clear(self) -> None:
        """Delete all records; requests in flight stay counted."""
        self.records.clear()
        self.stored.clear()
        self.nonce_repeats = 0
        self.max_in_flight = self._in_flight


def is_invalid(status: int, scope: str) -> bool:
    """Return whether a response counts towards the ban for invalid requests."""
    return status in (401, 403) or (status == 429 and scope != "shared")  # noqa: PLR2004 - HTTP statuses


def _repeats(keys: Iterable[tuple[str, str]]) -> int:
    return sum(count - 1 for count in Counter(keys).values())
