"""Steps of a story: events of an account's limits as plain data, so that a failing story prints and shrinks well."""

from dataclasses import dataclass
from typing import Any

from model.ratelimit_bucket import SECOND


@dataclass(frozen=True)
class Pass:
    """Time passes, or goes back, as after a failover."""

    us: int


@dataclass(frozen=True)
class Moves:
    """Discord answers a route, or a lane of it only, with another hash from now on."""

    route: int
    hash: int
    major: int | None = None


@dataclass(frozen=True)
class Restart:
    """Another server answers; a replica still has the old data, a new start has none, or all that was saved."""

    stale: bool
    kept: bool = False


@dataclass(frozen=True)
class Acquire:
    route: int
    major: int = 0
    app: str = "a"
    weight: float = 1.0
    priority: str = "normal"
    left_us: int = 30 * SECOND
    flags: tuple[str, ...] = ()
    knows: bool = True


@dataclass(frozen=True)
class Repeat:
    """A repeated acquire: its reply was lost."""

    pick: int


@dataclass(frozen=True)
class Again:
    """A permit is requested again: it was granted in a bucket that is no longer its route's."""

    pick: int


@dataclass(frozen=True)
class Returned:
    """The repeat of a request that got a 429, or a place taken anew after a restart."""

    pick: int
    flag: str


@dataclass(frozen=True)
class Send:
    """The request of a permit reaches Discord; its answer is on the way."""

    pick: int


@dataclass(frozen=True)
class Complete:
    """The end of a permit; `says` None is what Discord really said when it judged the request."""

    pick: int
    says: "Says | None" = None
    age_us: int = 0
    rtt_us: int = 0


@dataclass(frozen=True)
class Says:
    """An answer nobody expects."""

    outcome: str = "answered"
    status: int = 200
    hash: int | None = None
    limit: int = 5
    remaining: int = 0
    rid_ms: int = 0
    after_us: int = SECOND
    retry_us: int = SECOND
    refusal: str = ""


@dataclass(frozen=True)
class Cancel:
    pick: int


@dataclass(frozen=True)
class Serve:
    pick: int
    knows: bool = True


@dataclass(frozen=True)
class Bury:
    worker: int


@dataclass(frozen=True)
class Restore:
    pick: int
    age_us: int = 0


@dataclass(frozen=True)
class Adopt:
    route: int
    major: int
    exempt: bool


@dataclass(frozen=True)
class Sign:
    """A heartbeat or a deregistration."""

    kind: str


@dataclass(frozen=True)
class Call:
    """One script call of a worker with everything its tick brought together."""

    worker: int
    items: tuple[Any, ...]
