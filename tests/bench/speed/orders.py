"""What a load generator is to do, and what came of it; without gRPC, whose pages would be shared with the server."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """What to do.

    Attributes:
        call: a name in `CALLS` of the load generator.
        port: where the server listens on this machine.
        callers: calls that are under way at a time.
        seconds: for how long calls are started.
        limit: at most this many calls; 0 for no limit.
        rate: calls started per second, however many are in progress; 0: each caller starts one after another. A latency
            then counts from the time at which its call was due.
        channels: messages go to this many channels in turn; 0: each caller has a channel of its own.
    """

    call: str
    port: int
    callers: int
    seconds: float
    limit: int = 0
    rate: float = 0.0
    channels: int = 0


@dataclass(frozen=True)
class Outcome:
    """What came of it: counts, seconds from the first call to the last answer, latencies of answered calls in ms."""

    answered: int
    failed: int
    first_error: str
    seconds: float
    p50_ms: float
    p99_ms: float
