"""The broker: `acquire` returns a permit for a route.

Wires the accounts (one per credential), the circuit of this address, the subscription to hints of other workers, and
the local pace for the time without Redis.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from redis.asyncio import Redis

from discordproxy_ratelimit.circuit import Circuit, CircuitState
from discordproxy_ratelimit.degraded import LocalPace
from discordproxy_ratelimit.errors import STOPPING, BrokerUnavailableError, DrainingError, WaitRefusedError
from discordproxy_ratelimit.inspection import AccountState, inspect_account
from discordproxy_ratelimit.limiter.account import Account
from discordproxy_ratelimit.limiter.accounts import Accounts
from discordproxy_ratelimit.limiter.outcomes import refusal_to_respect
from discordproxy_ratelimit.limiter.store import AREA, Store
from discordproxy_ratelimit.limiter.wait_queue import Lane
from discordproxy_ratelimit.metrics import Decisions
from discordproxy_ratelimit.permit import Caller, PendingPermit, Permit
from discordproxy_ratelimit.process.tasks import cancel, steadily
from discordproxy_ratelimit.process.trace import Trace, no_trace
from discordproxy_ratelimit.redis.link import RedisLink
from discordproxy_ratelimit.route import Route
from discordproxy_ratelimit.shared.app_rate import AppRate
from discordproxy_ratelimit.shared.claims import Claims
from discordproxy_ratelimit.shared.registry import Registry
from discordproxy_ratelimit.shared.tables import Tables

__all__ = ["Broker", "Caller", "Limits"]

log = logging.getLogger(__name__)

NOBODY = Caller()
MAX_WAIT_S = 1800.0
UNKNOWN_LIMIT = 50
"""Requests per second without the bot's token; the same as the default of a bot."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The operator's settings of the broker.

    Attributes:
        global_limit: requests per second of this bot; Discord raises it for large bots on request.
        lease_s: seconds after its last heartbeat until a worker counts as dead.
        max_waiting: calls that may wait in one worker.
        egress: name of this machine's address; workers behind one address share its invalid-request budget.
        degraded: without Redis, `refuse` calls or keep to the `local` pace.
        workers: number of workers that share the global limit without Redis.
    """

    global_limit: int = 50
    lease_s: float = 10.0
    max_waiting: int = 20_000
    egress: str = "default"
    degraded: str = "refuse"
    workers: int = 1


class Broker:
    """Grants permits to one worker for one bot.

    Args:
        client: Redis client without retries.
        prefix: of every key; part of the hash tag.
        bot_id: separates the limits of several bots on one server.
        limits: the operator's settings.
        decisions: the metrics.
        clock: returns us; None means Redis TIME. Only simulations set it.
        worker: unique name of this worker; empty for a random one.
        trace: starts the spans of commands to Redis.
    """

    def __init__(
        self,
        client: Redis,
        *,
        prefix: str,
        bot_id: str,
        limits: Limits | None = None,
        decisions: Decisions | None = None,
        clock: Callable[[], int] | None = None,
        worker: str = "",
        trace: Trace = no_trace,
    ) -> None:
        self._limits = limits or Limits()
        self._decisions = decisions or Decisions()
        self._clock = clock
        self._prefix, self._bot_id = prefix, bot_id
        self.worker = worker or uuid.uuid4().hex[:12]
        self._channels = f"{prefix}:in:"
        self._link = RedisLink(client, home=f"{{{prefix}:{bot_id}}}", trace=trace)
        self._link.watchers.append(self)
        self._is_traced = trace is not no_trace
        self._accounts = Accounts(self._open_account)
        self._circuit = Circuit(
            self._link,
            f"{{{prefix}:ip:{self._limits.egress}}}",
            channel=f"{self._channels}all",
            decisions=self._decisions,
            clock=clock,
        )
        self._local = LocalPace(self._limits.global_limit, self._limits.workers, on_answer=self._circuit.observe)
        self.claims = Claims(self._link, f"{{{prefix}:{bot_id}}}:note:")
        self.app_rate = AppRate(self._link, f"{{{prefix}:{bot_id}}}:quota:")
        self.registry = Registry(self._link, f"{{{prefix}:{bot_id}}}:board:")
        self.tables = Tables(self._link, f"{{{prefix}:{bot_id}}}:table:")
        self._hints: asyncio.Task[None] | None = None
        self._draining = False
        self._may_degrade = self._limits.degraded == "local"

    async def start(self) -> None:
        """Subscribe to hints of other workers. Redis may be unavailable."""
        self._hints = asyncio.create_task(steadily(self._listen, "the subscription to hints"), name="broker-hints")
        await asyncio.sleep(0)

    async def ready(self) -> None:
        """Wait until Redis is available and hints are received: a hint before that would be lost."""
        await self._link.until_up()
        if self._hints is not None:
            await self._link.until_subscribed()

    @property
    def is_up(self) -> bool:
        """Whether Redis is available."""
        return self._link.is_up

    @property
    def waiting(self) -> int:
        """Calls of this worker that wait for a permit."""
        return sum(account.waiting for account in self._accounts.values())

    def lanes(self, credential: str = "bot", *, limit: int) -> list[Lane]:
        """Return at most `limit` of this worker's busiest lanes of a credential."""
        account = self._accounts.get(credential)
        return account.lanes(limit) if account else []

    async def inspect(self, buckets: Iterable[str], credential: str = "bot") -> AccountState:
        """Return the state of a credential's limits, which all workers share. Raises BrokerUnavailableError.

        Args:
            buckets: their names, as in the result of `lanes`.
            credential: `bot`, or `ip` for requests without authorization.
        """
        limit = self._limits.global_limit if credential == "bot" else UNKNOWN_LIMIT
        return await inspect_account(self._link, self._tag_of(credential), buckets, limit=limit, clock=self._clock)

    async def circuit(self) -> CircuitState:
        """Return the state of the circuit of this machine's address. Raises BrokerUnavailableError."""
        return await self._circuit.inspect()

    def acquire(
        self,
        route: Route,
        deadline: float | None = None,
        caller: Caller = NOBODY,
        *,
        max_wait_s: float | None = None,
        retry_of: Permit | None = None,
    ) -> PendingPermit:
        """Wait for a permit to send one request: `permit = await broker.acquire(...)`. The caller must end it.

        `async with broker.acquire(...) as permit` releases it at the end of the block.

        Args:
            route: of the request.
            deadline: loop time after which the permit is useless; None = half an hour from now.
            caller: for fairness and priority.
            max_wait_s: maximum wait that the caller accepts; a longer one is refused at once.
            retry_of: the permit of a request that got a 429; its repeat goes to the head of the queue.

        Raises:
            BrokerError: no permit was granted, and nothing was sent.
        """
        acquiring = self._acquire(route, deadline, caller, max_wait_s, retry_of)
        return PendingPermit(self._traced(acquiring) if self._is_traced else acquiring)

    async def _traced(self, acquiring: Coroutine[Any, Any, Permit]) -> Permit:
        with self._link.trace("redis acquire"):
            return await acquiring

    async def _acquire(
        self,
        route: Route,
        deadline: float | None,
        caller: Caller,
        max_wait_s: float | None,
        retry_of: Permit | None,
    ) -> Permit:
        now = asyncio.get_running_loop().time()
        until = now + MAX_WAIT_S if deadline is None else min(deadline, now + MAX_WAIT_S)
        if self._draining:
            raise DrainingError(STOPPING, retry_after_s=1.0)
        circuit = self._circuit
        probing = not circuit.is_quiet and await self._check_circuit(caller.app)
        wait_until = until if max_wait_s is None else min(until, now + max_wait_s)
        refusal = refusal_to_respect(route, careful=circuit.is_careful)
        acquire = self._acquire_or_degrade if self._may_degrade else self._accounts.of(route.credential).acquire
        try:
            permit = await acquire(route, until, wait_until, caller, refusal, retry_of)
        except WaitRefusedError as refusal:
            if wait_until < until and refusal.reason == WaitRefusedError.reason:
                refusal.reason = "WAIT_EXCEEDS_MAX_WAIT"
            raise
        except BrokerUnavailableError:
            self._decisions.refused("unavailable")
            raise
        permit.app = caller.app
        if not circuit.is_quiet:
            try:
                circuit.check_again(caller.app, probing=probing)
            except BaseException:
                permit.release()
                raise
        return permit

    async def _check_circuit(self, app: str) -> bool:
        try:
            return await self._circuit.check(app)
        except BrokerUnavailableError:
            if not self._may_degrade:
                raise
            return True  # without Redis, no other call can be the one that probes

    async def _acquire_or_degrade(
        self, route: Route, until: float, wait_until: float, caller: Caller, refusal: str, retry_of: Permit | None
    ) -> Permit:
        """Acquire a permit from Redis, or from the local pace while Redis is unavailable."""
        if self._link.down_for_s() == 0:
            try:
                account = self._accounts.of(route.credential)
                permit = await account.acquire(route, until, wait_until, caller, refusal, retry_of)
            except BrokerUnavailableError:
                if self._link.is_up:
                    raise
            else:
                self._decisions.degraded(on=False)
                return permit
        self._decisions.degraded(on=True)
        return await self._local.acquire(route, deadline=wait_until)

    def _tag_of(self, credential: str) -> str:
        names = {"bot": self._bot_id, "ip": f"ip:{self._limits.egress}"}
        return f"{{{self._prefix}:{names.get(credential, credential)}}}:{AREA}:"

    def _open_account(self, credential: str) -> Account:
        store = Store(
            self._link,
            self._tag_of(credential),
            worker=self.worker,
            channels=self._channels,
            global_limit=self._limits.global_limit if credential == "bot" else UNKNOWN_LIMIT,
            lease_s=self._limits.lease_s,
            clock=self._clock,
        )
        return Account(
            store,
            self._link,
            worker=self.worker,
            lease_s=self._limits.lease_s,
            decisions=self._decisions,
            max_waiting=self._limits.max_waiting,
            on_answer=self._circuit.observe,
        )

    async def _listen(self) -> None:
        async for message in self._link.messages(self._channels + self.worker, f"{self._channels}all"):
            try:
                key, (kind, permit_id, number, *rest) = orjson.loads(message)
                self._on_hint(key, kind, permit_id, int(number), *rest)
            except Exception as error:  # noqa: BLE001 - the next hint may be valid
                log.warning("A hint of another worker is invalid (%s)", type(error).__name__)

    def _on_hint(self, key: str, kind: str, permit_id: str, number: int, *rest: str) -> None:
        if kind == "C":
            if key == self._circuit.name:
                self._circuit.on_change(number)
            return
        for account in self._accounts.values():
            if key == account.key:
                account.on_hint(kind, permit_id, number, *rest)

    def link_up(self, *, other_server: bool) -> None:
        """Request all places again when Redis is available; restore the state of a server that has lost it."""
        self._accounts.of("bot")
        for account in self._accounts.values():
            account.link_up(other_server=other_server)

    def link_down(self) -> None:
        """Fail the calls that wait, unless Redis is back soon."""
        for account in self._accounts.values():
            account.link_down()

    def drain(self) -> None:
        """Refuse new calls and fail those that wait with `DrainingError`; permits stay valid."""
        self._draining = True
        self._local.drain()
        for account in self._accounts.values():
            account.drain()

    async def close(self) -> None:
        """Report the ends of permits and disconnect from Redis."""
        self.drain()
        if self._hints:
            await cancel(self._hints)
        await self._circuit.close()
        self._link.watchers.clear()  # `link_up` would open an account that is not closed
        await self._accounts.close()
        await self._link.close()
