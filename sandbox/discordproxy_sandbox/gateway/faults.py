"""Faults of the gateway, active while they are set."""

from dataclasses import dataclass, field, fields

from discordproxy_sandbox.errors import Json

SILENT = "silent"
ABORT = "abort"
ABSENT = "(absent)"


@dataclass(slots=True)
class GatewayFaults:
    """The active faults; none by default.

    Attributes:
        handshake: HTTP status of every websocket handshake, 0 for a successful one; with `handshake_headers`.
        hello: replaces the data of HELLO.
        no_acks: heartbeats are not acknowledged.
        identify, resume: reaction to IDENTIFY or RESUME: "silent" (only heartbeats are acknowledged), "abort" (the
            connection is reset) or a close code.
        info: fields that replace those of GET /gateway/bot; the text "(absent)" removes one.
        start_limit: the same for its session_start_limit.
    """

    handshake: int = 0
    handshake_headers: dict[str, str] = field(default_factory=dict)
    hello: Json | None = None
    no_acks: bool = False
    identify: str | int = ""
    resume: str | int = ""
    info: Json = field(default_factory=dict)
    start_limit: Json = field(default_factory=dict)

    def set(self, **values: object) -> None:
        """Set some faults; the others stay."""
        known = {one.name for one in fields(self)}
        if unknown := set(values) - known:
            raise ValueError(f"gateway faults are {', '.join(sorted(known))}, not {', '.join(sorted(unknown))}")
        for name, value in values.items():
            setattr(self, name, value)

    def clear(self) -> None:
        """Unset all faults."""
        fresh = GatewayFaults()
        self.set(**{one.name: getattr(fresh, one.name) for one in fields(self)})


def replaced(document: Json, values: Json) -> Json:
    """Return a document with the fields of `values` replaced; a value of ABSENT removes the field."""
    return {name: value for name, value in (document | values).items() if value != ABSENT}
