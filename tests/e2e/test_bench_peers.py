"""A little of `make bench-peers`, its page and its charts."""

import sys
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bench.bench_peers import joined
from bench.libraries.caller import Answered
from bench.peers import catalogue, report
from bench.peers.plots import Bar, BarRow, bars
from bench.peers.shared_token import QUICK, judged
from discordproxy_sandbox.ledger import Ledger, Record, Stored
from processes.benchmark import result_of

OURS = {"Discord Proxy, gRPC", "Discord Proxy, REST port"}
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.smoke
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: the benchmarks read /proc")
@pytest.mark.usefixtures("valkey_binary")
async def test_it_measures_ours_and_writes_a_page(tmp_path):
    scale = ("--rounds", "1", "--seconds", "0.1", "--callers", "1", "4", "--workers", "2", "--peers", "none")
    sections = ("--sections", "overhead", "shared_token", "--scenarios", "quick", "--buckets", "fixed")
    result = await result_of("bench_peers", *scale, *sections, folder=tmp_path)
    assert set(result["overhead"]) == OURS | {"echo", "direct"}
    for by_callers in result["overhead"].values():
        assert all(each["answered"] > 0 for each in by_callers.values())
        assert all(each["failed"] == 0 for each in by_callers.values())
    row = result["shared_token"]["quick"]["fixed"]["Discord Proxy, 2 workers"]
    assert row["messages"] == 20
    assert row["in_sum"] == {"avoidable_429": 0, "lost": 0, "doubled": 0}
    assert row["seconds"]["median"] > 1, "the second window"
    assert "| **Discord Proxy, 2 workers** | fixed |" in (tmp_path / "comparison-figures.md").read_text()
    for name in ("peers-overhead.svg", "peers-quick.svg"):
        ET.parse(tmp_path / "images" / name)


@pytest.mark.smoke
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: the benchmarks read /proc")
@pytest.mark.usefixtures("valkey_binary")
async def test_it_measures_memory_after_messages_to_many_channels(tmp_path):
    scale = ("--rounds", "1", "--channels", "8", "--settle", "0", "--peers", "none", "--sections", "memory")
    result = await result_of("bench_peers", *scale, folder=tmp_path)
    (found,) = result["memory"].values()
    assert found["failed"] == 0
    assert found["idle_mb"]["median"] > 0
    assert found["used_mb"]["median"] > 0


def answered(label: int, *, until: float = 2.0) -> Answered:
    return Answered(label, 0.0, until, 0, "")


def test_a_message_that_discord_does_not_have_is_lost_and_is_no_throughput():
    ledger = Ledger()
    ledger.stored = [Stored("1", str(number), f"digest {number % 3}", "") for number in range(4)]
    ledger.records = [Record(1, 0.0, "POST", "/", avoidable=True), Record(2, 0.0, "POST", "/")]
    found = judged(QUICK, ledger, [answered(label) for label in range(4)])
    assert (found.avoidable_429, found.lost, found.doubled) == (1, 1, 1)
    assert found.percent_of_maximum == 100 * QUICK.best_s / 2 * 3 / 4


def test_a_binary_without_a_path_is_skipped_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "PEERS", ())
    binary = tmp_path / "proxy"
    binary.touch(mode=0o755)
    found = catalogue.catalogue(wanted="installed", binaries={"twilight http-proxy": str(binary)})
    assert [peer.name for peer in found.proxies] == ["twilight http-proxy"]
    assert found.proxies[0].command(found.proxies[0].program) == [str(binary)]
    assert found.skipped["nirn-proxy"] == "the path of its binary is not given: set NIRN_PROXY"
    found = catalogue.catalogue(wanted="installed", binaries={"nirn-proxy": str(tmp_path / "none")})
    assert "is not an executable file" in found.skipped["nirn-proxy"]


def spread(median: float, low: float, high: float) -> dict[str, float]:
    return {"median": median, "min": low, "max": high}


def outcome(percent: float, refused: float, lost: float) -> dict[str, Any]:
    found = {
        "percent_of_maximum": spread(percent, percent - 1, percent),
        "avoidable_429": spread(refused, refused, refused),
    }
    found |= {"lost": spread(lost, lost, lost), "doubled": spread(0, 0, 0), "seconds": spread(2, 2, 2)}
    return {**found, "messages": 20, "in_sum": {}, "runs": 3}


def result() -> dict[str, Any]:
    calls = {"all_echoes": spread(3, 2.5, 4.25), "all_us": spread(900, 900, 900), "added_ms": spread(1, 1, 1)}
    calls |= {"calls_per_s": spread(700, 650, 701), "failed": 0}
    figures = {"1": calls, "64": calls}
    rows = {"Discord Proxy, 2 workers": outcome(97, 0, 0), "peer & co, 2 processes": outcome(99, 27, 3)}
    megabytes = {"idle_mb": spread(130, 130, 130), "used_mb": spread(150, 149, 160), "failed": 0}
    about = {"at": "2026-11-30T12:00:00+00:00", "commit": "0123456789", "cores": 2, "processor": "a processor"}
    return {
        "machine": about,
        "runs": [
            {"command": "make bench-peers", "load": 3.0, "sections": ["overhead"]},
            {"command": "chrt -r 1 make bench-peers", "load": 1.0, "sections": ["memory"]},
        ],
        "versions": {"Discord Proxy": "2.0.0"},
        "settings": {
            "rounds": 3,
            "seconds": 2.0,
            "callers": [1, 64],
            "workers": [2],
            "within": 90.0,
            "memory_rounds": 1,
            "channels": 20_000,
        },
        "skipped": {"nirn-proxy": "no binary"},
        "overhead": {"echo": figures, "direct": figures, "Discord Proxy, gRPC": figures, "peer & co": figures},
        "shared_token": {"A": {"fixed": rows, "leaky": rows}},
        "mixed": {"A": {"fixed": rows}},
        "memory": {"Discord Proxy": megabytes, "peer & co": megabytes},
    }


def test_the_page_shows_ratios_first_and_peers_that_are_ahead():
    page = report.markdown(result(), "images")
    assert page.index("| **Discord Proxy, gRPC** | 3.0 (2.5 to 4.2) | 3.0 (2.5 to 4.2) |") < page.index(
        "| echo | 900 |"
    )
    assert "| peer & co, 2 processes | leaky | 99 (98 to 99) | 27 | 3 | 0 | 20 | 2.0 |" in page
    assert "| **Discord Proxy** | 130 | 150 (149 to 160) | +20 | 0 |" in page
    assert "Not measured: nirn-proxy; no binary." in page
    assert "Other programs used the machine at the same time." in page
    assert "median of 3 interleaved rounds" in page
    assert "\nmake bench-peers\nchrt -r 1 make bench-peers\n" in page
    assert "load averages 3, 1." in page
    assert len([line for line in page.splitlines() if line.startswith("![")]) == len(report.charts(result())) == 3


def test_sections_of_several_runs_are_joined():
    def run(section: str, **settings: int) -> dict[str, Any]:
        return {section: {}, "settings": settings, "runs": [{"command": f"make {section}", "sections": [section]}]}

    nothing = {"settings": {}, "runs": [{"command": "make", "sections": []}]}
    found = joined(nothing, [run("overhead", rounds=3), run("memory", channels=5)])
    assert found["settings"] == {"rounds": 3, "channels": 5}
    assert [each["command"] for each in found["runs"]] == ["make overhead", "make memory"]
    assert {"overhead", "memory"} <= set(found)
    again = joined(run("memory", channels=7), [found])
    assert again["settings"] == {"rounds": 3, "channels": 7}, "what was just measured replaces what is included"


def test_charts_are_svg_with_a_bar_and_a_note_for_each_value():
    for name, chart in report.charts(result()).items():
        texts = [text.text for text in ET.fromstring(chart).iter(f"{SVG}text")]
        assert any("peer & co" in text for text in texts), name
    (scenario,) = (chart for name, chart in report.charts(result()).items() if name == "peers-a.svg")
    assert scenario.count("99 %, 27 avoidable 429, 3 lost") == 2


def test_a_bar_ends_at_its_median_and_its_line_spans_the_rounds():
    chart = ET.fromstring(bars("title", "axis", ["only"], [BarRow("row", [Bar(7, 6, 8, "note"), None], ours=True)]))
    axis = [path.get("d") for path in chart.iter(f"{SVG}path") if path.get("fill") is None]
    left, right = (float(axis[place].removeprefix("M").partition(" ")[0]) for place in (0, -1))
    (bar,) = (rect for rect in chart.iter(f"{SVG}rect") if rect.get("height") == "11")
    (line,) = (path.get("d") for path in chart.iter(f"{SVG}path") if path.get("fill") == "none")

    def at(x: float) -> float:
        return round(10 * (x - left) / (right - left), 1)

    assert at(left + float(bar.get("width"))) == 7
    low, high = line.removeprefix("M").partition("M")[0].partition("H")[::2]
    assert (at(float(low.split()[0])), at(float(high))) == (6, 8)
