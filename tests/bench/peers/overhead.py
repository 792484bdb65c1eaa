"""CPU time and latency of a call: ours, other proxies and libraries in turn, beside a bare gRPC echo."""

import argparse
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bench import bench_speed
from bench.libraries.runs import Caller, library
from bench.peers.catalogue import OURS, Catalogue, load_job
from bench.speed import peers
from bench.speed.programs import LoadGenerator

GRPC, REST = f"{OURS}, gRPC", f"{OURS}, REST port"
ECHO, DIRECT = bench_speed.ECHO, bench_speed.DIRECT


async def overhead(found: Catalogue, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return by subject and number of callers: medians with their spread.

    `all_echoes` is the CPU time of all processes, Redis included, in that of the echo of the same round.
    """
    async with AsyncExitStack() as stack:
        generator = await stack.enter_async_context(LoadGenerator())
        direct = await bench_speed.stand_in(stack, folder)
        server = await bench_speed.our_server(stack, direct.port, generator, "INFO")
        worker, valkey = server.worker(), server.valkey()
        subjects: list[tuple[bench_speed.Subject, LoadGenerator | Caller]] = [
            (await bench_speed.echo_server(stack, folder), generator),
            (direct, generator),
            (bench_speed.Subject(GRPC, bench_speed.SEND, server.port, worker, valkey, server), generator),
            (bench_speed.Subject(REST, bench_speed.POST, server.rest_port, worker, valkey, server), generator),
        ]
        for peer in found.proxies:
            port, pid = await stack.enter_async_context(peers.started(peer, direct.port, folder))
            await generator.until_answered(peer.call, port)
            subjects.append((bench_speed.Subject(peer.name, peer.call, port, pid), generator))
        for each in found.libraries:
            caller = await stack.enter_async_context(library(each.program))
            await caller.ready(load_job(direct.port))
            subjects.append((bench_speed.Subject(each.title, "", direct.port, caller.pid), caller))
        return bench_speed.summary(await _samples(subjects, options))


async def _samples(
    subjects: list[tuple[bench_speed.Subject, LoadGenerator | Caller]], options: argparse.Namespace
) -> dict[str, Any]:
    samples: dict[str, Any] = {each.name: {str(callers): [] for callers in options.callers} for each, _ in subjects}
    for callers in sorted(options.callers, reverse=True):  # first of all, buckets of all channels become known
        for subject, generator in subjects:
            await bench_speed.measure(subject, generator, callers, options.seconds / 2)
    for _ in range(options.rounds):
        for callers in options.callers:
            for subject, generator in subjects:
                sample = await bench_speed.measure(subject, generator, callers, options.seconds)
                echo = samples[ECHO][str(callers)][-1] if subject.name != ECHO else sample
                sample["all_echoes"] = sample["all_us"] / echo["all_us"]
                samples[subject.name][str(callers)].append(sample)
    return samples
