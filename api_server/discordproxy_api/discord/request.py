"""A request to Discord and its reply as values, complete enough to be repeated."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from discordproxy_api.calls.retry import Repeat, repeatability
from discordproxy_api.contract.translate import Outgoing, OutgoingFile
from discordproxy_ratelimit.route import Route, route_of


@dataclass(slots=True)  # not frozen: that makes its creation five times as slow
class RestRequest:
    """A request as it is sent. The repr shows the route only, since the rest may be secret.

    It is not changed, except that a message of the REST port gets its body right before it leaves.

    Attributes:
        path: below the API's base, percent-encoded.
        query: pairs, not encoded.
        raw_query: percent-encoded, instead of `query`.
        body: JSON text, or bytes of any `content_type`; None for no body. With files, JSON text.
        content_type: of `body`; "" sends no such header. With files, a form is sent, whatever is set here.
        reason: for X-Audit-Log-Reason, not encoded.
        authorization: value of that header; None sends the bot's token, "" sends none.
        repeat: how far it may be repeated once it may have arrived.
        own_nonce: the caller's nonce, and the one in `body` that replaces it, both as JSON; None without.
        effect: whether it has the effect that the caller requested; a preparation has not.
        version: of the API, "" for the configured one.
    """

    method: str
    path: str = field(repr=False)
    route: Route
    query: Sequence[tuple[str, str]] = field(default=(), repr=False)
    raw_query: str = field(default="", repr=False)
    body: bytes | None = field(default=None, repr=False)
    content_type: str = field(default="application/json", repr=False)
    files: Sequence[OutgoingFile] = field(default=(), repr=False)
    reason: str = field(default="", repr=False)
    authorization: str | None = field(default=None, repr=False)
    repeat: Repeat = Repeat.NEVER
    own_nonce: tuple[bytes, bytes] | None = field(default=None, repr=False)
    effect: bool = True
    version: str = ""

    @property
    def target(self) -> str:
        """Path and query."""
        query = self.raw_query or (urlencode(self.query, quote_via=quote) if self.query else "")
        return f"{self.path}?{query}" if query else self.path

    def as_asked(self, body: bytes) -> bytes:
        """Return a response's body with the caller's own nonce in place of the one that was sent."""
        return body.replace(self.own_nonce[1], self.own_nonce[0]) if self.own_nonce else body

    @property
    def size(self) -> int:
        """Bytes of body and files."""
        size = len(self.body or b"")
        for file in self.files:
            size += len(file.content)
        return size


@dataclass(slots=True)  # not frozen: that makes its creation five times as slow
class Reply:
    """A response of Discord. Never changed."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def document(self) -> Any:
        """Return the decoded JSON, None without a body; raises `orjson.JSONDecodeError`."""
        return read_json(self.body) if self.body else None


MAX_MENDED_BYTES = 8 * 1024 * 1024
"""Larger JSON with an error is not mended: it would take several times its size in memory."""


def read_json(body: bytes) -> Any:
    """Return the JSON of a response of Discord; raises `orjson.JSONDecodeError`.

    Harmless errors that orjson refuses are mended: half a surrogate pair, a number beyond the range of a double.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as strict:
        if len(body) > MAX_MENDED_BYTES:
            raise
        try:
            document = json.loads(body.decode("utf-8-sig"))  # of bytes, it would read UTF-16
            text = json.dumps(document, ensure_ascii=False)
        except (ValueError, RecursionError):
            raise strict from None
        return json.loads(text.encode("utf-8", "replace"))


def is_writable(document: Any) -> bool:
    """Return whether a document can be written again; one that is nested very deep can only be read."""
    try:
        orjson.dumps(document)
    except orjson.JSONEncodeError:
        return False
    return True


def rest_request(outgoing: Outgoing, *, now_ms: int) -> RestRequest:
    """Return the request for a translated one; `now_ms` is Unix time."""
    body = outgoing.body
    return RestRequest(
        method=outgoing.method,
        path=outgoing.path,
        route=route_of(
            outgoing.method,
            outgoing.template,
            outgoing.parameters,
            body_keys=tuple(body or ()),
            now_ms=now_ms,
            no_bot_auth=outgoing.no_bot_auth,
        ),
        query=outgoing.query,
        body=None if outgoing.document is None else orjson.dumps(outgoing.document),
        files=outgoing.files,
        reason=outgoing.reason,
        authorization="" if outgoing.no_bot_auth else None,
        repeat=repeatability(outgoing.method, nonce=_has_nonce(outgoing)),
        own_nonce=own_nonce(outgoing.own_nonce, body["nonce"]) if body and outgoing.own_nonce else None,
    )


def own_nonce(own: str | int, sent: str) -> tuple[bytes, bytes]:
    """Return a caller's own nonce, and the one that is sent in its place, as JSON."""
    return orjson.dumps(own), orjson.dumps(sent)


def repeat_of(parts: Sequence[Outgoing]) -> Repeat:
    """Return how far a sequence of requests may be repeated."""
    if len(parts) == 1:
        return repeatability(parts[0].method, nonce=_has_nonce(parts[0]))
    kinds = {repeatability(part.method, nonce=_has_nonce(part)) for part in parts}
    return next((kind for kind in (Repeat.NEVER, Repeat.NONCE) if kind in kinds), Repeat.ALWAYS)


def _has_nonce(outgoing: Outgoing) -> bool:
    body = outgoing.body
    return bool(body and body.get("nonce") and body.get("enforce_nonce"))
