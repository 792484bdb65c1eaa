"""Responses as bytes: Discord's own JSON, and the pages of Cloudflare in front of it."""

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

import orjson

from discordproxy_sandbox.limits.ruling import Ruling
from discordproxy_sandbox.rest.faults import Fault

_PAGE = "<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1><p>cloudflare</p></body></html>"
_BANNED = "You are being blocked from accessing our API temporarily due to exceeding our rate limits frequently."


@dataclass(slots=True, kw_only=True)
class HttpReply:
    """A response, or the end of a request without one. `ruling`: the limits that it announces."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_s: float = 0.0
    outcome: Literal["answer", "reset", "silent"] = "answer"
    ruling: Ruling = field(default_factory=lambda: Ruling(allowed=True))


def api_reply(status: int, content: Any, content_type: str = "application/json") -> HttpReply:
    """Return a response of Discord's API; content None is an empty body, bytes are sent unchanged, others as JSON."""
    headers = {"Via": "1.1 google"}
    if content is None:
        return HttpReply(status=status, headers=headers)
    # No charset: Discord sends none, and some clients compare the whole value.
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return HttpReply(status=status, headers=headers | {"Content-Type": content_type}, body=body)


def page_reply(status: int, title: str, retry_after: str = "") -> HttpReply:
    """Return a page of Cloudflare: HTML without Via."""
    headers = {"Content-Type": "text/html; charset=UTF-8"} | ({"Retry-After": retry_after} if retry_after else {})
    return HttpReply(status=status, headers=headers, body=_PAGE.format(title=title).encode())


def ban_page(retry_after: str = "") -> HttpReply:
    """Return the page for a banned address."""
    return page_reply(429, "Error 1015: You are being rate limited", retry_after)


def _edge_limit(fault: Fault) -> HttpReply:
    """Return Cloudflare's 429, which is JSON for some clients (cloudflare-docs#29000)."""
    reply = ban_page(fault.retry_after_header)
    if fault.body == "json":
        content: dict[str, Any] = {"title": "Error 1015: You are being rate limited", "status": 429}
        content |= {"error_code": 1015, "error_name": "rate_limited", "cloudflare_error": True}
        content |= {"retry_after": fault.retry_after_body} if fault.retry_after_body is not None else {}
        reply.headers["Content-Type"] = "application/json"
        reply.body = orjson.dumps(content)
    return _odd_body(reply, fault)


def _odd_body(reply: HttpReply, fault: Fault) -> HttpReply:
    """Return the response with the fault's body; its headers stay."""
    if fault.body == "empty":
        reply.body = b""
    elif fault.body == "cut":
        reply.body = reply.body[: len(reply.body) // 2]
    elif fault.body == "text":
        reply.body = b"error code: 1015"
    elif fault.body == "page":
        reply.body = _PAGE.format(title="429: Too Many Requests").encode()
    return reply


def invented_limit(fault: Fault) -> HttpReply:
    """Return the 429 of a limit that does not exist."""
    content: dict[str, Any] = {"message": "You are being rate limited.", "global": fault.scope == "global"}
    content |= {"retry_after": fault.retry_after_body} if fault.retry_after_body is not None else {}
    reply = api_reply(429, content)
    reply.headers["X-RateLimit-Scope"] = fault.scope
    if fault.retry_after_header:
        reply.headers["Retry-After"] = fault.retry_after_header
    if fault.scope == "global":
        reply.headers["X-RateLimit-Global"] = "true"
    return _odd_body(reply, fault)


def echo(fault: Fault, authorization: str) -> HttpReply:
    """Return a response that repeats the client's credentials."""
    reply = api_reply(fault.status, {"message": f"You sent {authorization}.", "code": 0, "sent": [authorization]})
    reply.headers |= {"X-Authorization": authorization, "X-RateLimit-Bucket": authorization.replace(" ", "_")}
    return reply


def early_fault(fault: Fault) -> HttpReply | None:
    """Return the reply of a fault that applies before the request is processed; None for the other faults."""
    if fault.kind == "cloudflare":
        return _edge_limit(fault)
    if fault.kind == "banned":
        return api_reply(429, {"message": _BANNED, "code": 0})
    return broken(fault) if fault.when == "before" else None


def broken(fault: Fault) -> HttpReply | None:
    """Return the reply of a fault that replaces the response; None for the other faults."""
    if fault.kind == "reset":
        return HttpReply(outcome="reset")
    if fault.kind == "silent":
        return HttpReply(outcome="silent")
    if fault.kind == "status":
        title = f"{fault.status}: {HTTPStatus(fault.status).phrase}"
        if fault.status > HTTPStatus.INTERNAL_SERVER_ERROR or fault.body == "page":
            return page_reply(fault.status, title)
        return api_reply(fault.status, {"message": title, "code": 0})
    return None


def damaged(reply: HttpReply, fault: Fault) -> HttpReply:
    """Return the reply after the faults that change a response."""
    if fault.when == "after" and (replaced := broken(fault)):
        return replaced
    if fault.kind == "slow":
        reply.delay_s = fault.delay_s
    if fault.kind == "headerless":
        reply.headers = {k: v for k, v in reply.headers.items() if not k.startswith("X-RateLimit")}
    if fault.kind == "long_header":
        reply.headers["X-Long"] = "x" * fault.size
    if fault.kind == "truncated":
        reply.body = reply.body[: max(1, len(reply.body) // 2)]
    return reply
