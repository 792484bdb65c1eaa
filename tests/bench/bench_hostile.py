"""The effect of hostile callers on an honest one, and their cost for the worker.

"control" is the p99 while the same attack goes to another server: the delay that the machine alone causes. "worker" is
the CPU time of the worker's event loop during a call.

It fails if an attack with a memory bound exceeds it, or if an honest call is refused meanwhile.

PYTHONPATH=tests .venv/bin/python tests/bench/bench_hostile.py [--requests 10000] [--connections 5000] [--seed 1]
"""

import argparse
import asyncio
import contextlib
import subprocess
import tempfile
from pathlib import Path

from discordproxy_ratelimit.server import embedded
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from fakes.ports import free_port
from hostile.siege import Scale, Siege, complaints, decoy, report, victim


@contextlib.contextmanager
def valkey(folder: Path):
    """Run a server for the length of the block and return its URL."""
    command = (embedded.find_binary(), "--port", "0", "--unixsocket", f"{folder}/s", "--save", "", "--dir", folder)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield f"unix://{folder}/s"
    finally:
        process.terminate()
        process.wait()


async def main(scale: Scale, seed: int) -> None:
    """Lay siege and print the table."""
    with tempfile.TemporaryDirectory(prefix="dp-hostile-") as name, valkey(Path(name)) as url:
        async with Sandbox(SandboxConfig(token="hostile", global_limit=None)) as discord:
            settings = {
                "DISCORD_BOT_TOKEN": "hostile",
                "DISCORDPROXY_DISCORD_URL": discord.rest_url,
                "DISCORDPROXY_REDIS_URL": url,
                "DISCORDPROXY_PORT": str(free_port()),
                "DISCORDPROXY_HTTP_PORT": str(free_port()),
                "DISCORDPROXY_REST_PORT": str(free_port()),
                "DISCORDPROXY_GLOBAL_LIMIT": "100000",
                "XDG_RUNTIME_DIR": name,
                "HOME": name,
            }
            async with victim(settings, discord, Path(name)) as worker, decoy(Path(name)) as port:
                siege = Siege(worker, scale, seed=seed, decoy_port=port)
                try:
                    await siege.run()
                finally:
                    print(report(siege.phases))  # noqa: T201 - the result
                tracebacks = [line for line in worker.process.lines if "Traceback" in line]
                print(f"alive: {worker.process.running}, tracebacks: {len(tracebacks)}")  # noqa: T201 - same
                print(f"in the end {worker.rss_mib} MiB, {worker.descriptors} files")  # noqa: T201 - same
                if found := complaints(siege.phases):
                    raise SystemExit("\n".join(found))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("requests", "oddities", "huge", "connections", "slow", "bombs", "watchers", "half_requests", "bodies"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(Scale, name))
    parser.add_argument("--seed", type=int, default=1)
    options = vars(parser.parse_args())
    seed = options.pop("seed")
    asyncio.run(main(Scale(**options), seed))
