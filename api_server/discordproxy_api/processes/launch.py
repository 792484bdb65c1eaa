"""Composition root of `discordproxyserver`: settings, log, children, exit status."""

import asyncio
import contextlib
import functools
import logging
import os
import re
import secrets
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from discordproxy import __version__
from discordproxy_api.processes import server_log
from discordproxy_api.processes.banner import BannerFacts, banner
from discordproxy_api.processes.broker_task import BrokerTask
from discordproxy_api.processes.children import Child
from discordproxy_api.processes.fork.client import ForkClient, forking
from discordproxy_api.processes.orphans import adopts_orphans, reap_orphans
from discordproxy_api.processes.programs import Program
from discordproxy_api.processes.server_log import ServerLog
from discordproxy_api.processes.supervision import Address, StartError, Supervision, check_free
from discordproxy_api.settings import ApiSettings
from discordproxy_gateway.settings import GatewaySettings
from discordproxy_ratelimit.process.exit_status import BROKEN, CONFIGURATION, FAILED, NOT_YET, USAGE
from discordproxy_ratelimit.process.streams import announce, complain
from discordproxy_ratelimit.redis.url import describe
from discordproxy_ratelimit.server.embedded import EmbeddedError, broker_url, folder_of, make_private
from discordproxy_ratelimit.server.ephemeral import ephemeral, forget
from discordproxy_ratelimit.settings import InvalidSettingsError, keep_dotenv, read, unknown_variables

PRELOADED = ("discordproxy_api.__main__",)
"""Modules that are imported once for all children."""

PRELOADED_FOR_BOTS = ("discordproxy_gateway.__main__",)
"""For several gateway workers, by name, since the API package does not import the gateway's. A single one imports
discord.py and aiohttp by itself, while the API worker starts."""

PRELOADED_FOR_TLS = ("cryptography.x509", "cryptography.hazmat.primitives.serialization")
PRELOADED_FOR_HTTP = ("discordproxy_api.http.pages", "discordproxy_api.http.server")

UP_AFTER_S = 30.0
"""If Discord rejects the gateway later than this (a revoked token), the API workers keep running and report it. If a
worker crashes later than this, and a setting or file is invalid meanwhile, the others keep running."""

SANDBOX_PORT = 4099
SANDBOX_BOT = "MTAwMDAwMDAwMDAwMDAwMDAx"
"""First part of the sandbox's token: the user id of its bot."""
MAX_PORT = 65535


@dataclass(frozen=True)
class LaunchOptions:
    """Options of the command line that are no settings.

    Attributes:
        log_folder: folder of the log file.
        file_level: lowest level in the file; None for DISCORDPROXY_LOG_LEVEL.
        console_level: lowest level on stderr.
        sandbox: whether to start and use the sandbox; `auto`: if there is no bot token.
    """

    log_folder: Path
    file_level: str | None
    console_level: str
    sandbox: Literal["never", "auto", "always"]


def launch(options: LaunchOptions) -> int:
    """Run the server until it ends and return its exit status. Errors are printed in one line."""
    try:
        settings, sandbox = _settings(options.sandbox)
        keep_dotenv()
        with forking(*preloaded(settings)) as forks:  # before the log starts a thread
            return _supervise(settings, options, forks, sandbox=sandbox)
    except InvalidSettingsError as error:
        if error.token_missing:
            ways = "set DISCORD_BOT_TOKEN or DISCORDPROXY_TOKEN_FILE, or use --sandbox to try the server without one"
            return _fail(f"No Discord bot token provided; {ways}", FAILED)
        return _fail(str(error), USAGE)
    except StartError as error:
        return _fail(str(error), NOT_YET if error.temporary else FAILED)
    except EmbeddedError as error:
        return _fail(str(error), CONFIGURATION)
    except Exception:
        logging.getLogger("supervisor").exception("internal error; please report it")
        return _fail("internal error; see the log", BROKEN)


def preloaded(settings: ApiSettings) -> list[str]:
    """Return the modules to import before the children are forked."""
    return [
        *PRELOADED,
        *(PRELOADED_FOR_BOTS if len(settings.all_bots) > 1 else ()),
        *(PRELOADED_FOR_TLS if settings.tls_cert else ()),
        *(PRELOADED_FOR_HTTP if settings.http_port is not None else ()),
    ]


def _supervise(settings: ApiSettings, options: LaunchOptions, forks: ForkClient, *, sandbox: bool) -> int:
    file_level = options.file_level or settings.log_level
    log = _open_log(options, file_level, settings)
    for line in unknown_variables(ApiSettings, GatewaySettings):
        logging.getLogger("supervisor").warning(line)
    level = server_log.lower(file_level, options.console_level)
    private = sandbox and not settings.redis_url.get_secret_value()
    with ephemeral(settings.home_token.get_secret_value()) if private else contextlib.nullcontext():
        return asyncio.run(_run(settings, level, log, forks, sandbox=sandbox))


def _settings(sandbox: Literal["never", "auto", "always"]) -> tuple[ApiSettings, bool]:
    """Return the settings, and whether to start the sandbox."""
    if sandbox != "always":
        try:
            return read(ApiSettings), False
        except InvalidSettingsError as error:
            if sandbox == "never" or not error.token_missing:
                raise
    run = secrets.token_hex(4)
    # The real token must not reach the sandbox.
    os.environ["DISCORD_BOT_TOKEN"] = f"{SANDBOX_BOT}.sandbox.{run}-no-secret"
    os.environ["SANDBOX_TOKEN"] = ""  # otherwise the sandbox accepts only that token
    os.environ["DISCORDPROXY_DISCORD_URL"] = f"http://127.0.0.1:{_sandbox_port()}/api/v10"
    os.environ["DISCORDPROXY_GATEWAY_URL"] = f"ws://127.0.0.1:{_sandbox_port()}/gateway"  # not that of `.env`
    prefix = read(ApiSettings).key_prefix[:20]
    os.environ["DISCORDPROXY_KEY_PREFIX"] = f"{prefix}:sandbox-{run}"  # state of a former run must not be used
    return read(ApiSettings), True


def _open_log(options: LaunchOptions, file_level: str, settings: ApiSettings) -> ServerLog:
    try:
        log = server_log.set_up(
            options.log_folder,
            file_level,
            options.console_level,
            style=settings.log_format,
            secrets=settings.secrets,
        )
    except OSError as error:
        where = options.log_folder.absolute()
        raise StartError(f"cannot write the log to {where} ({error.strerror}); use --log-file-path") from None
    announce(f"Writing logfile to: {log.path}")
    return log


def _sandbox_port() -> int:
    given = os.environ.get("SANDBOX_PORT", "") or str(SANDBOX_PORT)
    if not re.fullmatch("[0-9]{1,5}", given) or not 0 < int(given) <= MAX_PORT:
        raise StartError(f"SANDBOX_PORT is {given!r}: a number from 1 to {MAX_PORT} is required")
    return int(given)


async def _run(settings: ApiSettings, level: str, log: ServerLog, forks: ForkClient, *, sandbox: bool) -> int:
    address = Address(settings.host, settings.port)
    _check_ports(settings, address, sandbox=sandbox)
    redis_url = broker_url(settings.redis_url.get_secret_value(), settings.home_token.get_secret_value())
    if not settings.redis_url.get_secret_value():
        with contextlib.suppress(EmbeddedError):  # the broker reports it
            # Now, so that all children use the same folder.
            make_private(folder_of(settings.home_token.get_secret_value()))
    broker = BrokerTask(settings.redis_url.get_secret_value(), settings.home_token.get_secret_value())
    child = functools.partial(Child, start=forks.start, on_lines=log.relay)
    variables = {"DISCORDPROXY_LOG_LEVEL": level}
    supervision = Supervision(
        broker=broker,
        gateways=[
            child(Program(name, "discordproxy_gateway", environment={**variables, **own}), parks_after_s=parks_after_s)
            for name, own, parks_after_s in gateways(settings)
        ],
        workers=[
            child(
                Program(
                    f"api.{number}", "discordproxy_api", environment={**variables, "DISCORDPROXY_WORKER": str(number)}
                ),
                retried_after_s=UP_AFTER_S,
            )
            for number in range(settings.workers)
        ],
        sandbox=child(Program("sandbox", "discordproxy_sandbox"), on_lines=_log_sandbox) if sandbox else None,
        sandbox_address=Address("127.0.0.1", _sandbox_port()),
        address=address,
        redis_url=redis_url,
        drain_s=settings.drain_timeout,
        banner=banner(_facts(settings, address, redis_url, log.path, sandbox=sandbox)),
    )
    reaping = asyncio.create_task(reap_orphans([forks, broker, *supervision.children])) if adopts_orphans() else None
    exited = await supervision.run()
    if sandbox and settings.redis_url.get_secret_value():
        await forget(redis_url, settings.namespace)
    if reaping:
        reaping.cancel()
    if exited is None:
        return 0
    line = exited.line.removeprefix("ERROR: ") or f"{exited.name} ended with status {exited.status}"
    return _fail(line, exited.status)


def gateways(settings: ApiSettings) -> list[tuple[str, dict[str, str], float]]:
    """Return name, environment and `parks_after_s` of the gateway of each bot.

    With several bots, one that Discord rejects does not end the server.
    """
    bots = settings.all_bots
    if len(bots) == 1:
        return [("gateway", {}, UP_AFTER_S)]
    return [(f"gateway.{bot.name}", {"DISCORDPROXY_BOT": bot.name}, 0.0) for bot in bots]


def _check_ports(settings: ApiSettings, address: Address, *, sandbox: bool) -> None:
    if not settings.port:
        raise StartError("port 0 gives every worker a different port; choose one with --port (DISCORDPROXY_PORT)")
    check_free(address, "--port (DISCORDPROXY_PORT)")
    if settings.rest_port == 0:
        raise StartError("DISCORDPROXY_REST_PORT=0 gives every worker a different port; choose one")
    if settings.rest_port:
        check_free(Address(settings.host, settings.rest_port), "DISCORDPROXY_REST_PORT")
    if settings.http_port:
        for number in range(settings.workers):
            check_free(Address(settings.host, settings.http_port + number), "DISCORDPROXY_HTTP_PORT")
    if sandbox:
        check_free(Address("127.0.0.1", _sandbox_port()), "SANDBOX_PORT")


def _facts(settings: ApiSettings, address: Address, redis_url: str, log_file: Path, *, sandbox: bool) -> BannerFacts:
    here = Path(sys.executable).with_name("discordproxy")
    command = here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here
    encrypted = settings.tls_cert is not None
    return BannerFacts(
        version=__version__,
        address=str(address),
        workers=settings.workers,
        http=local_url(settings, settings.http_port),
        rest=local_url(settings, settings.rest_port),
        broker=describe(redis_url),
        private=not settings.redis_url.get_secret_value(),
        discord=settings.discord_url,
        bots=tuple(bot.name for bot in settings.all_bots if bot.name),
        tls=encrypted,
        keys=settings.keys_file is not None,
        sandbox=sandbox,
        log=str(log_file),
        command="discordproxy" if shutil.which("discordproxy") == str(here) else str(command),
    )


def local_url(settings: ApiSettings, port: int | None) -> str:
    """Return the URL of a port on this machine, "" without a port."""
    if not port:
        return ""
    host = "localhost" if settings.host in {"127.0.0.1", "0.0.0.0", "::"} else settings.host
    return f"http{'s' * (settings.tls_cert is not None)}://{Address(host, port)}"


def _log_sandbox(name: str, lines: list[bytes]) -> str:
    """Log lines of the sandbox at level INFO."""
    for line in lines:
        logging.getLogger(name).info("%s", line.decode("utf-8", "replace"))
    return ""


def _fail(line: str, status: int) -> int:
    complain(f"ERROR: {line}")
    return status
