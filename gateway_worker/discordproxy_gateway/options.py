"""The gateway worker's options as plain values: one object from the settings down to a connection."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """Options of one gateway worker.

    Attributes:
        rest_url: base of Discord's REST API, version included.
        intents: names of the gateway intents.
        gateway_url: address for new sessions; "" is Discord's own.
        shards: number of shards, 0 for Discord's recommendation.
        lease_s: how long a lease lives without being renewed.
        identify_floor: number of IDENTIFYs a day that stay unused.
        retention_s: how long events are kept for subscribers, in seconds.
        max_events: number of events that are kept for subscribers, per shard.
        defer_after_s: time that applications have to answer an interaction before it is deferred; 0 never defers.
        defer_privately: show a deferred answer to its user only.
        force: ignore a recorded failure and the reserve of IDENTIFYs.
    """

    rest_url: str
    intents: Sequence[str]
    gateway_url: str = ""
    shards: int = 0
    lease_s: float = 10.0
    identify_floor: int = 50
    retention_s: int = 15 * 60
    max_events: int = 200_000
    defer_after_s: float = 0.0
    defer_privately: bool = True
    force: bool = False
