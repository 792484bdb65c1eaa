"""The life of one slot: stand by, lead, connect, read, hand over. One term of leadership is one `Term`."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from redis.exceptions import RedisError

from discordproxy_gateway import failures, pump, status
from discordproxy_gateway.chunking import Chunker
from discordproxy_gateway.connection import Connection
from discordproxy_gateway.defer import Deferrer
from discordproxy_gateway.events.interactions import Interactions
from discordproxy_gateway.failures import LeaseLostError
from discordproxy_gateway.keys import Keys
from discordproxy_gateway.leader import Leader, Lease
from discordproxy_gateway.memory import load_planner
from discordproxy_gateway.operations import Planner
from discordproxy_gateway.pump import Bot
from discordproxy_gateway.reconnect import End, next_step
from discordproxy_gateway.scripts import Scripts
from discordproxy_gateway.session import Session
from discordproxy_gateway.session_store import SessionStore
from discordproxy_gateway.tasks import end, first, race
from discordproxy_gateway.writer import Retention, Writer

log = logging.getLogger(__name__)

HEALTHY_S = 60.0
"""A connection that lived so long wipes out the failures before it."""

_STALE_URL_FAILURES = 3  # the resume URL may be out of service while the gateway is not
_LONGEST_BUDGET_SLEEP_S = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What all shards of a process connect with.

    Attributes:
        intents: names of the gateway intents.
        fingerprint: of token, intents and shard count; a session of another one is not resumed.
        gateway: URL for new sessions.
        max_concurrency: Discord's number of IDENTIFY groups.
        identify_floor: leave so many IDENTIFYs a day unused; None uses all.
        defer_after_s: how long applications have for an interaction before it is deferred; 0 leaves it to them.
    """

    intents: Sequence[str]
    fingerprint: str
    gateway: str
    max_concurrency: int = 1
    identify_floor: int | None = 50
    retention: Retention = field(default_factory=Retention)
    defer_after_s: float = 0.0
    defer_privately: bool = True


class Shard:
    """Runs one slot in this process until it is told to stop."""

    def __init__(self, bot: Bot, scripts: Scripts, keys: Keys, leader: Leader, store: SessionStore, plan: Plan) -> None:
        self._bot = bot
        self._scripts = scripts
        self._keys = keys
        self._leader = leader
        self._store = store
        self._plan = plan

    async def run(self, stopping: asyncio.Event) -> None:
        """Lead whenever the lease is free, until `stopping` is set; then hand over and return.

        Raises:
            failures.FatalError: connecting is hopeless; the lease is released.
        """
        stop = asyncio.ensure_future(first(stopping))
        try:
            while (lease := await race(self._leader.lead(), stop)) is not None:
                await self._lead(lease, stopping)
        finally:
            stop.cancel()

    async def _lead(self, lease: Lease, stopping: asyncio.Event) -> None:
        log.info("leading shard %s with fence %d", lease.slot, lease.fence)
        keeping = asyncio.create_task(lease.keep())
        try:
            await Term(self._bot, self._scripts, self._keys, lease, self._store, self._plan).run(stopping)
        finally:
            await end(keeping)
            await lease.release()


class Term:
    """One leadership: connections one after the other, each resuming where the stored events end."""

    def __init__(self, bot: Bot, scripts: Scripts, keys: Keys, lease: Lease, store: SessionStore, plan: Plan) -> None:
        self._bot = bot
        self._scripts = scripts
        self._keys = keys
        self._lease = lease
        self._store = store
        self._plan = plan
        self._group = lease.slot.shard_id % plan.max_concurrency
        self._status = status.Status(scripts, keys, lease)
        self._failures = 0
        self._lost_sessions = 0
        self._planner: Planner | None = None
        self._chunker: Chunker | None = None
        self._deferrer = Deferrer(
            Interactions(scripts.redis, keys),
            bot.respond,
            after_s=plan.defer_after_s,
            private=plan.defer_privately,
            failures=pump.REFUSALS,
        )

    async def run(self, stopping: asyncio.Event) -> None:
        """Stay connected until `stopping` is set or the lease is lost; raises FatalError."""
        await self._status.tell(
            owner=status.owner_name(), fence=self._lease.fence, intents=" ".join(self._plan.intents)
        )
        over = asyncio.ensure_future(first(stopping, self._lease.lost))
        try:
            while not over.done():
                ended = await self._connect_once(over)
                if ended is not None:
                    await self._recover(ended, over)
            await self._status.tell(state=status.STOPPED)
        except LeaseLostError:
            log.warning("%r: stepping down", self._lease)
        finally:
            over.cancel()
            await self._deferrer.close()

    async def _connect_once(self, over: asyncio.Future[Any]) -> End | None:
        """Live through one connection; None when it ended because `over` came."""
        connection = Connection(self._lease, self._store, self._group, self._status)
        try:
            await race(self._open(connection), over)
            ended = await connection.run(over)
        except (RedisError, *pump.ENDINGS) as error:
            return pump.end_of(error, None)
        finally:
            await connection.close()
            if not connection.drained:  # it has planned what was never stored
                self._planner = self._chunker = None
        if connection.up_for_s > HEALTHY_S:
            self._failures = self._lost_sessions = 0
        return ended

    async def _open(self, connection: Connection) -> None:
        slot = self._lease.slot
        session = await self._store.load(slot, self._plan.fingerprint)
        await self._status.tell(state=status.CONNECTING)
        if session is None:
            await self._wait_for_identify()
        planner = await self._follow(session)
        connection.chunker = self._chunker
        connection.writer = Writer(
            self._scripts,
            self._keys,
            self._lease,
            session=session,
            fingerprint=self._plan.fingerprint,
            planner=planner,
            applied=connection.applied,
            retention=self._plan.retention,
        )
        connection.deferrer = self._deferrer
        if session is not None and self._failures > _STALE_URL_FAILURES:
            session = replace(session, resume_url=self._plan.gateway)
        # A process that slept may have lost the session to a successor: ask right before connecting.
        await self._lease.renew()
        try:
            connection.socket = await pump.connect(
                self._bot, connection, shard_id=slot.shard_id, gateway=self._plan.gateway, session=session
            )
        except BaseException:
            if session is None and not connection.identified:
                await self._store.not_identified(self._group)
            raise

    async def _follow(self, session: Session | None) -> Planner:
        """Return the planner of the last connection, requests for members in flight included, or a newly loaded one."""
        if self._planner is None:
            members = "members" in self._plan.intents
            mark = session.mark if session else ""
            slot, redis = self._lease.slot, self._scripts.redis
            planner = await load_planner(redis, self._keys, slot, mark=mark, members=members)
            wanted = self._keys.wanted_members(slot)
            self._chunker = Chunker(redis, wanted, planner.guilds, planner.member_lists.request) if members else None
            self._planner = planner
        return self._planner

    async def _wait_for_identify(self) -> None:
        told = False
        while True:
            answer = await self._store.may_identify(self._group, self._plan.identify_floor)
            match answer.verdict:
                case "GO":
                    return
                case "ASK":
                    await self._ask_budget()
                case "WAIT":
                    await asyncio.sleep(answer.wait_s)
                case _:
                    line = failures.budget_line(answer.remaining, answer.wait_s)
                    if not told:
                        log.error("%s", line)
                    told = True
                    await self._status.tell(state=status.WAITING, reason=line)
                    await asyncio.sleep(min(answer.wait_s, _LONGEST_BUDGET_SLEEP_S))

    async def _ask_budget(self) -> None:
        _, _, limit = await self._bot.http.get_bot_gateway()
        await self._store.learn_budget(limit["remaining"], limit["reset_after"])

    async def _recover(self, ended: End, over: asyncio.Future[Any]) -> None:
        """Act on how a connection ended: give up for good, or wait the right time."""
        slot = self._lease.slot
        line = failures.fatal_line(ended.code, intents=self._plan.intents, shards=str(slot))
        if line is not None:
            await self._status.tell(state=status.FATAL, reason=line)
            raise failures.FatalError(line)
        failed = self._lost_sessions if ended.must_identify else self._failures
        step = next_step(ended, failures=failed, chance=random.random())  # noqa: S311 - spreads load
        self._failures += 1
        self._lost_sessions += ended.must_identify
        code = f", close code {ended.code}" if ended.code else ""
        log.info("shard %s disconnected (%s%s), again in %.1f s", slot, ended.reason, code, step.wait_s)
        if not step.keep_session:
            await self._forget_session()
        await self._status.tell(state=status.CONNECTING, reason=f"{ended.reason}{code}")
        await asyncio.wait({over}, timeout=step.wait_s)

    async def _forget_session(self) -> None:
        forget = self._store.forget(self._lease.slot)
        with contextlib.suppress(RedisError, OSError):  # resuming it again costs one more refusal, nothing else
            await self._scripts.write(self._keys.fence(self._lease.slot), self._lease.fence, [forget])
