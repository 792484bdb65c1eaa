"""The gateway process: reads the settings, wires the worker, ends on a signal or with one line for the operator."""

import argparse
import asyncio
import gc
import logging
import signal
import sys

import uvloop

from discordproxy_gateway.discord.failures import FatalError
from discordproxy_gateway.keys import Keys
from discordproxy_gateway.settings import GatewaySettings
from discordproxy_gateway.worker import GatewayWorker, WorkerOptions
from discordproxy_gateway.write.writer import Retention
from discordproxy_ratelimit.errors import BrokerUnavailableError
from discordproxy_ratelimit.process import logs, streams
from discordproxy_ratelimit.process.exit_status import CONFIGURATION, USAGE
from discordproxy_ratelimit.process.http_proxy import HttpProxyError, http_proxy_for
from discordproxy_ratelimit.redis import client as redis_client
from discordproxy_ratelimit.server import embedded
from discordproxy_ratelimit.settings import load

log = logging.getLogger(__name__)

DISCORDS_GATEWAY = "wss://gateway.discord.gg"
"""The address that Discord tells bots to connect to."""

_BROKER_WITHIN_S = 10.0
_REPEAT_S = 60.0

_GARBAGE = 50_000
"""Containers alive beyond those at the last collection before the next: events are trees, which end without it."""


def main() -> None:
    """Run the process named `python -m discordproxy_gateway`."""
    streams.prepare()
    arguments = _arguments()
    settings = load(GatewaySettings)
    logs.set_up(settings.log_level, settings.log_format, secrets=settings.secrets)
    gc.freeze()  # what was imported lives as long as the process; collections need not look at it
    gc.set_threshold(_GARBAGE)
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
        help=f"stay up, disconnected, after a failure that only the operator can mend, instead of exit {CONFIGURATION}",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="connect although a failure was just recorded, or few new sessions are left for today",
    )
    return parser.parse_args()


async def _run(settings: GatewaySettings, *, park: bool, force: bool) -> int:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    try:
        _tell_http_proxies(settings)
    except HttpProxyError as error:
        streams.complain(f"ERROR: {error}")
        return USAGE
    token = settings.token.get_secret_value()
    url = embedded.broker_url(settings.redis_url.get_secret_value(), settings.home_token.get_secret_value())
    redis = redis_client.connect(url)
    worker = GatewayWorker(redis, Keys(settings.namespace, settings.bot_id), token, _options(settings, force=force))
    try:
        await redis_client.wait_for(url, within_s=_BROKER_WITHIN_S)
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


def _tell_http_proxies(settings: GatewaySettings) -> None:
    """Log which HTTP proxies of the environment lead to Discord; raises BadHttpProxy."""
    for url in (settings.discord_url, settings.gateway_url or DISCORDS_GATEWAY):
        if proxy := http_proxy_for(url):
            log.info("%s is reached through the HTTP proxy %s", url, proxy)


def _options(settings: GatewaySettings, *, force: bool) -> WorkerOptions:
    return WorkerOptions(
        rest_url=settings.discord_url,
        gateway_url=settings.gateway_url,
        intents=settings.own_intents,
        shards=settings.shards,
        lease_s=settings.gateway_lease,
        identify_floor=settings.identify_floor,
        retention=Retention(settings.event_retention * 1000, settings.event_limit),
        defer_after_s=settings.auto_defer,
        defer_privately=settings.auto_defer_private,
        force=force,
    )


async def _park(worker: GatewayWorker, line: str, stopping: asyncio.Event) -> None:
    """Repeat the line once a minute until the process is stopped."""
    while not stopping.is_set():
        await worker.note_trouble(line, 2 * _REPEAT_S)
        await asyncio.wait({asyncio.ensure_future(stopping.wait())}, timeout=_REPEAT_S)
        if not stopping.is_set():
            streams.complain(f"ERROR: {line}")


if __name__ == "__main__":
    main()
