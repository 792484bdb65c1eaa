"""Disturbances of a server and its Discord: signals to processes, a stopped Redis, every bad kind of response."""

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from discordproxy_sandbox.rest.faults import Fault, Faults

ROLES = {
    "worker": "discordproxy_api\0",
    "gateway": "discordproxy_gateway",
    "fork server": "discordproxy_api.processes.f",
    "redis": "valkey-server",
    "supervisor": "discordproxyserver",
}
"""Role -> text in the command line of its processes."""

Kind = tuple[float, Callable[[], None]]
"""Relative frequency, and the action."""

SENDS = r"/messages|/webhooks/|/channels$"


def processes(runtime: Path, role: str) -> list[int]:
    """Return the ids of one server's processes, which share a runtime folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (folder / "cmdline").read_bytes()
            if f"XDG_RUNTIME_DIR={runtime}".encode() in (folder / "environ").read_bytes() and (
                ROLES[role].encode() in command
            ):
                found.append(int(folder.name))
    return sorted(found)


class Disturbances:
    """Injects random disturbances; `done` counts them.

    Args:
        runtime: runtime folder of the server's processes.
        faults: faults of its Discord.
        only: names of the disturbances to choose from; empty for all.
    """

    def __init__(self, runtime: Path, faults: Faults, *, seed: int, only: Collection[str] = ()) -> None:
        self.done: Counter[str] = Counter()
        self._runtime, self._faults = runtime, faults
        self._rng = random.Random(seed)
        self._stopped: dict[int, asyncio.Task[None]] = {}
        self._kinds = {name: kind for name, kind in self._all().items() if not only or name in only}

    def _all(self) -> dict[str, Kind]:
        rng = self._rng
        kinds: dict[str, Kind] = {
            "kill worker": (6, lambda: self._kill("worker")),
            "kill gateway": (1, lambda: self._kill("gateway")),
            "kill fork server": (1, lambda: self._kill("fork server")),
            "kill redis": (2, lambda: self._kill("redis")),
            "kill supervisor": (1, lambda: self._kill("supervisor")),
            "end redis": (1, lambda: self._kill("redis", signal.SIGTERM)),
            "stop worker": (5, lambda: self._stop("worker", rng.choice((0.5, 2.0, 6.0, 18.0)))),
            "stop fork server": (1, lambda: self._stop("fork server", 3.0)),
            "stop gateway": (1, lambda: self._stop("gateway", 3.0)),
            "stop redis": (4, lambda: self._stop("redis", rng.choice((0.2, 1.0, 4.0)))),
        }
        for kind, weight in (("reset", 4), ("status", 3), ("slow", 4), ("truncated", 2), ("silent", 1), ("hash", 1)):
            for when in ("before", "after"):
                kinds[f"discord: {kind} {when}"] = (weight, partial(self._fault, kind, when))
        # A page of Cloudflare stops all requests for a minute, so it is rare.
        for kind, weight in (("rate_limited", 4), ("headerless", 2), ("cloudflare", 0.3)):
            kinds[f"discord: {kind}"] = (weight, partial(self._fault, kind, "before"))
        return kinds

    async def run(self, *, pause_s: tuple[float, float]) -> None:
        """Disturb until cancelled, with a pause between two disturbances; undo all disturbances at the end."""
        names, weights = list(self._kinds), [weight for weight, _ in self._kinds.values()]
        try:
            while True:
                await asyncio.sleep(self._rng.uniform(*pause_s))
                (name,) = self._rng.choices(names, weights)
                self._kinds[name][1]()
                self.done[name] += 1
        finally:
            self._faults.clear()
            for pid in list(self._stopped):
                self._go_on(pid)

    def _kill(self, role: str, number: int = signal.SIGKILL) -> None:
        for pid in self._one(role):
            os.kill(pid, number)

    def _stop(self, role: str, for_s: float) -> None:
        for pid in self._one(role):
            os.kill(pid, signal.SIGSTOP)
            self._stopped[pid] = asyncio.create_task(self._later(pid, for_s))

    async def _later(self, pid: int, for_s: float) -> None:
        await asyncio.sleep(for_s)
        self._go_on(pid)

    def _go_on(self, pid: int) -> None:
        task = self._stopped.pop(pid)
        if task is not asyncio.current_task():
            task.cancel()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def _one(self, role: str) -> list[int]:
        running = [pid for pid in processes(self._runtime, role) if pid not in self._stopped]
        return [self._rng.choice(running)] if running else []

    def _fault(self, kind: str, when: str) -> None:
        rng = self._rng
        self._faults.add(
            Fault(
                kind=kind,
                when=when,
                method="POST",
                path=SENDS,
                count=rng.randint(1, 2),
                skip=rng.randint(0, 3),
                status=rng.choice((500, 502, 503, 504)),
                delay_s=rng.choice((0.5, 2.0, 6.0)),
                scope=rng.choice(("user", "shared", "global")),
            )
        )
