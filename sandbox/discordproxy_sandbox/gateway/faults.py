"""What the gateway does wrong on demand, as long as it is set: what a client must survive."""

from dataclasses import dataclass, field, fields

from discordproxy_sandbox.errors import Json

SILENT = "silent"
ABORT = "abort"
ABSENT = "(absent)"


@dataclass(slots=True)
class GatewayFaults:
    """Nothing is wrong by default.

    Attributes:
        handshake: HTTP status that answers every websocket handshake, 0 for a good one; with `handshake_headers`.
        hello: data of HELLO instead of the right one.
        no_acks: heartbeats are not answered.
        identify, resume: what IDENTIFY or RESUME meets: "silent" (nothing comes but answers to heartbeats), "abort"
            (the connection is cut) or a close code.
        info: fields that replace those of GET /gateway/bot; the text "(absent)" takes one away.
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
        """Set some of them; the others stay as they are."""
        known = {one.name for one in fields(self)}
        if unknown := set(values) - known:
            raise ValueError(f"faults of the gateway are {', '.join(sorted(known))}, not {', '.join(sorted(unknown))}")
        for name, value in values.items():
            setattr(self, name, value)

    def clear(self) -> None:
        """Behave again."""
        fresh = GatewayFaults()
        self.set(**{one.name: getattr(fresh, one.name) for one in fields(self)})


def replaced(document: Json, values: Json) -> Json:
    """Return a document with some fields replaced, and without those that are to be absent."""
    return {name: value for name, value in (document | values).items() if value != ABSENT}
