"""`discordproxyserver`: one command that runs broker, gateway and API workers.

Only the standard library at the top: where just the client is installed, the command says in one line what is missing.
"""

import argparse
import importlib.util
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from discordproxy_ratelimit.process.exit_status import USAGE
from discordproxy_ratelimit.process.streams import complain, prepare

NEEDED = ("aiohttp", "cryptography", "discord", "grpc_health", "orjson", "pydantic_settings", "redis")
LEVELS = ("DEBUG", "INFO", "WARN", "ERROR", "CRITICAL")

FLAGS = {
    "token": "DISCORD_BOT_TOKEN",
    "host": "DISCORDPROXY_HOST",
    "port": "DISCORDPROXY_PORT",
    "workers": "DISCORDPROXY_WORKERS",
}


def parser() -> argparse.ArgumentParser:
    """Return the command line. A flag that is not given leaves the matching environment variable in force."""
    result = argparse.ArgumentParser(
        prog="discordproxyserver",
        description="Run Discord Proxy: a rate-limit broker, a gateway connection and API workers on one port.",
        epilog="Every other setting is an environment variable or a line in .env; see .env.example.",
    )
    result.add_argument("--token", help="bot token; better: DISCORD_BOT_TOKEN, other users can see this command line")
    result.add_argument("--host", help="address to listen on (default: DISCORDPROXY_HOST or 127.0.0.1)")
    result.add_argument("--port", help="port to listen on (default: DISCORDPROXY_PORT or 50051)")
    result.add_argument("--workers", help="number of API workers (default: DISCORDPROXY_WORKERS or 1)")
    result.add_argument(
        "--log-console-level", choices=LEVELS, type=str.upper, default="CRITICAL", help="default: %(default)s"
    )
    result.add_argument(
        "--log-file-level", choices=LEVELS, type=str.upper, help="default: DISCORDPROXY_LOG_LEVEL or INFO"
    )
    result.add_argument(
        "--log-file-path", type=Path, default=Path(), help="folder of the log file (default: the current one)"
    )
    result.add_argument(
        "--sandbox",
        nargs="?",
        choices=("never", "auto", "always"),
        const="always",
        default="never",
        help="run and use a local Discord for trying things out; auto: only if there is no token",
    )
    result.add_argument("--version", action="version", version=_version())
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the server until a signal; `launch` tells the exit statuses."""
    prepare()
    if os.getpid() == 1:  # the kernel drops signals that process 1 has no handler for; `Fleet` sets its own later
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, _end)
    options = parser().parse_args(arguments)
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        complain("The server needs more packages: pip install 'discordproxy[server]>=2'")
        raise SystemExit(USAGE)
    if options.token:
        complain("WARNING: --token is visible to other users; set DISCORD_BOT_TOKEN instead")
    os.environ.update(into_environment(options))
    from discordproxy_api.processes.launch import LaunchOptions, launch  # noqa: PLC0415 - needs the packages looked for above

    levels = options.log_file_level, options.log_console_level
    raise SystemExit(launch(LaunchOptions(options.log_file_path, *levels, options.sandbox)))


def _end(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(0)


def into_environment(options: argparse.Namespace) -> dict[str, str]:
    """Return the given flags as variables: the settings are read from there, and children inherit them unseen."""
    return {variable: value for flag, variable in FLAGS.items() if (value := getattr(options, flag))}


def _version() -> str:
    from discordproxy import __version__  # noqa: PLC0415 - keeps the top free of all but the standard library

    return __version__


if __name__ == "__main__":
    main()
