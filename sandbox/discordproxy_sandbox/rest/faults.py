"""Faults of the REST API, injected by method and path."""

import re
from dataclasses import dataclass
from typing import Literal, get_args

FaultKind = Literal[
    "status",  # respond with `status`: Discord's JSON up to 500, an HTML page above
    "reset",  # reset the connection
    "silent",  # never respond
    "slow",  # respond `delay_s` late
    "cloudflare",  # 429 of the edge: no Via; `body` is a page by default, "json" is Cloudflare's own for error 1015
    "banned",  # 429 with the JSON of a ban: code 0, no retry_after
    "rate_limited",  # 429 of `scope` with the two waits below; `body` is Discord's JSON by default
    "headerless",  # the response without X-RateLimit headers
    "truncated",  # JSON that ends in the middle
    "long_header",  # the response with one more header of `size` bytes
    "echo",  # respond with `status` and the request's Authorization in headers and body
    "hash",  # from now on the route shows another bucket hash
]
FaultBody = Literal["", "empty", "cut", "text", "page", "json"]


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault for the next `count` requests whose method and path match, after `skip` matching ones.

    `when`: before or after the request is processed. Times are in seconds; `retry_after_header` "" omits the header.
    `body`: replaces the body of a 429; "cut" ends in the middle. With "page", a "status" is one of the edge.
    """

    kind: FaultKind
    method: str = ".*"
    path: str = ".*"
    count: int = 1
    skip: int = 0
    when: Literal["before", "after"] = "before"
    status: int = 500
    delay_s: float = 1.0
    scope: Literal["user", "shared", "global"] = "user"
    retry_after_header: str = "1"
    retry_after_body: float | None = 1.0
    body: FaultBody = ""
    size: int = 9_000


class Faults:
    """The queue of faults; a request meets the first that matches."""

    def __init__(self) -> None:
        self.queue: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Append a fault.

        Raises:
            ValueError: the kind or the body is unknown, or a pattern is not a regular expression.
        """
        if fault.kind not in get_args(FaultKind):
            raise ValueError(f"the kind of a fault is one of {', '.join(get_args(FaultKind))}, not {fault.kind}")
        if fault.body not in get_args(FaultBody):
            raise ValueError(f"the body of a fault is one of {', '.join(get_args(FaultBody)[1:])}, not {fault.body}")
        try:
            re.compile(fault.method)
            re.compile(fault.path)
        except re.error as error:
            raise ValueError(f"{error.pattern!r} is not a regular expression: {error}") from None
        self.queue.append(fault)

    def clear(self) -> None:
        """Remove all unused faults."""
        self.queue.clear()

    def consume(self, method: str, path: str) -> Fault | None:
        """Return the fault of a request and count its use; None if no fault matches."""
        for fault in self.queue:
            if re.fullmatch(fault.method, method) and re.search(fault.path, path):
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.count -= 1
                if fault.count <= 0:
                    self.queue.remove(fault)
                return fault
        return None
