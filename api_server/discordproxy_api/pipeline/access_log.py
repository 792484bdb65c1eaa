"""Counts each finished call and writes its lines of the access log and the audit log; never what it carried."""

import asyncio
import logging
import time

from discordproxy_api.access import audit
from discordproxy_api.access.log_budget import LogBudget
from discordproxy_api.calls.call import Call, Status
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.principal import UNAUTHENTICATED
from discordproxy_api.calls.recent_stats import NOT_FAILED, SHOWN, Failure
from discordproxy_ratelimit.process.logs import FIELDS

ACCESS_LOGGER = "discordproxy_api.access"

log = logging.getLogger(ACCESS_LOGGER)


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

    def _write(self, call: Call, status: str, reason: str, took_s: float) -> None:
        if not log.isEnabledFor(self._level):  # load balancers check the health every second
            return
        outcome = f"{status} {reason}".rstrip()
        http = f" http={call.answer_status}" if call.answer_status else ""
        door = "" if call.door == "grpc" else f" door={call.door}"
        facts = {"status": status, "reason": reason, "sent": call.sent, "requests": call.attempts}
        facts |= {"http": call.answer_status, "door": call.door, "seconds": round(took_s, 6)}
        log.log(
            self._level,
            "%s %s app=%s sent=%s requests=%d%s%s %.3f s [%s]",
            *(call.rpc, outcome, call.app, call.sent, call.attempts, http, door, took_s, call.request_id),
            extra={FIELDS: facts},
        )
