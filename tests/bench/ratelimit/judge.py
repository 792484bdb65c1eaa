"""Discord in a process of its own: decides on requests at their arrival, after a random latency, by its own clock.

Reads one JSON object a line from a unix socket: `open` begins a run, `close` ends it and returns its ledger, anything
else is a request. `JudgeClient` is the workers' side.
"""

import asyncio
import itertools
import json
import sys
from dataclasses import asdict, fields
from typing import Any

from typing_extensions import Self

from discordproxy_ratelimit.headers import Answer
from discordproxy_ratelimit.route import Route
from discordproxy_sandbox.limits.limits import LIMITERS, GlobalLimit
from strategies.discord_limits import FakeDiscord, around


def discord(kind: str, limit: int, window_s: float, global_limit: int, rtt_s: float, jitter_s: float) -> FakeDiscord:
    """Return a Discord whose buckets are all of one kind; its global limit counts in any second."""
    return FakeDiscord(
        limiter=lambda _: LIMITERS[kind](limit, window_s),
        global_limit=GlobalLimit(global_limit, "sliding"),
        latency=around(rtt_s, jitter_s),
    )


def ledger(judged: FakeDiscord) -> list[tuple[float, int, int]]:
    """Return (time, message, status) of every request."""
    return [(arrival.at, arrival.label, arrival.status) for arrival in judged.arrivals]


class Judge:
    """Several Discords, one per run."""

    def __init__(self) -> None:
        self._runs: dict[str, FakeDiscord] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, path: str) -> None:
        """Serve until this process is killed."""
        server = await asyncio.start_unix_server(self._connection, path, limit=2**24)
        print("ready", flush=True)  # noqa: T201 - the parent process waits for it
        await server.serve_forever()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            task = asyncio.create_task(self._answer(json.loads(line), writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        writer.close()

    async def _answer(self, question: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        try:
            reply, error = await self._reply(question), ""
        except Exception as failure:  # noqa: BLE001 - the worker that waits for the reply must fail
            reply, error = None, repr(failure)
        writer.write(json.dumps([question["id"], reply, error]).encode() + b"\n")

    async def _reply(self, question: dict[str, Any]) -> Any:
        run = question["run"]
        if "open" in question:
            self._runs[run] = discord(**question["open"])
            return None
        if "close" in question:
            return ledger(self._runs.pop(run))
        return asdict(await self._runs[run].request(Route(**question["route"]), question["label"]))


class JudgeClient:
    """A run's Discord as its workers see it."""

    def __init__(self, path: str, run: str) -> None:
        self._path, self._run = path, run
        self._numbers = itertools.count()
        self._pending: dict[int, asyncio.Future[Any]] = {}

    async def __aenter__(self) -> Self:
        reader, self._writer = await asyncio.open_unix_connection(self._path, limit=2**24)
        self._reading = asyncio.create_task(self._read(reader))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._reading

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            number, reply, error = json.loads(line)
            future = self._pending.pop(number)
            if error:
                future.set_exception(RuntimeError(f"Discord's process failed: {error}"))
            else:
                future.set_result(reply)

    async def ask(self, **question: Any) -> Any:
        """Send a question about this run and wait for the reply."""
        number = next(self._numbers)
        future = self._pending[number] = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps({"id": number, "run": self._run, **question}).encode() + b"\n")
        return await future

    async def request(self, route: Route, label: object = None) -> Answer:
        """Send one request to Discord."""
        return Answer(**await self.ask(route=_arguments(route), label=label))


def _arguments(route: Route) -> dict[str, Any]:
    """Return the arguments that make an equal route."""
    return {field.name: getattr(route, field.name) for field in fields(route) if field.init}


if __name__ == "__main__":
    asyncio.run(Judge().serve(sys.argv[1]))
