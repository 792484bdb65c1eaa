"""One shape of log lines for all processes; the supervisor reads it back when it writes its log file."""

import logging
import re
import sys

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR|CRITICAL) (.*)$")
"""A line of `FORMAT`: level, then logger and message."""


def set_up(level: str) -> None:
    """Log to stderr from `level` on; libraries that talk much are heard from WARNING on."""
    logging.basicConfig(level=level, format=FORMAT, stream=sys.stderr, force=True)
    for name in ("asyncio", "discord", "aiohttp.access"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
    logging.getLogger("discord.client").setLevel(logging.ERROR)  # warns at every start that voice needs more packages
