"""Runs the program of one Discord library against a server with the sandbox, and verifies what Discord received."""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path

from fakes.ports import free_port, free_ports

HERE = Path(__file__).parent
KEY = "MTAwMDAwMDAwMDAwMDAwMDAx.proxy.dpk_local"
CHANNEL, GUILD = "500000000000000001", "300000000000000001"
ROUTE = "POST /channels/{channel_id}/messages"
PROGRAMS = {
    **dict.fromkeys(("discord.py", "py-cord", "nextcord", "disnake"), "use_discord_py.py"),
    "hikari": "use_hikari.py",
    "@discordjs/rest": "use_discordjs_rest.mjs",
    "@discordeno/rest": "use_discordeno.mjs",
    "oceanic.js": "use_oceanic.cjs",
}
OWN = "unknown key"
"""A violation that a library sends to Discord, too: the proxy changes no body."""

LIMITS = {"limit": 5, "window_s": 5.0}
RUNS = (("10", ""), ("40", ""), ("40", "240"))
"""Messages at once, and option `wait`: the library as it is, without and with refusals, and one that waits."""

SERVED = re.compile(r"^discordproxy_http_requests_total\{.*\} (\S+)$", re.MULTILINE)

MAX_REQUESTS = 2
"""A library may send so many requests per message and second: more is a loop without a pause."""


def request(url: str, document: dict | None = None) -> dict:
    data = None if document is None else json.dumps(document).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data)) as answer:
        return json.load(answer)


def await_ready(process: subprocess.Popen, output: Path, pages: list[int]) -> None:
    """Wait until all workers serve."""
    for _ in range(600):
        if "is ready" in output.read_text() and all(map(is_served, pages)):
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise SystemExit(f"the server did not start: {output.read_text()}")


def is_served(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def problems(found: dict, name: str, burst: int) -> list[str]:
    """Return what Discord should not have seen."""
    records = found["records"]
    wrong = [
        f"{each['method']} {each['template']}: {problem}"
        for each in records
        for problem in each["violations"]
        if not problem.startswith(OWN)
    ]
    avoidable = [each for each in records if each["status"] == 429]
    if avoidable:
        wrong.append(f"{len(avoidable)} answers of 429 at Discord")
    kept = Counter(each["digest"] for each in found["stored"])
    if doubled := [digest for digest, number in kept.items() if number > 1]:
        wrong.append(f"{len(doubled)} messages are doubled")
    if len(kept) < burst + 2:
        wrong.append(f"{name}: {len(kept)} messages instead of {burst + 2}")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=PROGRAMS)
    parser.add_argument("interpreter", help="python of the library's environment, or node")
    parser.add_argument("--folder", default=".", help="where node finds the library")
    options = parser.parse_args()
    grpc_port, rest_port, sandbox_port = free_port(), free_port(), free_port()
    pages = free_ports(2)
    environment = {
        **os.environ,
        "DISCORDPROXY_PORT": str(grpc_port),
        "DISCORDPROXY_REST_PORT": str(rest_port),
        "SANDBOX_PORT": str(sandbox_port),
        "DISCORDPROXY_HTTP_PORT": str(pages[0]),
    }
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "out")
        server = Path(sys.executable).with_name("discordproxyserver")
        with output.open("w") as stream:
            process = subprocess.Popen(
                [server, "--sandbox", "--workers", "2", "--log-file-path", folder],
                env=environment,
                stdout=stream,
                stderr=stream,
            )
        try:
            await_ready(process, output, pages)
            for burst, wait in RUNS:
                run(options, rest_port, f"http://127.0.0.1:{sandbox_port}/_sandbox", burst, wait, pages)
        finally:
            process.terminate()
            process.wait(60)


def requests_served(pages: list[int]) -> int:
    """Return how many requests the workers have answered on the REST port."""
    found = 0.0
    for port in pages:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            found += sum(map(float, SERVED.findall(answer.read().decode())))
    return int(found)


def run(options: argparse.Namespace, rest_port: int, control: str, burst: str, wait: str, pages: list[int]) -> None:
    request(f"{control}/limits", {"do": "set", "route": ROUTE, **LIMITS})
    request(f"{control}/ledger", {"do": "clear"})
    before, began = requests_served(pages), time.monotonic()
    ended = subprocess.run(
        [options.interpreter, HERE / PROGRAMS[options.library], options.library],
        env={
            **os.environ,
            "REST_URL": f"http://127.0.0.1:{rest_port}",
            "TOKEN": KEY,
            "CHANNEL": CHANNEL,
            "GUILD": GUILD,
            "BURST": burst,
            "WAIT": wait,
        },
        cwd=options.folder,
        check=False,
        timeout=300,
        stdout=subprocess.PIPE,
        text=True,
    )
    took_s, served = time.monotonic() - began, requests_served(pages) - before
    refused = int((re.search(r"refused=(\d+)", ended.stdout) or [0, 0])[1])
    wrong = [] if ended.returncode == 0 else [f"status {ended.returncode}"]
    wrong += problems(request(f"{control}/ledger"), options.library, int(burst) - refused)
    if served > MAX_REQUESTS * int(burst) * took_s:
        wrong.append(f"{served} requests")
    outcome = "; ".join(wrong) or "passed"
    line = f"{options.library}, {burst} at once, wait={wait or 'default'}: {took_s:.1f} s, {served} requests, "
    line += f"{refused} refused, {outcome}"
    print(line, flush=True)  # noqa: T201 - a program
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
