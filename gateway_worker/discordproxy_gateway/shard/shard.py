"""The life of one slot: stand by, lead, connect, read, hand over. One term of leadership is one `Term`."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from redis.exceptions import RedisError

from discordproxy_gateway.discord import bot_client, failures
from discordproxy_gateway.discord.bot_client import BotClient
from discordproxy_gateway.discord.failures import GatewayError, LeaseLostError
from discordproxy_gateway.discord.gateway_info import websocket_url
from discordproxy_gateway.discord.reconnect import End, next_step
from discordproxy_gateway.discord.session import Session
from discordproxy_gateway.events.interactions import Interactions
from discordproxy_gateway.keys import Keys
from discordproxy_gateway.plan.event_planner import EventPlanner
from discordproxy_gateway.plan.planner_state import load_planner
from discordproxy_gateway.shard.chunking import Chunker
from discordproxy_gateway.shard.connection import HEALTHY_S, ShardConnection
from discordproxy_gateway.shard.identify_turn import await_turn
from discordproxy_gateway.shard.interaction_deferral import Deferrer
from discordproxy_gateway.store import shard_status as status
from discordproxy_gateway.store.lease import Leader, Lease
from discordproxy_gateway.store.scripts import Scripts
from discordproxy_gateway.store.session_store import MOST_TRIES, IdentifyAnswer, SessionStore
from discordproxy_gateway.write.writer import Retention, Writer
from discordproxy_ratelimit.process.tasks import cancel, run_until, steadily, wait_any

log = logging.getLogger(__name__)

LEAST_TERM_S = 1.0
"""Terms of leadership begin no faster than that."""

_STALE_URL_FAILURES = 3  # the resume URL may be out of service while the gateway is not
_UNCOMPRESSED_FAILURES = 3  # connections on which nothing could be read: the compression may be at fault


@dataclass(frozen=True, slots=True)
class ShardOptions:
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


@dataclass(slots=True)
class History:
    """What failed in a row since the last healthy connection of this process; a new term goes on from there."""

    failures: int = 0
    lost_sessions: int = 0
    unreadable: int = 0


class Shard:
    """Runs one slot in this process until it is told to stop."""

    def __init__(
        self, bot: BotClient, scripts: Scripts, keys: Keys, leader: Leader, store: SessionStore, plan: ShardOptions
    ) -> None:
        self.slot = leader.slot
        self._bot = bot
        self._scripts = scripts
        self._keys = keys
        self._leader = leader
        self._store = store
        self._plan = plan
        self._history = History()

    async def run(self, stopping: asyncio.Event) -> None:
        """Lead whenever the lease is free, until `stopping` is set; then hand over and return.

        Raises:
            failures.FatalError: connecting is hopeless; the lease is released.
        """
        clock = asyncio.get_running_loop().time
        stop = asyncio.ensure_future(wait_any(stopping))
        try:
            while (lease := await run_until(self._leader.lead(), stop)) is not None:
                began = clock()
                await self._lead(lease, stopping)
                if (left_s := began + LEAST_TERM_S - clock()) > 0:  # leases may be lost at once, again and again
                    await asyncio.wait({stop}, timeout=left_s)
        finally:
            stop.cancel()

    async def _lead(self, lease: Lease, stopping: asyncio.Event) -> None:
        log.info("leading shard %s with fence %d", lease.slot, lease.fence)
        keeping = asyncio.create_task(steadily(lease.keep, f"the lease of shard {lease.slot}", until_done=True))
        try:
            term = Term(self._bot, self._scripts, self._keys, lease, self._store, self._plan, self._history)
            await term.run(stopping)
        finally:
            await cancel(keeping)
            await lease.release()


class Term:
    """One leadership: connections one after the other, each resuming where the stored events end."""

    def __init__(
        self,
        bot: BotClient,
        scripts: Scripts,
        keys: Keys,
        lease: Lease,
        store: SessionStore,
        plan: ShardOptions,
        history: History,
    ) -> None:
        self._bot = bot
        self._scripts = scripts
        self._keys = keys
        self._lease = lease
        self._store = store
        self._plan = plan
        # A session of an earlier era is not resumed: the caches have followed others since.
        self._fingerprint = f"{plan.fingerprint}:{lease.era}"
        self._group = lease.slot.shard_id % plan.max_concurrency
        self._status = status.ShardStatus(scripts, keys, lease)
        self._history = history
        self._planner: EventPlanner | None = None
        self._chunker: Chunker | None = None
        self._deferrer = Deferrer(
            Interactions(scripts.redis, keys),
            bot.respond,
            after_s=plan.defer_after_s,
            private=plan.defer_privately,
            failures=bot_client.REFUSALS,
        )

    async def run(self, stopping: asyncio.Event) -> None:
        """Stay connected until `stopping` is set or the lease is lost; raises FatalError."""
        await self._status.tell(
            owner=status.owner_name(), fence=self._lease.fence, intents=" ".join(self._plan.intents)
        )
        over = asyncio.ensure_future(wait_any(stopping, self._lease.lost))
        try:
            while not over.done():
                ended = await self._connect_once(over)
                if ended is None and not (stopping.is_set() or self._lease.lost.is_set()):
                    ended = End("ended for no known reason", established=False)  # not at once again
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
        connection = ShardConnection(self._lease, self._store, self._group, self._status)
        try:
            await run_until(self._open(connection), over)
            ended = await connection.run(over)
        except GatewayError:
            raise
        except Exception as error:  # noqa: BLE001 - connecting again may help, ending the process does not
            ended = self._unexpected(error)
        finally:
            await connection.close()
            if not connection.drained:  # it has planned what was never stored
                self._planner = self._chunker = None
        return await self._judge(connection, ended)

    def _unexpected(self, error: Exception) -> End:
        if isinstance(error, bot_client.NoConnectionError):
            return error.end
        if not isinstance(error, (RedisError, *bot_client.ENDINGS)):
            log.error("shard %s failed", self._lease.slot, exc_info=error)
            return End(f"internal error, {type(error).__name__}", established=False)
        return replace(bot_client.end_of(error, None), established=False)

    async def _judge(self, connection: ShardConnection, ended: End | None) -> End | None:
        """Note what a connection says about its session, and return its end seen that way."""
        history = self._history
        if connection.up_for_s > HEALTHY_S:
            history.failures = history.lost_sessions = 0
        if connection.up_for_s > HEALTHY_S or (ended is None and connection.began):
            connection.works = True
        await connection.note_progress()
        if ended is None:
            return None
        history.unreadable = history.unreadable + 1 if ended.unreadable and not connection.works else 0
        if connection.identified and not connection.began:  # there is nothing to resume
            return replace(ended, session_gone=True)
        return ended

    async def _open(self, connection: ShardConnection) -> None:
        slot = self._lease.slot
        session = await self._load()
        if not self._history.failures:
            await self._status.tell(state=status.CONNECTING)
        planner = await self._follow(session)
        connection.chunker = self._chunker
        connection.writer = Writer(
            self._scripts,
            self._keys,
            self._lease,
            session=session,
            fingerprint=self._fingerprint,
            planner=planner,
            applied=connection.applied,
            retention=self._plan.retention,
            covered_until_ms=await self._store.covered_until_ms(self._lease.era) if session is None else None,
        )
        connection.deferrer = self._deferrer
        stale = self._history.failures > _STALE_URL_FAILURES
        if session is not None and (stale or not websocket_url(session.resume_url)):
            session = replace(session, resume_url=self._plan.gateway)
        if session is None:
            floor = self._plan.identify_floor
            may = partial(self._store.may_identify, self._lease, self._group, floor)
            await await_turn(may, self._ask_budget, self._tell_low)
        try:
            # A process that slept may have lost the session to a successor: ask right before connecting.
            await self._lease.renew()
            connection.socket = await bot_client.connect(
                self._bot,
                connection,
                shard_id=slot.shard_id,
                gateway=self._plan.gateway,
                session=session,
                compress=self._history.unreadable < _UNCOMPRESSED_FAILURES,
            )
        except BaseException:
            if session is None and not connection.identified:
                with contextlib.suppress(RedisError, OSError):  # the gate opens by itself, later
                    await self._store.not_identified(self._lease, self._group)
            raise

    async def _load(self) -> Session | None:
        """Return the session to resume; None if there is none, or one that cannot be resumed any more."""
        session = await self._store.load(self._lease.slot, self._fingerprint)
        if session is None or session.tries < MOST_TRIES:
            return session
        # The first new session costs little; those after it may be many, and each takes one from the day's budget.
        lost, self._history.lost_sessions = self._history.lost_sessions, self._history.lost_sessions + 1
        gone = End("given up", session_gone=True)
        wait_s = next_step(gone, failures=lost, chance=random.random()).wait_s if lost else 0.0  # noqa: S311 - spreads load
        log.warning(
            "shard %s: session %s was resumed %d times in a row and no event came; "
            "a new session begins in %.0f s, and subscribers get a GAP",
            self._lease.slot,
            session.mark,
            session.tries,
            wait_s,
        )
        await self._forget_session()
        await asyncio.sleep(wait_s)
        return None

    async def _follow(self, session: Session | None) -> EventPlanner:
        """Return the planner of the last connection, requests for members in flight included, or a newly loaded one."""
        if self._planner is None:
            members = "members" in self._plan.intents
            mark = session.mark if session else ""
            slot, redis = self._lease.slot, self._scripts.redis
            planner = await load_planner(redis, self._keys, slot, mark=mark, members=members, era=self._lease.era)
            wanted = self._keys.wanted_members(slot)
            self._chunker = Chunker(redis, wanted, planner.guilds, planner.member_lists.request) if members else None
            self._planner = planner
        return self._planner

    async def _ask_budget(self) -> None:
        await self._store.learn_budget(await self._bot.gateway_info(self._plan.gateway))

    async def _tell_low(self, answer: IdentifyAnswer) -> None:
        line = failures.budget_line(answer.remaining, answer.wait_s)
        log.error("%s", line)
        await self._status.tell(state=status.WAITING, reason=line)

    async def _recover(self, ended: End, over: asyncio.Future[Any]) -> None:
        """Act on how a connection ended: give up for good, or wait the right time."""
        slot, history = self._lease.slot, self._history
        line = failures.fatal_line(ended.code, intents=self._plan.intents, shards=str(slot))
        if line is not None:
            await self._status.tell(state=status.FATAL, reason=line)
            raise failures.FatalError(line)
        failed = history.lost_sessions if ended.must_identify else history.failures
        step = next_step(ended, failures=failed, chance=random.random())  # noqa: S311 - spreads load
        history.failures += 1
        history.lost_sessions += ended.must_identify
        reason = f"{ended.reason}, close code {ended.code}" if ended.code else ended.reason
        level, what = (logging.INFO, "disconnected") if ended.established else (logging.WARNING, "not connected")
        log.log(level, "shard %s %s (%s), again in %.1f s", slot, what, reason, step.wait_s)
        if not step.keep_session:
            await self._forget_session()
        await self._status.tell(state=status.CONNECTING if ended.established else status.REFUSED, reason=reason)
        await asyncio.wait({over}, timeout=step.wait_s)

    async def _forget_session(self) -> None:
        forget = self._store.forget(self._lease.slot)
        with contextlib.suppress(RedisError, OSError):  # resuming it again costs one more refusal, nothing else
            await self._scripts.write(self._keys.fence(self._lease.slot), self._lease.fence, [forget])
