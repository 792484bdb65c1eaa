"""Memory of a proxy, or of a program with a library: idle, and after one message to each of many channels."""

import argparse
import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bench import bench_speed
from bench.libraries.runs import Caller, library
from bench.peers.catalogue import OURS, Catalogue, Library, load_job
from bench.speed import figures, peers, procfs
from bench.speed.orders import Load
from bench.speed.programs import LoadGenerator, discord_proxy, opened

CALLERS = 64
MAX_SECONDS = 600.0


async def memory(found: Catalogue, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return by subject: MB (PSS, 10^6 bytes) `idle_mb` and `used_mb` in medians with their spread, and `failed`."""
    taken: dict[str, list[dict[str, float]]] = {}
    async with AsyncExitStack() as stack:
        direct = await bench_speed.stand_in(stack, folder)
        for _ in range(options.memory_rounds):
            taken.setdefault(OURS, []).append(await _ours(direct.port, options))
            for peer in found.proxies:
                taken.setdefault(peer.name, []).append(await _proxy(peer, direct.port, options, folder))
            for each in found.libraries:
                taken.setdefault(each.title, []).append(await _library(each, direct.port, options))
    return {
        name: {
            "idle_mb": figures.spread([one["idle_mb"] for one in rounds]),
            "used_mb": figures.spread([one["used_mb"] for one in rounds]),
            "failed": int(sum(one["failed"] for one in rounds)),
        }
        for name, rounds in taken.items()
    }


def _load(call: str, port: int, options: argparse.Namespace) -> Load:
    callers = min(CALLERS, options.channels)
    return Load(call, port, callers, MAX_SECONDS, limit=options.channels, channels=options.channels)


async def _ours(discord_port: int, options: argparse.Namespace) -> dict[str, float]:
    async with discord_proxy(discord_port, DISCORDPROXY_GLOBAL_LIMIT=str(bench_speed.GLOBAL_LIMIT)) as server:
        await opened(server.process, server.port)
        async with LoadGenerator() as generator:  # it shares pages of libraries with the server, so it does not stay
            await generator.until_answered("GetGuild", server.port)
        return await _measured(lambda: server.pids, bench_speed.SEND, server.port, options)


async def _proxy(peer: peers.Peer, discord_port: int, options: argparse.Namespace, folder: Path) -> dict[str, float]:
    async with peers.started(peer, discord_port, folder) as (port, pid):
        return await _measured(lambda: [pid], peer.call, port, options)


async def _measured(
    pids: Callable[[], list[int]], call: str, port: int, options: argparse.Namespace
) -> dict[str, float]:
    await asyncio.sleep(options.settle)
    idle = _pss(pids())
    async with LoadGenerator() as generator:
        outcome = await generator.run(_load(call, port, options))
    await asyncio.sleep(options.settle)
    return {"idle_mb": idle, "used_mb": _pss(pids()), "failed": options.channels - outcome.answered}


async def _library(each: Library, discord_port: int, options: argparse.Namespace) -> dict[str, float]:
    async with library(each.program) as caller:
        await caller.ready(load_job(discord_port))
        return await _of_library(caller, options)


async def _of_library(caller: Caller, options: argparse.Namespace) -> dict[str, float]:
    await asyncio.sleep(options.settle)
    idle = _pss([caller.pid])
    outcome = await caller.run(_load("", 0, options))
    await asyncio.sleep(options.settle)
    return {"idle_mb": idle, "used_mb": _pss([caller.pid]), "failed": options.channels - outcome.answered}


def _pss(pids: list[int]) -> float:
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):  # such as one that saves Redis' snapshot ends meanwhile
            total += procfs.memory_mb(pid)["pss"]
    return total
