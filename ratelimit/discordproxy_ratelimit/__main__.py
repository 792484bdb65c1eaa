"""The `broker` process, for installations that start each process separately.

It does not end by itself while the settings are valid: honcho stops all processes when one ends.
"""

import asyncio

from discordproxy_ratelimit.process import logs, streams
from discordproxy_ratelimit.process.exit_status import CONFIGURATION
from discordproxy_ratelimit.process.stop_signals import on_stop_signal
from discordproxy_ratelimit.server.embedded import EmbeddedError
from discordproxy_ratelimit.server.runner import BrokerRunner, StopRequest
from discordproxy_ratelimit.settings import SharedSettings, load


async def run(settings: SharedSettings) -> None:
    """Run the broker until a signal."""
    stop = StopRequest()
    on_stop_signal(stop.add)
    token = settings.home_token.get_secret_value()
    await BrokerRunner(settings.redis_url.get_secret_value(), token, stop).run()


def main() -> None:
    """Run the process. An error that only the operator can fix ends it with one line and status 78."""
    streams.prepare()
    settings = load(SharedSettings)
    logs.set_up(settings.log_level, settings.log_format, secrets=settings.secrets)
    try:
        asyncio.run(run(settings))
    except EmbeddedError as error:
        streams.complain(f"ERROR: {error}")
        raise SystemExit(CONFIGURATION) from None


if __name__ == "__main__":
    main()
