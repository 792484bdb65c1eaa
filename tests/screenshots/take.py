# ruff: noqa: T201 - a program prints what it does
"""Takes the screenshots of the status page for the documentation.

    make screenshots                           # seven minutes: the charts show five
    make screenshots ARGS="--seconds 10 --folder build"

A server with two workers serves some applications, and a local Discord stands in for Discord. The pictures: the page on
a wide screen, light and dark, while all is well; and on a phone, after the channels of an application were deleted.
"""

import argparse
import asyncio
import json
import random
import shutil
import socket
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.speed.programs import ROOT, discord_proxy, opened
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from fakes.browser import NAMES, Page, browser_page
from fakes.ports import free_ports
from screenshots.load import APPLICATIONS, BROKEN, PINGS, Applications, populate
from screenshots.png import with_palette

WORKERS, BURST = 2, 14
HOST = "proxy-1"
"""Shown instead of this machine's name."""

BROKEN_SHARE = 0.3
"""How long the broken application calls, in the time before."""


@dataclass(frozen=True)
class Screen:
    """A picture.

    Attributes:
        name: of its file.
        width: in CSS pixels.
        last: id of an element on the last card that is shown.
        scheme: `light` or `dark`.
        scale: pixels of the picture per CSS pixel.
    """

    name: str
    width: int
    last: str
    scheme: str
    scale: float = 1.0


WIDE = (Screen("status-light", 1280, "gateway", "light"), Screen("status-dark", 1280, "gateway", "dark"))
PHONE = Screen("status-phone", 390, "errors", "light", scale=1.5)
MARGIN = 16


async def take(seconds: float, folder: Path) -> list[Path]:
    """Run everything, and write the pictures into a folder."""
    async with AsyncExitStack() as stack:
        discord = await stack.enter_async_context(Sandbox(SandboxConfig(latency_s=0.06, jitter_s=0.02)))
        populate(discord)
        pages = free_ports(WORKERS)
        settings = {"DISCORDPROXY_WORKERS": str(WORKERS), "DISCORDPROXY_HTTP_PORT": str(pages[0])}
        server = await stack.enter_async_context(discord_proxy(discord.port, **settings))
        for port in (server.port, *pages):
            await opened(server.process, port)
        profile = stack.enter_context(tempfile.TemporaryDirectory(prefix="dp-page-"))
        page = await stack.enter_async_context(browser_page(Path(profile)))
        await _open(page, pages[0])
        applications = await stack.enter_async_context(Applications(server.port, random.Random(1)))
        await applications.run(APPLICATIONS, seconds)
        applications.burst(PINGS, BURST)
        await page.until("document.querySelectorAll('#buckets tbody tr .number strong').length")
        taken = [await _picture(page, screen, folder) for screen in WIDE]
        others = tuple(each for each in APPLICATIONS if each.name != BROKEN.name)
        await applications.run((*others, BROKEN), seconds * BROKEN_SHARE)
        await page.until("document.getElementById('verdict').textContent === 'needs attention'")
        return [*taken, await _picture(page, PHONE, folder)]


async def _open(page: Page, port: int) -> None:
    """Open the page, with another name for this machine, and wait until all is well."""
    await page.send("Page.enable")
    names = f"{json.dumps(socket.gethostname())}, {json.dumps(HOST)}"
    source = f"""
        const json = Response.prototype.json;
        Response.prototype.json = async function () {{
          return JSON.parse(JSON.stringify(await json.call(this)).replaceAll({names}));
        }};
    """
    await page.send("Page.addScriptToEvaluateOnNewDocument", source=source)
    await page.open(f"http://127.0.0.1:{port}/")
    await page.until("document.querySelectorAll('#workers tbody tr').length === 2")
    await page.until("document.getElementById('verdict').textContent === 'all is well'")


async def _picture(page: Page, screen: Screen, folder: Path) -> Path:
    path = folder / f"{screen.name}.png"
    card = f"document.getElementById('{screen.last}').closest('.card')"
    height = 900
    for _ in range(2):  # the height depends on the width
        await page.look(width=screen.width, scheme=screen.scheme, height=height, scale=screen.scale)
        await page.until("new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(() => drawn(true))))")
        height = MARGIN + int(await page.value(f"{card}.getBoundingClientRect().bottom"))
    await page.screenshot(path, whole=False)
    return path


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0, help="how long the applications call before")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "images")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if not any(map(shutil.which, NAMES)):
        print(f"no browser found: install one of {', '.join(NAMES)}", file=sys.stderr)
        return 1
    options.folder.mkdir(parents=True, exist_ok=True)
    for path in asyncio.run(take(options.seconds, options.folder)):
        path.write_bytes(with_palette(path.read_bytes()))
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
