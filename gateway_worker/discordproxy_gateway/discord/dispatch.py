"""An event as received from the socket, and how to read it from a message. Pure."""

from dataclasses import dataclass
from typing import Any

from discordproxy_gateway.discord.inflate import UnreadableError

SESSION_EVENTS = frozenset({"READY", "RESUMED"})

_MAX_EXACT = 2**53  # Lua's numbers are exact below

MAX_STEP = 10_000
"""Discord counts the events of a session one by one. After a number far ahead, later events would count as repeated."""


@dataclass(slots=True)
class Dispatch:
    """One event: Discord's name, its data, its sequence in the session, the loop time of its arrival."""

    name: str
    data: Any
    sequence: int
    received_at: float


class MalformedEventError(ValueError):
    """A message cannot be stored as an event. The text names its kind and the fault, never content."""


def read_dispatch(message: dict[str, Any], *, after: int, now: float) -> Dispatch:
    """Return the event in a message.

    Args:
        message: what came, an object.
        after: sequence of the last event of the session, 0 for none.
        now: loop time.

    Raises:
        MalformedEventError: it has no name, no usable sequence, or came already.
        UnreadableError: its sequence is far from the session's; RESUME brings the events again.
    """
    name, sequence = message.get("t"), message.get("s")
    if not isinstance(name, str):
        raise MalformedEventError("event without a name")
    if not isinstance(sequence, int) or isinstance(sequence, bool) or not 0 < sequence < _MAX_EXACT:
        if name not in SESSION_EVENTS:  # both are usable without a number
            raise MalformedEventError(f"event {name[:50]!r} without a usable sequence")
        sequence = after if name == "RESUMED" else 1
    if name not in SESSION_EVENTS and abs(sequence - after) > MAX_STEP:
        raise UnreadableError("an event far from the sequence of the session")
    if name == "RESUMED":
        sequence = after if sequence > after + MAX_STEP else max(sequence, after)
    elif sequence <= after and name != "READY":  # READY restarts the count
        raise MalformedEventError(f"event {name[:50]!r} that came already")
    return Dispatch(name, message.get("d"), sequence, now)
