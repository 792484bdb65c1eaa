"""The audit log: one line for each call that may change something. Who, what, where, outcome; content only if asked."""

import json
import logging
from typing import Any

from grpc import StatusCode

from discordproxy_api.calls.call import AuditEntry, Call
from discordproxy_ratelimit.process.logs import FIELDS

log = logging.getLogger("discordproxy_api.audit")

MAX_CONTENT_LENGTH = 2_000


def content_of(request: Any) -> str:
    """Return the text of a request: a message's content, or a body as it is."""
    text = getattr(request, "content", "") or getattr(request, "json", "")
    return text[:MAX_CONTENT_LENGTH] if isinstance(text, str) else ""


def record(call: Call, deed: AuditEntry, status: StatusCode, reason: str) -> None:
    """Write the line of a call that has ended."""
    line = {
        "app": call.app,
        "key": call.principal.key or "-",
        "peer": call.peer or "-",
        "call": deed.what.replace(" ", "_"),
        "at": deed.where,
        "outcome": f"{status.name}/{reason}" if reason else status.name,
        "sent": call.sent,
        "request": call.request_id,
    }
    text = " ".join(f"{name}={value}" for name, value in line.items())
    content = {"content": deed.content} if deed.content else {}
    log.info("%s%s", text, f" content={json.dumps(deed.content)}" if content else "", extra={FIELDS: line | content})
