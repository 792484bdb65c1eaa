"""Counts each finished call and writes its lines of the access log and the audit log; never what it carried."""

import asyncio
import logging
import time
from typing import NamedTuple

from discordproxy_api.access import audit
from discordproxy_api.access.log_budget import LogBudget
from discordproxy_api.calls.call import Call, Sent, Status, facts_of
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.principal import UNAUTHENTICATED
from discordproxy_api.calls.recent_stats import NOT_FAILED, SHOWN, Failure
from discordproxy_ratelimit.process.logs import CALL, FIELDS, late_writer

ACCESS_LOGGER = "discordproxy_api.access"

log = logging.getLogger(ACCESS_LOGGER)


class FinishedCall(NamedTuple):
    """The facts of a line of the access log; `at` is Unix time."""

    at: float
    level: int
    rpc: str
    status: Status
    reason: str
    app: str
    sent: Sent
    requests: int
    http: int
    door: str
    took_s: float
    request_id: str
    trace_id: str

    def record(self) -> logging.LogRecord:
        """Return the record of the line."""
        outcome = f"{self.status} {self.reason}".rstrip()
        http = f" http={self.http}" if self.http else ""
        door = "" if self.door == "grpc" else f" door={self.door}"
        facts = {"status": self.status, "reason": self.reason, "sent": self.sent, "requests": self.requests}
        facts |= {"http": self.http, "door": self.door, "seconds": round(self.took_s, 6)}
        text = (
            f"{self.rpc} {outcome} app={self.app} sent={self.sent} requests={self.requests}{http}{door} "
            f"{self.took_s:.3f} s [{self.request_id}]"
        )
        return logging.makeLogRecord(
            {
                "name": ACCESS_LOGGER,
                "levelno": self.level,
                "levelname": logging.getLevelName(self.level),
                "msg": text,
                "created": self.at,
                "msecs": self.at % 1 * 1000,
                FIELDS: facts,
                CALL: facts_of(self.rpc, self.app, self.request_id, self.trace_id),
            }
        )


class AccessLog:
    """Records the calls of one service.

    Args:
        level: of the lines.
        in_status: whether the status page shows the calls; event streams never are.
        audited: whether calls that may change something are also written to the audit log.
    """

    def __init__(
        self, metrics: Metrics, *, level: int = logging.INFO, in_status: bool = True, audited: bool = False
    ) -> None:
        self._metrics = metrics
        self._level = level
        self._in_status = in_status
        self._audited = audited
        self._unauthenticated_lines = LogBudget()
        self._write_late = late_writer(log)

    def begin(self) -> float:
        """Count a call as in progress; return the loop time."""
        self._metrics.in_progress += 1
        return asyncio.get_running_loop().time()

    def end(self, call: Call, status: Status, refusal: ApiError | None, began_at: float) -> None:
        """Record a finished call that began at loop time `began_at`."""
        metrics, now = self._metrics, asyncio.get_running_loop().time()
        took_s = now - began_at
        shown = SHOWN if self._in_status and not call.streams else ""
        metrics.in_progress -= 1
        metrics.finished.add((call.rpc, status, metrics.app(call.app), shown, call.door), took_s)
        if refusal is not None and refusal.scope == "proxy":
            metrics.refusals.labels(refusal.reason).inc()
        if shown and status not in NOT_FAILED:
            self._record_failure(call, status, refusal)
        if call.logged and (call.app != UNAUTHENTICATED or self._may_log(now)):
            self._write(call, status, refusal.reason if refusal else "", took_s)
            if self._audited and call.audit_entry is not None:
                audit.record(call, call.audit_entry, status, refusal.reason if refusal else "")

    def _record_failure(self, call: Call, status: str, refusal: ApiError | None) -> None:
        failure = Failure(call.rpc, status)
        if refusal is not None:
            failure = Failure(call.rpc, status, refusal.reason, refusal.http_status, refusal.code)
        self._metrics.recent_stats.failed(failure, app=call.app, request_id=call.request_id, at=time.time())

    def _may_log(self, now: float) -> bool:
        left_out = self._unauthenticated_lines.count_line(now)
        if left_out:
            log.warning("%d calls without a valid key were not logged: there were too many", left_out)
        return left_out is not None

    def _write(self, call: Call, status: Status, reason: str, took_s: float) -> None:
        if log.isEnabledFor(self._level):  # load balancers check the health every second
            facts = call.rpc, status, reason, call.app, call.sent, call.attempts, call.answer_status, call.door, took_s
            self._write_late(FinishedCall(time.time(), self._level, *facts, call.request_id, call.trace_id))
