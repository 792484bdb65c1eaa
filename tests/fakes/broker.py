"""A broker without limits and without Redis: grants at once unless configured otherwise, and records its calls."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from discordproxy_ratelimit.errors import BrokerError, BrokerUnavailableError, DrainingError
from discordproxy_ratelimit.headers import Answer
from discordproxy_ratelimit.permit import Caller, PendingPermit, Permit, Verdict
from discordproxy_ratelimit.route import Route
from discordproxy_ratelimit.shared.claims import Claim, Claims
from discordproxy_ratelimit.shared.tables import RecordChange, Tables

NOBODY = Caller()


@dataclass
class Acquired:
    route: Route
    caller: Caller
    deadline: float | None
    max_wait_s: float | None
    retry_of: Permit | None


class FakeClaims(Claims):
    """Claims and values in a dict, without expiry."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.claims: dict[str, list] = {}
        self.down = False

    def _check(self) -> None:
        if self.down:
            raise BrokerUnavailableError("Redis does not answer")

    async def set(self, key: str, value: bytes, *, ttl_s: float) -> None:
        self._check()
        self.kept[key] = value

    async def get(self, key: str) -> bytes | None:
        self._check()
        return self.kept.get(key)

    def begin_get(self, key: str) -> asyncio.Future[bytes | None]:
        return asyncio.ensure_future(self.get(key))

    async def finish_get(self, value: asyncio.Future[bytes | None]) -> bytes | None:
        return await value

    async def _claim(self, key: str, request: str, *, owner: str, lease_s: float, keeper=None) -> Claim:
        self._check()
        kept = self.claims.setdefault(key, [request, owner, None])
        if kept[0] != request:
            return Claim("other")
        if kept[2] is not None:
            return Claim("settled", kept[2])
        return Claim("ours" if kept[1] == owner else "pending")

    async def mark_in_doubt(
        self, key: str, request: str, *, owner: str, result: bytes, lease_s: float, ttl_s: float
    ) -> Claim:
        return await self.claim(key, request, owner=owner, lease_s=lease_s)

    async def complete(self, key: str, request: str, *, owner: str, result: bytes, ttl_s: float, keeper=None) -> None:
        self._check()
        self.claims[key] = [request, owner, result]
        if ttl_s < 1:
            del self.claims[key]

    async def release(self, key: str, *, owner: str, keeper=None) -> None:
        self._check()
        self.claims.pop(key, None)


class FakeTables(Tables):
    """Tables in a dict."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, bytes]] = {}
        self.down = False

    def _check(self) -> None:
        if self.down:
            raise BrokerUnavailableError("Redis does not answer")

    async def read(self, table: str) -> dict[str, bytes]:
        self._check()
        return dict(self.kept.get(table, {}))

    async def record(self, table: str, field: str) -> bytes | None:
        return (await self.read(table)).get(field)

    async def change(self, table: str, changes: Iterable[RecordChange]) -> bool:
        self._check()
        changes, fields = list(changes), self.kept.setdefault(table, {})
        if any(fields.get(each.field, b"") != each.before for each in changes):
            return False
        fields.update({each.field: each.after for each in changes})
        self.kept[table] = {field: value for field, value in fields.items() if value}
        return True


class FakeAppRate:
    """Reserves start times with a wait of `wait_s`, or raises `refusal`."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, float, float]] = []
        self.wait_s = 0.0
        self.refusal: BrokerError | None = None

    async def reserve(self, app: str, *, per_s: float, max_wait_s: float) -> float:
        self.taken.append((app, per_s, max_wait_s))
        if self.refusal:
            raise self.refusal
        return self.wait_s


@dataclass
class FakeBroker:
    """Attributes:
    refusal: raised instead of granting.
    void: raised before a request is sent.
    granting: while cleared, every call waits for a permit.
    holds: whether a repeat waits for the retry_after of its 429.
    """

    refusal: BrokerError | None = None
    void: BrokerError | None = None
    is_up: bool = True
    holds: bool = False
    acquired: list[Acquired] = field(default_factory=list)
    ended: list[tuple[Permit, Answer | None]] = field(default_factory=list)
    cancelled_waits: int = 0

    def __post_init__(self) -> None:
        self.claims = FakeClaims()
        self.tables = FakeTables()
        self.app_rate = FakeAppRate()
        self.granting = asyncio.Event()
        self.granting.set()
        self.draining = asyncio.Event()
        self.waiting = 0

    def acquire(self, *args, **options) -> PendingPermit:
        return PendingPermit(self._acquire(*args, **options))

    async def _acquire(
        self,
        route: Route,
        deadline=None,
        caller: Caller = NOBODY,
        *,
        max_wait_s=None,
        retry_of=None,
    ) -> Permit:
        self.acquired.append(Acquired(route, caller, deadline, max_wait_s, retry_of))
        await self._wait()
        if self.holds and retry_of is not None:
            await asyncio.sleep(next(answer.retry_after_s for permit, answer in self.ended if permit is retry_of))
        if self.refusal is not None:
            raise self.refusal
        return Permit(_Grantor(self), str(len(self.acquired)), route, "bucket", 1)

    async def _wait(self) -> None:
        tasks = [asyncio.ensure_future(event.wait()) for event in (self.granting, self.draining)]
        self.waiting += 1
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self.cancelled_waits += 1
            raise
        finally:
            self.waiting -= 1
            for task in tasks:
                task.cancel()
        if self.draining.is_set():
            raise DrainingError("This worker is stopping", retry_after_s=1.0)

    def drain(self) -> None:
        self.draining.set()


class _Grantor:
    """Lets `FakeBroker.ended` be a list and still serve as the permits' grantor."""

    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker

    def before_send(self, _permit: Permit) -> None:
        if self._broker.void is not None:
            raise self._broker.void

    def on_end(self, permit: Permit, answer: Answer | None) -> Verdict:
        self._broker.ended.append((permit, answer))
        return Verdict("answered", None if answer is None else answer.retry_after_s)
