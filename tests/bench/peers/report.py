"""The result as Markdown with charts. Pure."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bench.peers.catalogue import OURS
from bench.peers.overhead import DIRECT, ECHO
from bench.peers.plots import Bar, BarRow, bars

Result = dict[str, Any]

TITLES = {
    "A": "A: 20 messages to each of 4 channels, 5 in 5 s each",
    "B": "B: 4 messages to each of 150 channels, below the global limit of 50 per second",
    "quick": "quick: 10 messages to each of 2 channels, 5 in 1 s each",
}

BUSY = """\
Other programs used the machine at the same time. Compare ratios and counts; latency and throughput are better on an
idle machine."""

OVERHEAD_NOTES = """\
The unit is the CPU time of a bare gRPC echo of the same message in the same round. CPU time is that of all processes of
a proxy, Redis included, without its callers. A library runs in the process of its caller, so its figure includes the
caller; callers of a proxy have a client of their own, which is not counted. discordproxy 1.5.1 sends two requests to
Discord for each message. The added latency is the median latency minus that of a request directly to the stand-in for
Discord."""

SHARED_TOKEN_NOTES = """\
The stand-in for Discord refuses requests beyond its limits, and responds after 30 ± 10 ms. All messages are submitted
at once, to the processes in turn. Callers repeat nothing; a message is lost if Discord does not have it at the end. A
429 is avoidable if earlier responses had shown the limit, or if it is the global limit."""

MIXED_NOTES = """\
The same scenarios. Different unchanged libraries send the messages of each channel in turn: through the REST port and
gRPC of one server, through one process of a peer, or directly to Discord, each with its own limiter. hikari sends what
waits for its first response one message after the other, also to different channels: in B up to 150 round trips."""

MEMORY_NOTES = f"""\
PSS of all processes, in 10⁶ bytes: {OURS} consists of a supervisor, a gateway with its caches, one worker and Valkey,
the others of one process; a library is measured with the program that uses it."""

METHOD = """\
## Method

- Ours is `discordproxyserver` with default settings and a private Valkey, with one worker unless stated. The peers have
  their default settings, too. The global limit is raised for the cost of a call and for memory.
- Two processes of a peer, and two programs with a library, share the token as two workers of ours do."""

METHOD_OF_OVERHEAD = """\
- Cost of a call: {seconds:g} s for each cell. The stand-in responds at once and never limits."""

METHOD_OF_SCENARIOS = """\
- The maximum is the throughput of a client that knows Discord's counters: 15 s for A, 11 s and a round trip for B. A
  call without a response after {within:g} s is cancelled.
- `fixed` and `leaky` are the two kinds of buckets that Discord has. Headers do not show the kind."""

REPEAT = """\
- `make bench-peers ARGS=--peers` installs the peers. nirn-proxy and twilight's http-proxy have the address of Discord
  in their source: build them with the address from the variable `DISCORD_URL`, and set `NIRN_PROXY` and
  `TWILIGHT_HTTP_PROXY` to the paths of the binaries.
- `build/bench-peers.json` contains all values."""


def markdown(result: Result, images: str) -> str:
    """Return the page; `images` is the folder of the charts as its links name it."""
    sections = {"overhead": _overhead, "shared_token": _shared_token, "mixed": _mixed, "memory": _memory}
    parts = [_head(result)]
    parts += [section(result, images) for name, section in sections.items() if result.get(name)]
    return "\n\n".join([*parts, _method(result)]) + "\n"


def charts(result: Result) -> dict[str, str]:
    """Return the charts by name of their file."""
    found = {}
    if result.get("overhead"):
        found["peers-overhead.svg"] = _overhead_chart(result["overhead"])
    for scenario, by_bucket in result.get("shared_token", {}).items():
        found[f"peers-{scenario.lower()}.svg"] = _scenario_chart(scenario, by_bucket)
    if result.get("memory"):
        found["peers-memory.svg"] = _memory_chart(result["memory"])
    return found


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [list(head), ["---"] * len(head), *map(list, rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def spread(found: dict[str, float], digits: int = 0) -> str:
    """Return a median, and in brackets the lowest and the highest value if they differ."""
    median, low, high = (f"{found[name]:.{digits}f}" for name in ("median", "min", "max"))
    return median if low == high else f"{median} ({low} to {high})"


def _is_ours(name: str) -> bool:
    return name.startswith(OURS)


def _shown(name: str) -> str:
    return f"**{name}**" if _is_ours(name) else name


def _head(result: Result) -> str:
    about, runs = result["machine"], result["runs"]
    rounds = result["settings"].get("rounds", 1)
    median = f"the median of {rounds} interleaved rounds, the lowest and the highest in brackets"
    figure = f"Every figure is {median if rounds > 1 else 'of one round'}."
    commands = "\n".join(run["command"] for run in runs)
    loads = ", ".join(f"{run['load']:.0f}" for run in runs)
    load = f"load average{'s' if len(runs) > 1 else ''} {loads}"
    lines = [
        "# Measured comparison",
        f"Measured on {about['at'][:10]} by",
        f"<!-- not run: it takes an hour -->\n```bash\n{commands}\n```",
        f"on {about['cores']} cores ({about['processor']}); {load}.\n{figure}",
    ]
    if max(run["load"] for run in runs) > about["cores"]:
        lines.append(BUSY)
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    lines += [f"Versions: {versions}.", *(f"Not measured: {name}; {why}." for name, why in result["skipped"].items())]
    return "\n\n".join(lines)


def _overhead(result: Result, images: str) -> str:
    found, callers = result["overhead"], [str(each) for each in result["settings"]["callers"]]
    named = {each: "1 caller" if each == "1" else f"{each} callers" for each in callers}
    ratios = [
        [_shown(name), *(spread(by[each]["all_echoes"], 1) for each in callers)]
        for name, by in found.items()
        if name not in {DIRECT, ECHO}
    ]
    values = [
        [
            _shown(name),
            *(spread(by[each]["all_us"]) for each in callers),
            *(spread(by[each]["added_ms"], 1) if name != ECHO else "-" for each in callers),
            *(spread(by[each]["calls_per_s"]) for each in callers),
            str(sum(by[each]["failed"] for each in callers)),
        ]
        for name, by in found.items()
        if name != DIRECT
    ]
    kinds = ("CPU, µs", "added latency, ms", "calls per second")
    columns = [f"{kind}, {named[each]}" for kind in kinds for each in callers]
    parts = (
        "## Cost of a call",
        f"![CPU time of a call]({images}/peers-overhead.svg)",
        table(["CPU time of a call, in gRPC echoes", *named.values()], ratios),
        OVERHEAD_NOTES,
        table(["program", *columns, "failed"], values),
    )
    return "\n\n".join(parts)


def _overhead_chart(found: Result) -> str:
    callers = list(next(iter(found.values())))
    rows = [
        BarRow(name, [_bar(by[each]["all_echoes"], "{:.1f}") for each in callers[:2]], _is_ours(name))
        for name, by in found.items()
        if name not in {DIRECT, ECHO}
    ]
    series = [f"{each} caller{'' if each == '1' else 's'}" for each in callers[:2]]
    return bars("CPU time of a call, all processes", "bare gRPC echoes; shorter is better", series, rows)


def _bar(found: dict[str, float], note: str) -> Bar:
    return Bar(found["median"], found["min"], found["max"], note.format(found["median"]))


def _shared_token(result: Result, images: str) -> str:
    parts = ["## Several processes with one token", SHARED_TOKEN_NOTES]
    for scenario, by_bucket in result["shared_token"].items():
        chart = f"![Share of the maximum]({images}/peers-{scenario.lower()}.svg)"
        parts += [f"### {TITLES[scenario]}", chart, _outcomes(by_bucket)]
    return "\n\n".join(parts)


def _outcomes(by_bucket: Result) -> str:
    head = ["program", "bucket", "of the maximum, %", "avoidable 429", "lost", "doubled", "of", "seconds"]
    return table(
        head,
        [
            [
                _shown(name),
                bucket,
                spread(row["percent_of_maximum"]),
                *(spread(row[count]) for count in ("avoidable_429", "lost", "doubled")),
                str(row["messages"]),
                spread(row["seconds"], 1),
            ]
            for bucket, rows in by_bucket.items()
            for name, row in rows.items()
        ],
    )


def _scenario_chart(scenario: str, by_bucket: Result) -> str:
    names = next(iter(by_bucket.values()))
    rows = [BarRow(name, [_share(rows[name]) for rows in by_bucket.values()], _is_ours(name)) for name in names]
    series = [f"{bucket} window" if bucket == "fixed" else f"{bucket} bucket" for bucket in by_bucket]
    return bars(TITLES[scenario], "percent of the possible throughput; longer is better", series, rows)


def _share(row: Result) -> Bar:
    median: Callable[[str], float] = lambda name: row[name]["median"]  # noqa: E731 - three uses below
    notes = [f"{median('percent_of_maximum'):.0f} %"]
    notes += [
        f"{median(name):.0f} {word}"
        for name, word in (("avoidable_429", "avoidable 429"), ("lost", "lost"))
        if median(name)
    ]
    found = row["percent_of_maximum"]
    return Bar(found["median"], found["min"], found["max"], ", ".join(notes))


def _mixed(result: Result, _: str) -> str:
    parts = ["## Different libraries with one token", MIXED_NOTES]
    for scenario, by_bucket in result["mixed"].items():
        parts += [f"### {TITLES[scenario]}", _outcomes(by_bucket)]
    return "\n\n".join(parts).replace("### ", "### Mixed, ")


def _memory(result: Result, images: str) -> str:
    channels = result["settings"]["channels"]
    head = ["MB", "idle", f"after {channels:,} channels", "difference", "failed calls"]
    rows = [
        [
            _shown(name),
            spread(found["idle_mb"]),
            spread(found["used_mb"]),
            f"{found['used_mb']['median'] - found['idle_mb']['median']:+.0f}",
            str(found["failed"]),
        ]
        for name, found in result["memory"].items()
    ]
    chart = f"![Memory]({images}/peers-memory.svg)"
    rounds = result["settings"]["memory_rounds"]
    notes = MEMORY_NOTES if rounds > 1 else f"{MEMORY_NOTES} Measured once."
    return "\n\n".join(("## Memory", chart, table(head, rows), notes))


def _memory_chart(found: Result) -> str:
    rows = [
        BarRow(name, [_bar(by[key], "{:.0f}") for key in ("idle_mb", "used_mb")], _is_ours(name))
        for name, by in found.items()
    ]
    return bars("Memory of all processes", "MB; shorter is better", ["idle", "after many channels"], rows)


def _method(result: Result) -> str:
    settings = result["settings"]
    lines = [METHOD]
    if result.get("overhead"):
        lines.append(METHOD_OF_OVERHEAD.format(**settings))
    if result.get("shared_token") or result.get("mixed"):
        lines.append(METHOD_OF_SCENARIOS.format(**settings))
    return "\n".join([*lines, REPEAT])
