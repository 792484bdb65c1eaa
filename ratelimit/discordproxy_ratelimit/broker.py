"""The broker's front: `acquire` a permit for a route, whoever's limits it falls under.

Wires accounts (one per credential), the circuit of this address, the inbox for hints of other workers, and the local
pace while Redis is away.
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
from discordproxy_ratelimit.errors import BrokerUnavailableError, DrainingError, WaitRefusedError
from discordproxy_ratelimit.inspection import AccountState, survey
from discordproxy_ratelimit.limiter.account import Account
from discordproxy_ratelimit.limiter.accounts import Accounts
from discordproxy_ratelimit.limiter.outcomes import refusal_to_respect
from discordproxy_ratelimit.limiter.store import Store
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

__all__ = ["Broker", "Caller", "Limits"]

log = logging.getLogger(__name__)

NOBODY = Caller()
MAX_WAIT_S = 1800.0
UNKNOWN_LIMIT = 50
"""Requests per second without the bot's token; what Discord grants every bot, too."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator decides.

    Attributes:
        global_limit: requests per second of this bot; Discord raises it for large bots on request.
        lease_s: how long Redis trusts a worker without a sign of life.
        most_waiting: calls that may wait in one worker.
        egress: name of this machine's address; workers behind one address share its invalid-request budget.
        degraded: `refuse` or `local`: what happens while Redis is away.
        workers: how many workers share the global limit while Redis is away.
    """

    global_limit: int = 50
    lease_s: float = 10.0
    most_waiting: int = 20_000
    egress: str = "default"
    degraded: str = "refuse"
    workers: int = 1


class Broker:
    """Grants permits to one worker for one bot.

    Args:
        client: Redis client whose own retries are off.
        prefix: of every key; part of the hash tag.
        bot_id: whose limits these are; two bots on one server never meet.
        limits: what the operator decides.
        decisions: the metrics.
        clock: us; None means Redis TIME. Only simulations set it.
        worker: its name, unique among all; empty for a random one.
        trace: times what a call waits for.
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
        self.notes = Claims(self._link, f"{{{prefix}:{bot_id}}}:note:")
        self.quota = AppRate(self._link, f"{{{prefix}:{bot_id}}}:quota:")
        self.board = Registry(self._link, f"{{{prefix}:{bot_id}}}:board:")
        self._inbox: asyncio.Task[None] | None = None
        self._draining = False
        self._may_go_alone = self._limits.degraded == "local"

    async def start(self) -> None:
        """Listen for hints of other workers. Redis may still be away."""
        self._inbox = asyncio.create_task(steadily(self._listen, "the inbox of hints"), name="broker-inbox")
        await asyncio.sleep(0)

    async def ready(self) -> None:
        """Wait until Redis answers."""
        await self._link.until_up()

    @property
    def is_up(self) -> bool:
        """Whether Redis answers."""
        return self._link.is_up

    @property
    def waiting(self) -> int:
        """Calls of this worker that wait for a permit."""
        return sum(account.waiting for account in self._accounts.values())

    def lanes(self, credential: str = "bot", *, most: int) -> list[Lane]:
        """Return this worker's busiest lanes of a credential."""
        account = self._accounts.get(credential)
        return account.lanes(most) if account else []

    async def survey(self, buckets: Iterable[str], credential: str = "bot") -> AccountState:
        """Look at the limits of a credential as all workers share them. Raises BrokerUnavailable.

        Args:
            buckets: their names, as `lanes` gives them.
            credential: `bot`, or `ip` for what needs no authorization.
        """
        limit = self._limits.global_limit if credential == "bot" else UNKNOWN_LIMIT
        return await survey(self._link, self._tag_of(credential), buckets, limit=limit, clock=self._clock)

    async def circuit(self) -> CircuitState:
        """Look at the circuit of this machine's address. Raises BrokerUnavailable."""
        return await self._circuit.look()

    def acquire(
        self,
        route: Route,
        deadline: float | None = None,
        caller: Caller = NOBODY,
        *,
        max_wait_s: float | None = None,
        retry_of: Permit | None = None,
    ) -> PendingPermit:
        """Wait for the right to send one request: `permit = await broker.acquire(...)`, which the caller has to end.

        `async with broker.acquire(...) as permit` releases it at the end of the block.

        Args:
            route: what is to be sent.
            deadline: event loop time after which the caller does not want it any more; None = half an hour from now.
            caller: for fairness and priority.
            max_wait_s: longest wait the caller accepts; a longer one is refused at once.
            retry_of: the permit whose request was answered 429; its repeat goes to the head of the queue.

        Raises:
            BrokerError: nothing was granted, nothing was sent.
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
            raise DrainingError("This worker is stopping; another one will serve the call", retry_after_s=1.0)
        circuit = self._circuit
        probing = not circuit.is_quiet and await self._check_circuit(caller.app)
        wait_until = until if max_wait_s is None else min(until, now + max_wait_s)
        refusal = refusal_to_respect(route, careful=circuit.is_careful)
        acquire = self._acquire_or_go_alone if self._may_go_alone else self._accounts.of(route.credential).acquire
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
            if not self._may_go_alone:
                raise
            return True  # without Redis, no other call can be the one that probes

    async def _acquire_or_go_alone(
        self, route: Route, until: float, wait_until: float, caller: Caller, refusal: str, retry_of: Permit | None
    ) -> Permit:
        """Ask Redis; while it is away, keep to the local pace."""
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
        return f"{{{self._prefix}:{names.get(credential, credential)}}}:rl:"

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
            max_waiting=self._limits.most_waiting,
            on_answer=self._circuit.observe,
        )

    async def _listen(self) -> None:
        async for message in self._link.messages(self._channels + self.worker, f"{self._channels}all"):
            try:
                key, (kind, permit_id, number, *rest) = orjson.loads(message)
                self._hint(key, kind, permit_id, int(number), *rest)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next hint may be fine
                log.warning("A hint that nobody understands came from another worker (%s)", type(error).__name__)

    def _hint(self, key: str, kind: str, permit_id: str, number: int, bucket: str = "") -> None:
        if kind == "C":
            if key == self._circuit.name:
                self._circuit.on_change(number)
            return
        for account in self._accounts.values():
            if key == account.key:
                account.on_hint(kind, permit_id, number, bucket)

    def link_up(self, *, other_server: bool) -> None:
        """Redis answers: places are taken anew, and a server that forgot is told what is known."""
        self._accounts.of("bot")
        for account in self._accounts.values():
            account.link_up(other_server=other_server)

    def link_down(self) -> None:
        """Redis does not answer: whoever waits hears of it."""
        for account in self._accounts.values():
            account.link_down()

    def drain(self) -> None:
        """End every waiting call with `DrainingError`; what has its permit goes on."""
        self._draining = True
        self._local.drain()
        for account in self._accounts.values():
            account.drain()

    async def close(self) -> None:
        """Report what has ended and let go of Redis."""
        self.drain()
        if self._inbox:
            await cancel(self._inbox)
        await self._circuit.close()
        await self._accounts.close()
        await self._link.close()
