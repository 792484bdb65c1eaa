"""A sandbox that records the content of every request, so that two ways to Discord can be compared."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from aiohttp import web

from discordproxy_sandbox.ledger import Record
from discordproxy_sandbox.rest.body import Body
from discordproxy_sandbox.rest.reply import HttpReply
from discordproxy_sandbox.rest.server import RestServer
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig

_ID = re.compile(r"\b\d{17,20}\b")
_NONCE = ("nonce", "enforce_nonce")


@dataclass(frozen=True)
class Received:
    """One request as Discord saw it."""

    record: Record
    query: str
    content: Any
    files: tuple[tuple[str, str, str, int, str], ...]

    @property
    def route(self) -> str:
        return f"{self.record.method} {self.record.template}"

    @property
    def is_authorized_by_path(self) -> bool:
        return "_token}" in self.record.template


class _RecordingServer(RestServer):
    received: list[Received]

    def judge(self, http: web.Request, body: Body) -> tuple[Record, HttpReply]:
        record, reply = super().judge(http, body)
        files = tuple((each.field, each.filename, each.content_type, each.size, each.digest) for each in body.uploads)
        self.received.append(Received(record, http.query_string, body.content, files))
        return record, reply


def recording_sandbox(config: SandboxConfig) -> tuple[Sandbox, list[Received]]:
    """Return a sandbox, and the list of all that it will receive."""
    sandbox = Sandbox(config)
    server = _RecordingServer(**{each.name: getattr(sandbox.rest, each.name) for each in fields(sandbox.rest)})
    server.received = []
    sandbox.rest = server
    return sandbox, server.received


def comparable(found: Iterable[Received]) -> list[str]:
    """Return the requests without what may differ: ids, tokens, the nonce, the User-Agent.

    The bot's token on a route with a token of its own may differ, too: the proxy removes it.
    """
    lines = []
    for each in found:
        record = each.record
        if record.status == 429:  # a library without the proxy may be limited, and repeat
            continue
        content = each.content
        if isinstance(content, dict):
            content = {name: value for name, value in sorted(content.items()) if name not in _NONCE}
        credential = "" if each.is_authorized_by_path else record.credential
        parts = (record.method, record.path, each.query, content, each.files, record.reason, credential, record.status)
        lines.append(_ID.sub("#", repr(parts)))
    return lines
