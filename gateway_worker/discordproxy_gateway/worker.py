"""The process's life: log in, learn how to connect, run the shards, tell the operator what is fatal."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import discord
from redis.asyncio import Redis
from redis.exceptions import RedisError

from discordproxy_gateway import failures
from discordproxy_gateway.intents import value_of
from discordproxy_gateway.keys import Keys, Slot
from discordproxy_gateway.leader import Leader
from discordproxy_gateway.pump import REFUSALS, Bot, wait_asked_for
from discordproxy_gateway.reconnect import End, next_step
from discordproxy_gateway.scripts import Scripts
from discordproxy_gateway.session import fingerprint_of
from discordproxy_gateway.session_store import SessionStore
from discordproxy_gateway.shard import Plan, Shard
from discordproxy_gateway.tasks import end, race, together
from discordproxy_gateway.writer import Retention

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Options:
    """The worker's settings as plain values.

    Attributes:
        shards: number of shards, 0 for what Discord recommends.
        gateway_url: where to connect; "" asks Discord.
        force: ignore a recorded failure and the reserve of IDENTIFYs.
    """

    rest_url: str
    intents: Sequence[str]
    gateway_url: str = ""
    shards: int = 0
    lease_s: float = 10.0
    identify_floor: int = 50
    retention: Retention = field(default_factory=Retention)
    defer_after_s: float = 0.0
    defer_privately: bool = True
    force: bool = False


class Worker:
    """Runs every shard of one bot, as leader or as standby."""

    def __init__(self, redis: Redis, keys: Keys, token: str, options: Options) -> None:
        self._redis = redis
        self._keys = keys
        self._token = token
        self._options = options
        self._scripts = Scripts(redis)
        self._store = SessionStore(self._scripts, keys)
        self._intents = value_of(options.intents)
        self._bot: Bot | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping` is set; every session is then left for a successor to resume.

        Raises:
            failures.FatalError: the operator has to change something; recorded, so that restarts stay away.
        """
        stop = asyncio.ensure_future(stopping.wait())
        try:
            shards = await race(self._prepare(), stop)
            if shards is not None:
                looking = asyncio.create_task(self._warn_of_endpoint())
                try:
                    await together(shard.run(stopping) for shard in shards)
                finally:
                    await end(looking)
        except failures.FatalError as error:
            await self._record(error)
            raise
        finally:
            stop.cancel()
            if self._bot is not None:
                await self._bot.close()

    async def _warn_of_endpoint(self) -> None:
        """Tell the operator if interactions cannot arrive here."""
        if self._bot is None:
            return
        try:
            endpoint = await self._bot.interactions_endpoint()
        except REFUSALS as error:
            log.info("the application's settings could not be read: %s", type(error).__name__)
            return
        if endpoint:
            log.warning("%s", failures.ENDPOINT_SET)

    @property
    def _identity(self) -> str:
        """Who fails when connecting fails: this token with these intents."""
        return fingerprint_of(self._token, self._intents, 0, self._options.gateway_url)

    async def _prepare(self) -> list[Shard]:
        await self._refuse_known_failure()
        bot = await _patiently("log in", self._log_in)
        shard_count, url, limit = await _patiently("ask for the gateway", bot.http.get_bot_gateway)
        await self._store.learn_budget(limit["remaining"], limit["reset_after"])
        shard_count = self._options.shards or shard_count
        bot.use_shards(shard_count)
        plan = Plan(
            intents=self._options.intents,
            fingerprint=fingerprint_of(self._token, self._intents, shard_count, self._options.gateway_url),
            gateway=self._options.gateway_url or url,
            max_concurrency=limit["max_concurrency"],
            identify_floor=None if self._options.force else self._options.identify_floor,
            retention=self._options.retention,
            defer_after_s=self._options.defer_after_s,
            defer_privately=self._options.defer_privately,
        )
        return [self._shard(bot, Slot(shard_id, shard_count), plan) for shard_id in range(shard_count)]

    def _shard(self, bot: Bot, slot: Slot, plan: Plan) -> Shard:
        leader = Leader(self._scripts, self._keys, slot, lease_s=self._options.lease_s)
        return Shard(bot, self._scripts, self._keys, leader, self._store, plan)

    async def _log_in(self) -> Bot:
        bot = Bot(intents=self._intents, rest_url=self._options.rest_url)
        try:
            user = await bot.log_in(self._token)
        except BaseException as error:
            await bot.close()
            if isinstance(error, discord.LoginFailure):
                raise failures.FatalError(failures.BAD_TOKEN) from None
            raise
        self._bot = bot
        log.info("logged in as bot %s", user["id"])
        return bot

    async def _refuse_known_failure(self) -> None:
        known = None if self._options.force else await self._store.failure(self._identity)
        if known is not None:
            line, seconds = known
            raise failures.FatalError(
                f"{line}; not tried again for {seconds:.0f} s with the same token and intents, "
                "start with --force to try at once"
            )

    async def _record(self, error: failures.FatalError) -> None:
        try:
            if await self._store.failure(self._identity) is None:
                await self._store.fail(self._identity, str(error))
        except (RedisError, OSError) as problem:
            log.warning("the failure could not be recorded: %s", type(problem).__name__)


async def _patiently(what: str, ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask until Discord answers; its outages are waited for, not fatal."""
    failed = 0
    while True:
        try:
            return await ask()
        except REFUSALS as error:
            if isinstance(error, discord.LoginFailure):
                raise
            wait_s = next_step(End(what), failures=failed + 1, chance=random.random()).wait_s  # noqa: S311 - spreads load
            wait_s = max(wait_s, wait_asked_for(error))
            log.warning("cannot %s at Discord (%s), again in %.1f s", what, type(error).__name__, wait_s)
            failed += 1
        await asyncio.sleep(wait_s)
