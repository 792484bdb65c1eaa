"""A little of `make bench-speed`, `-footprint`, `-ratelimit` and `-libraries`: they run, with possible figures."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.ratelimit.judge import JudgeClient
from discordproxy_ratelimit.route import route_of
from processes.benchmark import result_of

TESTS = Path(__file__).parents[1]
CALLERS = ("1", "4")
RULES = {"kind": "fixed", "limit": 1, "window_s": 60.0, "global_limit": 50, "rtt_s": 0.001, "jitter_s": 0.0}
OURS = {"SendChannelMessage", "GetGuild", "GetChannel", "health check", "REST port"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: the benchmarks read /proc"),
    pytest.mark.usefixtures("valkey_binary"),
]


def medians(figures: dict[str, Any]) -> dict[str, float]:
    """The medians among the figures, each within its spread."""
    spreads = {name: each for name, each in figures.items() if isinstance(each, dict)}
    assert all(each["min"] <= each["median"] <= each["max"] for each in spreads.values()), figures
    assert all(each["min"] >= 0 for name, each in spreads.items() if name != "added_ms"), "a difference of latencies"
    return {name: each["median"] for name, each in spreads.items()}


@pytest.mark.smoke
async def test_speed(tmp_path):
    scale = ("--rounds", "2", "--seconds", "0.2", "--callers", *CALLERS, "--profiled-calls", "20", "--peers", "none")
    result = await result_of("bench_speed", *scale, folder=tmp_path)
    assert set(result["subjects"]) == OURS | {"echo", "direct"}
    for name, by_callers in result["subjects"].items():
        assert set(by_callers) == set(CALLERS)
        for figures in by_callers.values():
            assert figures["answered"] > 0, name
            assert figures["failed"] == 0, name
            found = medians(figures)
            assert found["calls_per_s"] > 0
            assert 0 < found["p50_ms"] <= found["p99_ms"]
            assert 0 < found["worker_us"] <= found["all_us"]
            assert found["echoes"] > 0
            assert ("redis_us" in found) == (name in OURS)
    assert {medians(figures)["echoes"] for figures in result["subjects"]["echo"].values()} == {1}
    assert {medians(figures)["added_ms"] for figures in result["subjects"]["direct"].values()} == {0}
    for by_callers in (result["subjects"][name] for name in OURS - {"health check"}):
        for figures in by_callers.values():
            assert all(medians(figures)[name] > 0 for name in ("redis_us", "commands_per_call"))
    for by_callers in (result["subjects"][name] for name in ("SendChannelMessage", "REST port")):
        assert all(medians(figures)["scripts_per_call"] > 0 for figures in by_callers.values())
    for figures in [each for by_callers in result["functions"].values() for each in by_callers.values()]:
        assert figures["calls"] >= 20
        assert figures["failed"] == 0
        assert figures["entered_per_call"] > 10
        assert figures["different"] > 10


@pytest.mark.smoke
async def test_footprint(tmp_path):
    scale = ("--rounds", "1", "--settle", "0", "--seconds", "0.2")
    result = await result_of("bench_footprint", *scale, folder=tmp_path)
    assert {"supervisor", "API worker", "valkey"} <= set(result["processes"])
    found = [medians(figures) for figures in result["processes"].values()]
    assert all(0 < each["pss_mb"] <= each["rss_mb"] for each in found)
    for name, in_sum in medians(result["sum"]).items():
        assert in_sum == pytest.approx(sum(each[name] for each in found))
    start = medians(result["start"])
    assert 0 < start["port_open_s"] <= start["serving_s"]


@pytest.mark.smoke
async def test_the_scenarios_workers_reach_their_discord(tmp_path):
    path = str(tmp_path / "judge")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.ratelimit.judge", path), cwd=TESTS, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert await process.stdout.readline() == b"ready\n"
        async with JudgeClient(path, "run") as discord:
            await discord.ask(open=RULES)
            route = route_of("POST", "/channels/{channel_id}/messages", {"channel_id": "1"})
            answers = [await discord.request(route, label) for label in (1, 2)]
            assert [answer.status for answer in answers] == [200, 429]
            assert answers[0].remaining == 0
            assert [(label, status) for _, label, status in await discord.ask(close=True)] == [(1, 200), (2, 429)]
            with pytest.raises(RuntimeError, match="KeyError"):
                await discord.request(route)
    finally:
        process.kill()
        await process.wait()


@pytest.mark.smoke
async def test_libraries(tmp_path):
    scale = ("--scenarios", "quick", "--buckets", "fixed", "--callers", "discord.py", "grpc", "grpc")
    result = await result_of("bench_libraries", *scale, folder=tmp_path)
    (row,) = result["rows"]
    assert row["callers"] == "discord.py grpc grpc"
    assert row["messages"] == 20
    assert not any(row[name] for name in ("raised", "avoidable_429", "lost", "doubled"))
    assert row["seconds"] > 1, "the second window"
