"""The gain of a shared channel, and the cost of importing the client: ratios within one run."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc

from discordproxy.client import DiscordClient
from discordproxy.discord_api_pb2 import GetGuildChannelsRequest
from discordproxy.discord_api_pb2_grpc import DiscordApiStub
from processes.mortal_proxy import mortal_proxy

CALLS, PASSES = 600, 5
IMPORTS = 15
LEGACY = Path(__file__).parents[3] / ".venv-legacy"

IMPORT_OURS = "import discordproxy.client"
# The package of 1.5.1 stands in a folder of its own; gRPC and protobuf are those of this environment for both.
IMPORT_LEGACY = """
import sys
import grpc
sys.path.insert(0, {folder!r})
import discordproxy.discord_api_pb2_grpc
"""
TIMED = "import time; began = time.process_time(){statement}\nprint(time.process_time() - began)"


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


def shared_channel() -> tuple[str, str]:
    """Return the figure and how it came about: calls/s of a client per call against a channel per call."""
    with tempfile.TemporaryDirectory() as folder, mortal_proxy(Path(folder)) as proxy:
        rates = [
            [calls_per_second(way, proxy.address) for way in (with_a_channel_per_call, with_a_client_per_call)]
            for _ in range(PASSES)
        ]
    per_call, shared = (statistics.median(column) for column in zip(*rates, strict=True))
    passes = " ".join(f"{ours / theirs:.1f}" for theirs, ours in rates)
    return f"{shared / per_call:.1f} times", f"{shared:.0f} against {per_call:.0f} calls/s; each pass: {passes}"


def import_s(statement: str) -> float:
    """Return the CPU time of an import in a new interpreter; Python's own start is not in it."""
    code = TIMED.format(statement=f"\n{statement}")
    command = [sys.executable, "-c", code]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def import_time() -> tuple[str, str]:
    """Return the figure and how it came about: our import against that of gRPC and the generated code of 1.5.1."""
    found = next(LEGACY.glob("lib/*/site-packages/discordproxy"), None)
    if found is None:
        return "not measured", "the test of the client of 1.5.1 (tests/e2e/test_legacy_client.py) installs it"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "discordproxy").symlink_to(found)
        theirs = IMPORT_LEGACY.format(folder=folder)
        times = [(import_s(IMPORT_OURS), import_s(theirs)) for _ in range(IMPORTS)]
    ours, legacy = (min(column) for column in zip(*times, strict=True))  # what else runs on the machine only adds
    return f"{ours / legacy:.2f} times", f"{ours * 1000:.0f} against {legacy * 1000:.0f} ms"
