"""One term of leadership: connections one after the other, each resuming where the stored events end."""

import asyncio
import contextlib
import logging
import random
from dataclasses import dataclass, replace
from typing import Any

from redis.exceptions import RedisError

from discordproxy_gateway.discord import bot_client, failures
from discordproxy_gateway.discord.discord_socket import Socket
from discordproxy_gateway.discord.failures import GatewayError, LeaseLostError
from discordproxy_gateway.discord.gateway_info import websocket_url
from discordproxy_gateway.discord.reconnect import ConnectionEnd, next_step
from discordproxy_gateway.discord.session import Session
from discordproxy_gateway.events.interactions import Interactions
from discordproxy_gateway.plan.event_planner import EventPlanner
from discordproxy_gateway.plan.planner_state import load_planner
from discordproxy_gateway.shard.chunking import Chunker
from discordproxy_gateway.shard.connection import HEALTHY_S, ShardConnection
from discordproxy_gateway.shard.context import ShardContext
from discordproxy_gateway.shard.identify_turn import await_turn
from discordproxy_gateway.shard.intake import Intake
from discordproxy_gateway.shard.interaction_deferral import Deferrer
from discordproxy_gateway.store import shard_status
from discordproxy_gateway.store.lease import Lease
from discordproxy_gateway.store.session_store import MAX_RESUMES, IdentifyAnswer
from discordproxy_ratelimit.process.tasks import run_until, wait_any

log = logging.getLogger(__name__)

_MAX_RESUME_URL_FAILURES = 3  # then the gateway's own URL is used: the resume URL may be out of service
_MAX_COMPRESSED_FAILURES = 3  # unreadable connections, after which compression is switched off


@dataclass(slots=True)
class FailureHistory:
    """Failures in a row since the last healthy connection of this process; they outlive a term."""

    failures: int = 0
    lost_sessions: int = 0
    unreadable: int = 0


class Term:
    """Keeps one shard connected while its lease is held."""

    def __init__(self, context: ShardContext, lease: Lease, history: FailureHistory) -> None:
        self._context = context
        self._store = context.store
        self._lease = lease
        self._history = history
        # A session of an earlier era is not resumed: the caches have followed other shards since.
        self._fingerprint = f"{context.fingerprint}:{lease.era}"
        self._group = context.identify_group(lease.slot)
        self._status = shard_status.ShardStatus(context.scripts, context.keys, lease)
        self._planner: EventPlanner | None = None
        self._chunker: Chunker | None = None
        self._deferrer = Deferrer(
            Interactions(context.scripts.redis, context.keys),
            context.bot.respond,
            after_s=context.options.defer_after_s,
            private=context.options.defer_privately,
        )

    async def run(self, stopping: asyncio.Event) -> None:
        """Stay connected until `stopping` is set or the lease is lost; raises FatalError."""
        intents = " ".join(self._context.options.intents)
        await self._status.set(owner=shard_status.owner_name(), fence=self._lease.fence, intents=intents)
        stop = asyncio.ensure_future(wait_any(stopping, self._lease.lost))
        try:
            while not stop.done():
                end = await self._connect_once(stop)
                if end is None and not (stopping.is_set() or self._lease.lost.is_set()):
                    end = ConnectionEnd("ended for no known reason", established=False)  # waits before the next
                if end is not None:
                    await self._recover(end, stop)
            await self._status.set(state=shard_status.STOPPED)
        except LeaseLostError:
            log.warning("the connection of shard %s ends: its lease is lost", self._lease.slot)
        finally:
            stop.cancel()
            await self._deferrer.close()

    async def _connect_once(self, stop: asyncio.Future[Any]) -> ConnectionEnd | None:
        """Run one connection and return its end; None when it ended because of `stop`."""
        intake: Intake | None = None
        end: ConnectionEnd | None = None
        try:
            intake = await run_until(self._prepare(), stop)
            socket = await run_until(self._open(intake), stop) if intake is not None else None
            if intake is not None and socket is not None:
                end = await self._run(ShardConnection(intake, socket, self._status), stop)
        except GatewayError:
            raise
        except Exception as error:  # noqa: BLE001 - connecting again may help, ending the process does not
            end = self._unexpected(error)
        return end if intake is None else await self._judge(intake, end)

    async def _run(self, connection: ShardConnection, stop: asyncio.Future[Any]) -> ConnectionEnd | None:
        try:
            return await connection.run(stop)
        finally:
            await connection.close()
            if not connection.drained:  # the planner has planned events that were never stored
                self._planner = self._chunker = None

    def _unexpected(self, error: Exception) -> ConnectionEnd:
        if isinstance(error, bot_client.NoConnectionError):
            return error.end
        if not isinstance(error, (RedisError, *bot_client.CONNECTION_ERRORS)):
            log.error("shard %s failed", self._lease.slot, exc_info=error)
            return ConnectionEnd(f"internal error, {type(error).__name__}", established=False)
        return replace(bot_client.end_of(error, None), established=False)

    async def _judge(self, intake: Intake, end: ConnectionEnd | None) -> ConnectionEnd | None:
        """Update the history, and return the end with what it means for the session."""
        history = self._history
        healthy = intake.up_for_s > HEALTHY_S
        if healthy:
            history.failures = history.lost_sessions = 0
        if healthy or (end is None and intake.began):
            intake.works = True
        await intake.reset_resume_count()
        if end is None:
            return None
        history.unreadable = history.unreadable + 1 if end.unreadable and not intake.works else 0
        if intake.identified and not intake.began:  # there is nothing to resume
            return replace(end, session_gone=True)
        return end

    async def _prepare(self) -> Intake:
        """Load the session and the planner of the next connection."""
        session = await self._load_session()
        if not self._history.failures:
            await self._status.set(state=shard_status.CONNECTING)
        planner = await self._planner_for(session)
        return Intake(
            self._context,
            self._lease,
            session=session,
            fingerprint=self._fingerprint,
            planner=planner,
            deferrer=self._deferrer,
            chunker=self._chunker,
            covered_until_ms=await self._store.covered_until_ms(self._lease.era) if session is None else None,
        )

    async def _open(self, intake: Intake) -> Socket:
        """Open the socket, in its turn if a new session begins."""
        session = intake.session
        if session is None:
            await await_turn(self._may_identify, self._refresh_budget, self._report_low_budget)
        elif self._history.failures > _MAX_RESUME_URL_FAILURES or not websocket_url(session.resume_url):
            session = replace(session, resume_url=self._context.gateway_url)
        try:
            # A suspended process may have lost the session to a successor, so the lease is renewed first.
            await self._lease.renew()
            socket = await bot_client.connect(
                self._context.bot,
                intake,
                shard_id=self._lease.slot.shard_id,
                gateway=self._context.gateway_url,
                session=session,
                compress=self._history.unreadable < _MAX_COMPRESSED_FAILURES,
            )
        except BaseException:
            await self._end_turn(intake)
            raise
        try:
            await self._end_turn(intake)
        except BaseException:
            await socket.close_resumable()
            raise
        return socket

    async def _end_turn(self, intake: Intake) -> None:
        """Let the next shard of the group connect: at Discord's pace, or at once if no IDENTIFY was sent."""
        if intake.session is None:
            end = self._store.identified if intake.identified else self._store.not_identified
            with contextlib.suppress(RedisError, OSError):  # the gate opens by itself, later
                await end(self._lease, self._group)

    async def _load_session(self) -> Session | None:
        """Return the session to resume; None if there is none, or one that cannot be resumed any more."""
        session = await self._store.load(self._lease.slot, self._fingerprint)
        if session is None or session.resumes < MAX_RESUMES:
            return session
        # The first new session costs little; later ones may be many, and each takes one from the day's budget.
        lost, self._history.lost_sessions = self._history.lost_sessions, self._history.lost_sessions + 1
        gone = ConnectionEnd("given up", session_gone=True)
        wait_s = next_step(gone, failures=lost, jitter=random.random()).wait_s if lost else 0.0  # noqa: S311 - spreads load
        log.warning(
            "shard %s: session %s was resumed %d times in a row and no event came; "
            "a new session begins in %.0f s, and subscribers get a GAP",
            self._lease.slot,
            session.mark,
            session.resumes,
            wait_s,
        )
        await self._forget_session()
        await asyncio.sleep(wait_s)
        return None

    async def _planner_for(self, session: Session | None) -> EventPlanner:
        """Return the last connection's planner, with its pending member requests, or a newly loaded one."""
        if self._planner is None:
            members = "members" in self._context.options.intents
            mark = session.mark if session else ""
            slot, redis, keys = self._lease.slot, self._context.scripts.redis, self._context.keys
            planner = await load_planner(redis, keys, slot, mark=mark, members=members, era=self._lease.era)
            wanted = keys.wanted_members(slot)
            self._chunker = Chunker(redis, wanted, planner.guilds, planner.member_lists.request) if members else None
            self._planner = planner
        return self._planner

    async def _may_identify(self) -> IdentifyAnswer:
        return await self._store.may_identify(self._lease, self._group, self._context.identify_floor)

    async def _refresh_budget(self) -> None:
        await self._store.set_budget(await self._context.bot.gateway_info(self._context.gateway_url))

    async def _report_low_budget(self, answer: IdentifyAnswer) -> None:
        line = failures.budget_line(answer.remaining, answer.wait_s)
        log.error("%s", line)
        await self._status.set(state=shard_status.WAITING, reason=line)

    async def _recover(self, end: ConnectionEnd, stop: asyncio.Future[Any]) -> None:
        """React to the end of a connection: raise FatalError, or wait before the next one."""
        slot, history = self._lease.slot, self._history
        fatal = failures.fatal_error(end.code, intents=self._context.options.intents, shards=str(slot))
        if fatal is not None:
            await self._status.set(state=shard_status.FATAL, reason=str(fatal))
            raise fatal
        failed = history.lost_sessions if end.must_identify else history.failures
        step = next_step(end, failures=failed, jitter=random.random())  # noqa: S311 - spreads load
        history.failures += 1
        history.lost_sessions += end.must_identify
        reason = f"{end.reason}, close code {end.code}" if end.code else end.reason
        level, what = (logging.INFO, "disconnected") if end.established else (logging.WARNING, "not connected")
        log.log(level, "shard %s %s (%s), again in %.1f s", slot, what, reason, step.wait_s)
        if not step.keep_session:
            await self._forget_session()
        await self._status.set(
            state=shard_status.CONNECTING if end.established else shard_status.REFUSED, reason=reason
        )
        await asyncio.wait({stop}, timeout=step.wait_s)

    async def _forget_session(self) -> None:
        forget = self._store.forget(self._lease.slot)
        fence_key = self._context.keys.fence(self._lease.slot)
        with contextlib.suppress(RedisError, OSError):  # resuming it again costs one more refusal, nothing else
            await self._context.scripts.write(fence_key, self._lease.fence, [forget])
