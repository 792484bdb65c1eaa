"""What an event changes: pure planning of cache and stream writes."""

from typing import Any

from discordproxy_gateway.scripts import Operation


class Planner:
    def plan(self, name: str, data: Any, sequence: int) -> list[Operation]:
        return []
