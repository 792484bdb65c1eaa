"""Opens what all workers share about each bot, in Redis."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.gateway import GatewayReaders, gateway_behind
from discordproxy_api.settings import ApiSettings
from discordproxy_gateway.cache import Keys
from discordproxy_ratelimit.broker import Broker, Limits
from discordproxy_ratelimit.metrics import Decisions
from discordproxy_ratelimit.process.bot_config import BotConfig
from discordproxy_ratelimit.process.trace import Trace, no_trace
from discordproxy_ratelimit.redis.client import connect
from discordproxy_ratelimit.server.embedded import broker_url


@dataclass(frozen=True, slots=True)
class Backend:
    """State of one bot that all workers share, in Redis. Its creator opens and closes it."""

    bot: BotConfig
    broker: Broker
    gateway: GatewayReaders


@asynccontextmanager
async def backends_of(settings: ApiSettings, metrics: Metrics, trace: Trace = no_trace) -> AsyncIterator[list[Backend]]:
    """Open the backend of each bot; they are closed at the end of the block."""
    url = redis_url(settings)
    decisions = Decisions(metrics.registry, limited=metrics.recent_stats.limited)
    async with AsyncExitStack() as stack:
        backends = []
        for bot in settings.all_bots:
            limits = Limits(
                global_limit=bot.global_limit or settings.global_limit,
                egress=settings.egress,
                degraded=settings.degraded,
                workers=settings.workers,
            )
            broker = Broker(
                connect(url),
                prefix=settings.namespace,
                bot_id=bot.id,
                limits=limits,
                decisions=decisions,
                trace=trace,
            )
            await broker.start()
            stack.push_async_callback(broker.close)
            keys = Keys(settings.namespace, bot.id)
            gateway = await stack.enter_async_context(gateway_behind(url, keys, heartbeat_s=settings.event_heartbeat))
            backends.append(Backend(bot, broker, gateway))
        yield backends


def redis_url(settings: ApiSettings) -> str:
    """Return the URL of the configured server, or of the private one."""
    return broker_url(settings.redis_url.get_secret_value(), settings.home_token.get_secret_value())
