"""Rolling restarts behind nginx, HAProxy and Envoy under load, over gRPC and on the REST port.

make bench-rolling ARGS="--rounds 5 --rate 200 --doors rest"
"""

import argparse
import asyncio
import sys
import tempfile
from itertools import product
from pathlib import Path

from _pytest.outcomes import Skipped

from discordproxy_ratelimit.server.embedded import find_binary
from processes.balancers import BALANCERS
from processes.redis_servers import Server, running
from processes.rolling import CALLERS, rolling_restart


async def measure(rounds: int, rate: float, doors: list[str]) -> bool:
    """Print one line per balancer and way in, and return whether every call was answered once."""
    good = True
    for (name, start), door in product(BALANCERS.items(), doors):
        with running(Server(find_binary())) as server, tempfile.TemporaryDirectory(prefix="dp-rolling-") as folder:
            try:
                outcome = await rolling_restart(
                    start, server.url, Path(folder), rounds=rounds, calls_per_s=rate, doors=[door]
                )
            except Skipped as skipped:
                print(f"{name}: {skipped.msg}", flush=True)  # noqa: T201 - its purpose
                continue
        print(f"{name}, {door}: {outcome}", flush=True)  # noqa: T201 - same
        good = good and not (outcome.failed or outcome.doubled or outcome.lost)
    return good


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often every worker is restarted")
    parser.add_argument("--rate", type=float, default=200.0, help="calls per second")
    parser.add_argument("--doors", nargs="+", choices=CALLERS, default=list(CALLERS), help="ways in")
    options = parser.parse_args()
    sys.exit(not asyncio.run(measure(options.rounds, options.rate, options.doors)))
