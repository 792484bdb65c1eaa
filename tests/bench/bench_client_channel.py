"""A reused channel against a channel per call, side by side: `python tests/bench/bench_client_channel.py`."""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).parents[1]))

from discordproxy.client import DiscordClient
from discordproxy.discord_api_pb2 import GetGuildChannelsRequest
from discordproxy.discord_api_pb2_grpc import DiscordApiStub
from fakes.mortal_proxy import mortal_proxy

CALLS, PASSES = 600, 5


def with_a_channel_per_call(target: str) -> None:
    with grpc.insecure_channel(target) as channel:
        DiscordApiStub(channel).GetGuildChannels(GetGuildChannelsRequest(guild_id=1))


def with_a_client_per_call(target: str) -> None:
    DiscordClient(target).get_guild_channels(1)


def calls_per_second(way, target: str) -> float:
    way(target)
    started = time.perf_counter()
    for _ in range(CALLS):
        way(target)
    return CALLS / (time.perf_counter() - started)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, mortal_proxy(Path(folder)) as proxy:
        rates = [
            [calls_per_second(way, proxy.address) for way in (with_a_channel_per_call, with_a_client_per_call)]
            for _ in range(PASSES)
        ]
    per_call, reused = (statistics.median(column) for column in zip(*rates, strict=True))
    print(f"channel per call {per_call:.0f}/s, shared channel {reused:.0f}/s: {reused / per_call:.1f} times")  # noqa: T201 -- a benchmark speaks to its reader
    print("ratio of each pass:", *(f"{shared / single:.1f}" for single, shared in rates))  # noqa: T201 -- same


if __name__ == "__main__":
    main()
