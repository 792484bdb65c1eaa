"""The gateway worker: logs in, runs the shards, and records fatal failures."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import discord
from redis.asyncio import Redis
from redis.exceptions import RedisError

from discordproxy_gateway.discord import failures
from discordproxy_gateway.discord.bot_client import BotClient
from discordproxy_gateway.discord.gateway_info import GatewayInfo
from discordproxy_gateway.discord.intents import value_of
from discordproxy_gateway.discord.reconnect import ConnectionEnd, next_step
from discordproxy_gateway.discord.request_errors import advised_wait_s, describe
from discordproxy_gateway.discord.session import fingerprint_of
from discordproxy_gateway.keys import Keys, Slot
from discordproxy_gateway.options import GatewayOptions
from discordproxy_gateway.request_permits import OpenBroker, RequestPermits
from discordproxy_gateway.shard.context import ShardContext
from discordproxy_gateway.shard.shard import MIN_TERM_S, Shard
from discordproxy_gateway.store.lease import LeaderElection
from discordproxy_gateway.store.scripts import Scripts
from discordproxy_gateway.store.session_store import SessionStore
from discordproxy_ratelimit.process.tasks import cancel, run_all, run_until, steadily

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

REQUEST_TIMEOUT_S = 45.0
"""Time limit of a request before the first connection; the library itself retries 5xx for 25 s."""

LOGIN_ERROR_MARGIN_S = 10.0
"""A failed attempt stays visible for this long after the time limit of the next one."""


class GatewayWorker:
    """Runs all shards of one bot, as leader or standby.

    Args:
        redis: client of the server that all workers share.
        keys: key layout of the bot.
        token: the bot's.
        options: of this worker.
        open_broker: returns a broker of the bot; None makes requests without permits.
    """

    def __init__(
        self, redis: Redis, keys: Keys, token: str, options: GatewayOptions, open_broker: OpenBroker | None = None
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._token = token
        self._options = options
        self._scripts = Scripts(redis)
        self._store = SessionStore(self._scripts, keys)
        self._intents = value_of(options.intents)
        self._permits = RequestPermits(open_broker, options.rest_url) if open_broker else None
        self._bot: BotClient | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Run until `stopping` is set; a successor can then resume every session.

        Raises:
            failures.FatalError: the operator has to change something. It is recorded, so that restarts do not connect.
        """
        stop = asyncio.ensure_future(stopping.wait())
        try:
            await self._run_shards(stopping, stop)
        except failures.FatalError as error:
            await self._record(error)
            raise
        finally:
            stop.cancel()
            self._scripts.close()
            if self._bot is not None:
                await self._bot.close()

    async def _run_shards(self, stopping: asyncio.Event, stop: asyncio.Future[Any]) -> None:
        """Run the shards. If Discord refuses the number that it recommended, run the one that it recommends by then.

        Raises:
            failures.FatalError: as `run`; Discord refuses the number that it still recommends, or that of the settings.
        """
        refused: failures.ShardCountError | None = None
        refused_count = 0
        while (shards := await run_until(self._prepare(), stop)) is not None:
            if refused is not None and len(shards) == refused_count:
                raise refused
            if refused is not None:
                log.warning("%s; Discord recommends %d shards now, which are started", refused, len(shards))
            warning = asyncio.create_task(self._warn_about_endpoint(), name="gateway-endpoint")
            try:
                await run_all(self._supervised(shard, stopping) for shard in shards)
            except failures.ShardCountError as error:
                if self._options.shards:
                    raise
                refused, refused_count = error, len(shards)
            else:
                return
            finally:
                await cancel(warning)

    @staticmethod
    async def _supervised(shard: Shard, stopping: asyncio.Event) -> None:
        run = partial(shard.run, stopping)
        fatal = (failures.FatalError,)
        await steadily(run, f"shard {shard.slot}", until_done=True, fatal=fatal, first_pause_s=MIN_TERM_S)

    async def _warn_about_endpoint(self) -> None:
        """Warn if Discord sends interactions elsewhere."""
        if self._bot is None:
            return
        try:
            endpoint = await self._bot.interactions_endpoint()
        except Exception as error:  # noqa: BLE001 - nothing depends on it
            log.info("cannot read the application's settings: %s", describe(error))
            return
        if endpoint:
            log.warning("%s", failures.ENDPOINT_SET)

    @property
    def _identity(self) -> str:
        """Identifies recorded failures: this token with these intents."""
        return fingerprint_of(self._token, self._intents, 0, self._options.gateway_url)

    async def _prepare(self) -> list[Shard]:
        await self._retry("Redis", self._refuse_known_failure)
        bot = await self._retry("GET /users/@me", self._log_in) if self._bot is None else self._bot
        info = await self._retry("GET /gateway/bot", self._read_gateway_info)
        options = self._options
        shard_count = options.shards or info.shards
        bot.set_shard_count(shard_count)
        context = ShardContext(
            bot=bot,
            scripts=self._scripts,
            keys=self._keys,
            store=self._store,
            options=options,
            fingerprint=fingerprint_of(self._token, self._intents, shard_count, options.gateway_url),
            gateway_url=info.url,
            max_concurrency=info.max_concurrency,
            identify_floor=None if options.force else min(options.identify_floor, info.total // 2),
        )
        return [Shard(context, self._election(Slot(shard_id, shard_count))) for shard_id in range(shard_count)]

    def _election(self, slot: Slot) -> LeaderElection:
        return LeaderElection(self._scripts, self._keys, slot, lease_s=self._options.lease_s)

    async def _read_gateway_info(self) -> GatewayInfo:
        if self._bot is None:
            raise RuntimeError("not logged in")
        info = await self._bot.gateway_info(self._options.gateway_url)
        if info.replaced:
            log.warning("GET /gateway/bot: no usable value for %s; defaults are used", ", ".join(info.replaced))
        await self._store.set_budget(info)
        return info

    async def _log_in(self) -> BotClient:
        bot = BotClient(intents=self._intents, rest_url=self._options.rest_url, permits=self._permits)
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
        known = None if self._options.force else await self._store.recorded_failure(self._identity)
        if known is not None:
            line, seconds = known
            raise failures.FatalError(
                f"{line}; not retried for {seconds:.0f} s with the same token and intents, "
                "start with --force to retry at once"
            )

    async def _record(self, error: failures.FatalError) -> None:
        try:
            if await self._store.recorded_failure(self._identity) is None:
                await self._store.record_failure(self._identity, str(error))
        except (RedisError, OSError) as problem:
            log.warning("cannot record the failure: %s", type(problem).__name__)

    async def publish_login_error(self, line: str, lives_s: float) -> None:
        """Publish why this worker cannot log in; "" if it can again."""
        with suppress(RedisError, OSError):
            await self._store.set_login_error(line, lives_s)

    async def _retry(self, where: str, request: Callable[[], Awaitable[Answer]]) -> Answer:
        """Repeat a request until it succeeds, and publish the reason of each failure."""
        try:
            await self.publish_login_error(f"{where}: no answer yet", REQUEST_TIMEOUT_S + LOGIN_ERROR_MARGIN_S)
            failed = 0
            while (answer := await self._attempt(where, request, failed)) is None:
                failed += 1
            return answer[0]
        finally:
            await self.publish_login_error("", LOGIN_ERROR_MARGIN_S)

    async def _attempt(self, where: str, request: Callable[[], Awaitable[Answer]], failed: int) -> tuple[Answer] | None:
        """Try once; after a failure, log it, wait, and return None."""
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                return (await request(),)
        except failures.FatalError:
            raise
        except Exception as error:  # noqa: BLE001 - any failure is retried
            reason = f"{where}: {describe(error)}"
            end = ConnectionEnd(reason, established=False, wait_s=advised_wait_s(error))
        step = next_step(end, failures=failed, jitter=random.random())  # noqa: S311 - spreads load
        log.warning("cannot log in: %s; again in %.1f s", reason, step.wait_s)
        await self.publish_login_error(reason, step.wait_s + REQUEST_TIMEOUT_S + LOGIN_ERROR_MARGIN_S)
        await asyncio.sleep(step.wait_s)
        return None
