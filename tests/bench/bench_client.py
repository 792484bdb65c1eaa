"""The client's performance promises: `make bench-client`, two to three minutes."""

import asyncio

from bench.client.accidents import crowds, killed
from bench.client.channel import import_time, shared_channel


def main() -> None:
    for name, target, measure in (
        ("shared channel against channel per call", ">= 2.5 times", shared_channel),
        ("import against grpc and the stub of 1.5.1", "<= 1.3 times", import_time),
        ("1,000 sends, worker killed, repetitions", "1000, 0, 0", lambda: asyncio.run(killed(50))),
        ("1,000 sends, worker killed, none", "0 doubled, 0 untrue", lambda: asyncio.run(killed(0))),
        ("forks, threads, tasks", "0 failures", lambda: asyncio.run(crowds())),
    ):
        figure, how = measure()
        print(f"{name}: {figure} (wanted: {target}); {how}")  # noqa: T201 -- a benchmark speaks to its reader


if __name__ == "__main__":
    main()
