"""`python -m discordproxy_sandbox`: runs a sandbox until SIGINT or SIGTERM and prints how to use it."""

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from datetime import UTC, datetime

from pydantic import ValidationError

from discordproxy_sandbox.ledger import Record
from discordproxy_sandbox.sandbox import Sandbox
from discordproxy_sandbox.settings import Settings, read_settings
from discordproxy_sandbox.world.population import (
    CHANNEL_ID,
    CHANNELS,
    GUILD_ID,
    MEMBERS,
    THREAD_ID,
    TOKEN,
    USER_ID,
    add_guilds,
    nth,
)

_USAGE = 2
_WELCOME = """\
A local Discord is running; nothing leaves this machine. Ctrl-C ends it.
  REST     {rest_url}
  gateway  {gateway_url}
  ledger   {url}/_sandbox/stats

Guild {guild}
{channels}
{users}

Point Discord Proxy at it:
  export DISCORD_BOT_TOKEN={token}
  export DISCORDPROXY_DISCORD_URL={rest_url}
  export DISCORDPROXY_GATEWAY_URL={gateway_url}
  export DISCORDPROXY_KEY_PREFIX=dp:sandbox-{run}
  discordproxyserver
"""


def describe(sandbox: Sandbox) -> str:
    """Return the text that the command prints: addresses, ids, the next command."""
    channels = [(nth(CHANNEL_ID, number), f"#{name}") for number, (name, _) in enumerate(CHANNELS)]
    channels.append((THREAD_ID, "a thread of #general"))
    users = [(nth(USER_ID, number), f"@{name}") for number, name in enumerate(MEMBERS)]
    return _WELCOME.format(
        rest_url=sandbox.rest_url,
        gateway_url=sandbox.gateway_url,
        url=sandbox.url,
        guild=GUILD_ID,
        channels="\n".join(f"  channel  {id_}  {name}" for id_, name in channels),
        users="\n".join(f"  user     {id_}  {name}" for id_, name in users),
        run=secrets.token_hex(4),  # caches of this world must not serve the next one
        token="<the token in SANDBOX_TOKEN>" if sandbox.config.token else TOKEN,
    )


def line(record: Record) -> str:
    """Return one line about a request."""
    at = datetime.fromtimestamp(record.arrived_at, UTC).strftime("%H:%M:%S.%f")[:-3]
    more = [record.scope and f"scope {record.scope}", record.fault and f"fault {record.fault}", *record.violations]
    return f"{at} {record.status or '---'} {record.method} {record.path} {'; '.join(filter(None, more))}".rstrip()


def _print(text: str) -> None:
    """Print `text`; a closed pipe or a full disk does not stop the sandbox."""
    try:
        print(text, flush=True)
    except (OSError, ValueError):  # the buffered rest would fail again at exit
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    log = (lambda record: _print(line(record))) if settings.verbose else None
    async with Sandbox(settings.config(log)) as sandbox:
        if settings.guilds:
            add_guilds(sandbox.world, settings.guilds, settings.members)
        _print(describe(sandbox))
        await stopped.wait()


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    try:
        settings = read_settings(sys.argv[1:] if arguments is None else arguments)
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        print(f"SANDBOX_{name}: {first['msg']}; set it to a valid value or leave it out", file=sys.stderr)
        return _USAGE
    try:
        asyncio.run(run(settings))
    except OSError as error:
        problem = os.strerror(error.errno) if error.errno else type(error).__name__
        print(f"Cannot listen on {settings.host}:{settings.port}: {problem}; choose another --port", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
