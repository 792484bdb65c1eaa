"""The command `discordproxyserver`: runs broker, gateway and API workers.

Top-level imports are restricted to the standard library, so that missing packages are reported in one line.
"""

import argparse
import gc
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

from discordproxy_ratelimit.process.exit_status import USAGE
from discordproxy_ratelimit.process.stop_signals import exit_on_stop_signal
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
    """Return the argument parser. An omitted option leaves its environment variable in effect."""
    result = argparse.ArgumentParser(
        prog="discordproxyserver",
        description="Run Discord Proxy: a rate-limit broker, a gateway connection and API workers on one port.",
        epilog="All other settings are environment variables or lines in .env; see .env.example.",
    )
    result.add_argument(
        "--token", help="bot token; DISCORD_BOT_TOKEN is safer, since other users can see the command line"
    )
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
        help="start and use the sandbox, a local stand-in for Discord; auto: only if there is no token",
    )
    result.add_argument("--version", action="version", version=_version())
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the server until a stop signal; exits with a status of `exit_status`."""
    prepare()
    exit_on_stop_signal()  # no traceback during the imports; `Supervision` replaces these handlers
    options = parser().parse_args(arguments)
    _require_folder()
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        complain("The server needs more packages: pip install 'discordproxy[server]>=2'")
        raise SystemExit(USAGE)
    if options.token:
        complain("WARNING: --token is visible to other users; set DISCORD_BOT_TOKEN instead")
    os.environ.update(into_environment(options))
    gc.disable()  # collections would lengthen the imports by a fourth
    from discordproxy_api.processes.launch import LaunchOptions, launch  # noqa: PLC0415 - needs the packages checked above

    gc.enable()
    levels = options.log_file_level, options.log_console_level
    raise SystemExit(launch(LaunchOptions(options.log_file_path, *levels, options.sandbox)))


def _require_folder() -> None:
    """Exit if the current folder, to which settings and files are relative, has been removed."""
    try:
        Path.cwd()
    except OSError:
        complain("ERROR: The current folder no longer exists; change to another one")
        raise SystemExit(USAGE) from None


def into_environment(options: argparse.Namespace) -> dict[str, str]:
    """Return the given options as environment variables, which the children inherit."""
    return {variable: value for flag, variable in FLAGS.items() if (value := getattr(options, flag))}


def _version() -> str:
    from discordproxy import __version__  # noqa: PLC0415 - the top imports only the standard library

    return __version__


if __name__ == "__main__":
    main()
