"""Entry point of the gateway process."""

import argparse
import asyncio
import gc
import logging
import sys
from contextlib import suppress
from functools import partial

import uvloop
from prometheus_client import CollectorRegistry

from discordproxy_gateway.discord.failures import FatalError
from discordproxy_gateway.keys import Keys
from discordproxy_gateway.settings import GatewaySettings
from discordproxy_gateway.worker import GatewayWorker
from discordproxy_ratelimit.broker import Broker, Limits
from discordproxy_ratelimit.errors import BrokerUnavailableError
from discordproxy_ratelimit.metrics import Decisions
from discordproxy_ratelimit.process import logs, streams
from discordproxy_ratelimit.process.exit_status import CONFIGURATION, USAGE
from discordproxy_ratelimit.process.http_proxy import HttpProxyError, http_proxy_for
from discordproxy_ratelimit.process.stop_signals import on_stop_signal
from discordproxy_ratelimit.process.tasks import run_until
from discordproxy_ratelimit.redis import client as redis_client
from discordproxy_ratelimit.server import embedded
from discordproxy_ratelimit.settings import load

log = logging.getLogger(__name__)

DISCORD_GATEWAY = "wss://gateway.discord.gg"
"""The address of GET /gateway/bot."""

_BROKER_TIMEOUT_S = 10.0
_PARKED_LINE_S = 60.0

_GC_THRESHOLD = 50_000
"""New containers before the next garbage collection. Events need none: they are trees."""


def main() -> None:
    """Run `python -m discordproxy_gateway`: read the settings, run the worker, exit with its status."""
    streams.prepare()
    arguments = _arguments()
    settings = load(GatewaySettings)
    logs.set_up(settings.log_level, settings.log_format, secrets=settings.secrets)
    gc.freeze()  # imported objects live as long as the process
    gc.set_threshold(_GC_THRESHOLD)
    sys.exit(uvloop.run(_run(settings, park=arguments.park_on_fatal, force=arguments.force)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m discordproxy_gateway",
        description="Holds the bot's connection to Discord. Any number may run: one leads, the others stand by. "
        "Settings come from the environment.",
    )
    parser.add_argument(
        "--park-on-fatal",
        action="store_true",
        help=f"stay up, disconnected, after a failure that only the operator can fix, instead of exit {CONFIGURATION}",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="connect although a failure was just recorded, or few new sessions are left for today",
    )
    return parser.parse_args()


async def _run(settings: GatewaySettings, *, park: bool, force: bool) -> int:
    stopping = asyncio.Event()
    on_stop_signal(stopping.set)
    try:
        _log_http_proxies(settings)
    except HttpProxyError as error:
        streams.complain(f"ERROR: {error}")
        return USAGE
    token = settings.token.get_secret_value()
    url = embedded.broker_url(settings.redis_url.get_secret_value(), settings.home_token.get_secret_value())
    redis = redis_client.connect(url)
    worker = GatewayWorker(
        redis,
        Keys(settings.namespace, settings.bot_id),
        token,
        settings.options(force=force),
        partial(_open_broker, settings, url),
    )
    try:
        waiting = redis_client.wait_for(url, within_s=_BROKER_TIMEOUT_S)
        await run_until(waiting, asyncio.create_task(stopping.wait()))
        if not stopping.is_set():
            await worker.run(stopping)
    except BrokerUnavailableError as error:
        streams.complain(f"ERROR: {error}")
        return 1
    except FatalError as error:
        streams.complain(f"ERROR: {error}")
        if not park:
            return CONFIGURATION
        await _park(worker, str(error), stopping)
    finally:
        await redis.aclose()
    return 0


def _open_broker(settings: GatewaySettings, url: str) -> Broker:
    limits = Limits(global_limit=settings.chosen.global_limit or settings.global_limit, egress=settings.egress)
    return Broker(
        redis_client.connect(url),
        prefix=settings.namespace,
        bot_id=settings.bot_id,
        limits=limits,
        decisions=Decisions(CollectorRegistry()),  # this process publishes no metrics
    )


def _log_http_proxies(settings: GatewaySettings) -> None:
    """Log the HTTP proxies between this process and Discord; raises HttpProxyError."""
    for url in (settings.discord_url, settings.gateway_url or DISCORD_GATEWAY):
        if proxy := http_proxy_for(url):
            log.info("%s is reached through the HTTP proxy %s", url, proxy)


async def _park(worker: GatewayWorker, line: str, stopping: asyncio.Event) -> None:
    """Repeat the line once a minute until the process is stopped."""
    while not stopping.is_set():
        await worker.publish_login_error(line, 2 * _PARKED_LINE_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(_PARKED_LINE_S):
                await stopping.wait()
        if not stopping.is_set():
            streams.complain(f"ERROR: {line}")


if __name__ == "__main__":
    main()
