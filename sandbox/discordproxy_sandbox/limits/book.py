"""The limiters that apply to a request, and the headers of its response. Pure.

A bucket is (credential, group of routes, major parameter). The hash is only the label that headers show: as at Discord
it can change at any time, and the bucket keeps its state.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Literal

from discordproxy_sandbox.limits.limits import LIMITERS, GlobalLimit, GlobalModel, Kind, LimitDecision, Limiter
from discordproxy_sandbox.limits.ruling import HiddenState, Ruling

_DAY_S = 86_400.0
_PRUNE_EVERY = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteLimit:
    """The bucket of a route; routes with the same `group` share it. `headers=False`: limited without headers."""

    limit: int
    window_s: float
    kind: Kind = "leaky"
    group: str = ""
    headers: bool = True


def _hash(label: str) -> str:
    return blake2b(label.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenLimit:
    """A second limit of a route that its headers do not show.

    `per`: the major parameter, or the resource behind it (a webhook's channel). `body_key`: only requests whose body
    has this key count. `scope` shared: all credentials count together. Routes whose hidden limits have one `name` share
    it. `shows`: the source of the numbers and the hash in its 429s: the route's bucket, the limit itself, or none.
    """

    name: str
    limit: int
    window_s: float
    kind: Kind = "fixed"
    scope: Literal["user", "shared"] = "user"
    per: Literal["major", "resource"] = "major"
    body_key: str = ""
    code: int = 0
    shows: Literal["bucket", "itself", "nothing"] = "bucket"

    def shown(self, ruling: Ruling, decision: LimitDecision) -> Ruling:
        """Return the ruling for the headers of this limit's 429."""
        if self.shows == "bucket":
            return ruling
        itself = self.shows == "itself"
        return replace(ruling, bucket=_hash(self.name) if itself else "", shown=decision if itself else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitedRequest:
    """The properties of a request that limits depend on."""

    method: str
    template: str
    credential: str = "bot"
    major: str = ""
    resource: str = ""
    body_keys: frozenset[str] = frozenset()
    age_s: float | None = None  # of the message to delete
    exempt: bool = False  # interaction routes do not count globally

    @property
    def route(self) -> str:
        """Method and template; for deleted messages with the age class, which has a bucket of its own."""
        route = f"{self.method} {self.template}"
        if route != DELETE_MESSAGE or self.age_s is None:
            return route
        if self.age_s < 10:  # noqa: PLR2004 - the class is named after it
            return f"{route}#younger-than-10s"
        return f"{route}#older-than-14d" if self.age_s > 14 * _DAY_S else route


DELETE_MESSAGE = "DELETE /channels/{channel_id}/messages/{message_id}"


@dataclass(slots=True)
class LimitBook:
    """All limits of one Discord. `routes` maps "METHOD /template" to its bucket; None there means no bucket at all.

    `kind` set to fixed or leaky overrides every route's own kind.
    """

    routes: dict[str, RouteLimit | None] = field(default_factory=dict)
    hidden: dict[str, tuple[HiddenLimit, ...]] = field(default_factory=dict)
    default: RouteLimit | None = field(default_factory=lambda: RouteLimit(limit=30, window_s=10.0))
    kind: Kind | None = None
    global_limit: int | None = 50
    global_model: GlobalModel = "sliding"
    _buckets: dict[tuple[str, str, str], Limiter] = field(default_factory=dict, init=False)
    _extra: dict[tuple[str, str, str], HiddenState] = field(default_factory=dict, init=False)
    _globals: dict[str, GlobalLimit] = field(default_factory=dict, init=False)
    _labels: dict[str, str] = field(default_factory=dict, init=False)
    _created: int = field(default=0, init=False)

    def set(self, route: str, limit: RouteLimit | None) -> None:
        """Change the limit of a route; buckets in use keep their state, as at Discord."""
        if limit and limit.kind not in LIMITERS:
            raise ValueError(f"the kind of a bucket is one of {', '.join(LIMITERS)}, not {limit.kind}")
        self.routes[route] = limit
        if limit:
            group = limit.group or route
            for (_, name, _), limiter in self._buckets.items():
                if name == group:
                    limiter.limit, limiter.window_s = limit.limit, limit.window_s

    def set_hidden(self, route: str, limits: Sequence[HiddenLimit]) -> None:
        """Set the limits of a route that its headers do not show."""
        self.hidden[route] = tuple(limits)

    def set_global(self, limit: int | None) -> None:
        """Change the global limit at run time; None disables it."""
        self.global_limit = limit
        for limiter in self._globals.values():
            limiter.limit = limit or limiter.limit

    def hash_of(self, route: str) -> str:
        """Return the hash in responses of this route; "" if they have none."""
        limit = self.routes.get(route, self.default)
        if not limit or not limit.headers:
            return ""
        group = limit.group or route
        return _hash(self._labels.get(group, group))

    def change_hash(self, route: str, label: str) -> str:
        """Show the bucket of a route under another hash, derived from `label`; its state stays. Returns the hash."""
        limit = self.routes.get(route, self.default)
        group = limit.group if limit and limit.group else route
        self._labels[group] = label
        return self.hash_of(route)

    def judge(self, call: LimitedRequest, now: float) -> Ruling:
        """Count a request that arrives at `now` (epoch seconds) and return whether it may be processed."""
        overall = self._judge_globally(call, now)
        if overall and not overall.allowed:
            return Ruling(allowed=False, scope="global", retry_after=overall.retry_after, avoidable=True)
        ruling = self._judge_bucket(call, now)
        if not ruling.allowed:
            return ruling
        for limit in self.hidden.get(f"{call.method} {call.template}", ()):
            if not limit.body_key or limit.body_key in call.body_keys:
                ruling = self._judge_hidden(call, limit, ruling, now)
        return ruling

    def _judge_globally(self, call: LimitedRequest, now: float) -> LimitDecision | None:
        if call.exempt or self.global_limit is None:
            return None
        limiter = self._globals.get(call.credential)
        if limiter is None:
            limiter = self._globals[call.credential] = GlobalLimit(self.global_limit, self.global_model)
        return limiter.hit(now)

    def _judge_bucket(self, call: LimitedRequest, now: float) -> Ruling:
        limit = self.routes.get(call.route, self.default)
        if limit is None:
            return Ruling(allowed=True)
        key = (call.credential, limit.group or call.route, call.major)
        limiter = self._buckets.get(key)
        if limiter is None:
            self._prune(now)
            limiter = self._buckets[key] = LIMITERS[self.kind or limit.kind](limit.limit, limit.window_s)
        decision = limiter.hit(now)
        shown = decision if limit.headers else None
        ruling = Ruling(allowed=decision.allowed, bucket=self.hash_of(call.route), shown=shown)
        if decision.allowed:
            return ruling
        return replace(ruling, scope="user", retry_after=decision.retry_after, avoidable=limit.headers)

    def _judge_hidden(self, call: LimitedRequest, limit: HiddenLimit, ruling: Ruling, now: float) -> Ruling:
        credential = "" if limit.scope == "shared" else call.credential
        key = (credential, limit.name, call.resource if limit.per == "resource" else call.major)
        state = self._extra.get(key)
        if state is None:
            state = self._extra[key] = HiddenState(LIMITERS[limit.kind](limit.limit, limit.window_s))
        decision = state.limiter.hit(now)
        if decision.allowed:
            return ruling
        # The response announces only the longest refusal, but each announced one should have held the client back.
        avoidable = ruling.avoidable or state.is_announced(now)
        if not ruling.allowed and decision.retry_after <= ruling.retry_after:
            return replace(ruling, avoidable=avoidable)
        return replace(
            limit.shown(ruling, decision),
            allowed=False,
            scope=limit.scope,
            retry_after=decision.retry_after,
            avoidable=avoidable,
            code=limit.code,
            hidden=state,
            free_at=now + decision.retry_after,
        )

    def _prune(self, now: float) -> None:
        self._created += 1
        if self._created % _PRUNE_EVERY == 0:
            self._buckets = {key: limiter for key, limiter in self._buckets.items() if not limiter.is_idle(now)}
