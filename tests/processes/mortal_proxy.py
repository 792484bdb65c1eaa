"""A proxy process that tests may kill; its messages to Discord are files in a folder.

Every message is a file named by its nonce, so a repeated nonce creates no second message, as at Discord.
Run as a program: `python mortal_proxy.py ADDRESS FOLDER`; prints one line when it serves.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from discordproxy.discord_api_pb2 import GetGuildChannelsResponse, Message, SendChannelMessageResponse
from discordproxy.discord_api_pb2_grpc import DiscordApiServicer, add_DiscordApiServicer_to_server

WAY_TO_DISCORD_S = 0.005


class Proxy(DiscordApiServicer):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def SendChannelMessage(self, request: Any, context: Any) -> SendChannelMessageResponse:  # noqa: N802 -- gRPC's name
        time.sleep(WAY_TO_DISCORD_S)
        (self._folder / request.nonce).write_text(request.content)
        time.sleep(WAY_TO_DISCORD_S)
        return SendChannelMessageResponse(message=Message(id=1, nonce=request.nonce))

    def GetGuildChannels(self, request: Any, context: Any) -> GetGuildChannelsResponse:  # noqa: N802 -- same
        return GetGuildChannelsResponse()


def serve(address: str, folder: Path) -> None:
    server = grpc.server(futures.ThreadPoolExecutor(32))
    add_DiscordApiServicer_to_server(Proxy(folder), server)
    server.add_insecure_port(address)
    server.start()
    print("serving", flush=True)  # noqa: T201 -- what the test waits for
    server.wait_for_termination()


class MortalProxy:
    """Controls the proxy process from a test."""

    def __init__(self, address: str, folder: Path) -> None:
        self._command = [sys.executable, __file__, address, str(folder)]
        self._folder = folder
        self.address = address
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout.readline() == "serving\n"

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def messages(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self._folder.iterdir()}


@contextmanager
def mortal_proxy(folder: Path) -> Iterator[MortalProxy]:
    sent = folder / "sent"
    sent.mkdir()
    proxy = MortalProxy(f"unix:{folder}/proxy.sock", sent)
    try:
        yield proxy
    finally:
        proxy.kill()


@contextmanager
def dying_again_and_again(proxy: MortalProxy, every: int, progress: "Progress") -> Iterator[None]:
    """Kill and restart the proxy after every `every` ended calls, until the block ends."""
    stopping = threading.Event()

    def reap() -> None:
        goal = every
        while progress.wait_for(goal, stopping):
            proxy.kill()
            proxy.start()
            goal = progress.count + every

    reaper = threading.Thread(target=reap)
    reaper.start()
    try:
        yield
    finally:
        stopping.set()
        progress.step(0)
        reaper.join()


class Progress:
    """Counts ended calls; a thread can wait for a count."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = threading.Condition()

    def step(self, number: int = 1) -> None:
        with self._changed:
            self.count += number
            self._changed.notify_all()

    def wait_for(self, goal: int, stopping: threading.Event) -> bool:
        """Return whether the goal was reached before the end."""
        with self._changed:
            self._changed.wait_for(lambda: self.count >= goal or stopping.is_set())
        return not stopping.is_set()


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
