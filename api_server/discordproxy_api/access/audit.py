"""The audit log: one line per call that may change something."""

import json
import logging
from typing import Any

from discordproxy_api.calls.call import AuditEntry, Call, Status
from discordproxy_ratelimit.process.logs import FIELDS

log = logging.getLogger("discordproxy_api.audit")

MAX_CONTENT_LENGTH = 2_000


def content_of(request: Any) -> str:
    """Return the content of a message, or the JSON body of a raw request."""
    text = getattr(request, "content", "") or getattr(request, "json", "")
    return text[:MAX_CONTENT_LENGTH] if isinstance(text, str) else ""


def record(call: Call, entry: AuditEntry, status: Status, reason: str) -> None:
    """Write the line of a finished call."""
    line = {
        "app": call.app,
        "key": call.principal.key or "-",
        "peer": call.peer or "-",
        "call": entry.what.replace(" ", "_"),
        "at": entry.where,
        "outcome": f"{status}/{reason}" if reason else status,
        "sent": call.sent,
        "request": call.request_id,
    }
    text = " ".join(f"{name}={value}" for name, value in line.items())
    content = {"content": entry.content} if entry.content else {}
    log.info("%s%s", text, f" content={json.dumps(entry.content)}" if content else "", extra={FIELDS: line | content})
