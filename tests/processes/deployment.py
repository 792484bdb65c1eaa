"""Shared by tests of a whole server: token, ids of the local Discord, and the processes that are left."""

import contextlib
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from discordproxy import discord_api_pb2_grpc as rpc
from processes.process import Process

TOKEN = "MTAwMDAwMDAwMDAwMDAwMDAx.GaBcDe.c4nary-c4nary-c4nary"
CHANNEL = 500000000000000001
USER = 200000000000000001
GUILD = 300000000000000001
COMMANDS = Path(sys.executable).parent

Server = Callable[..., Process]
Connect = Callable[[], rpc.DiscordApiStub]
EndClaims = Callable[[float], Awaitable[int]]


def left_running(runtime: str) -> list[str]:
    """Return the command lines of processes that still use the test's runtime folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"XDG_RUNTIME_DIR={runtime}".encode() in (folder / "environ").read_bytes() or (
                runtime.encode() in (folder / "cmdline").read_bytes()
            ):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found
