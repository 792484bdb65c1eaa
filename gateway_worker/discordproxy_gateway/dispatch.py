"""An event as it came off the socket."""

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Dispatch:
    """One event: Discord's name, its data, its sequence in the session, the loop time of its arrival."""

    name: str
    data: Any
    sequence: int
    received_at: float
