"""The status page in a real browser, with more of everything than it has room for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from discordproxy_api.http.pages import StatusPages
from discordproxy_api.status.document import document, queues
from discordproxy_api.status.endpoints import StatusService
from discordproxy_gateway.cache import GatewayState
from discordproxy_ratelimit.circuit import CircuitState
from discordproxy_ratelimit.inspection import AccountState, BucketState
from discordproxy_ratelimit.shared.registry import TICKS, Snapshot
from fakes.browser import Page, browser, tab_of
from unit.api.status.test_status import READY, post

BUILD = Path(__file__).parents[4] / "build"
APPS = [f"app{number:02}" for number in range(11)]
LANES = [
    ["", "bot", f"GET /channels/{{channel_id}}|channel_id={number}", f"b{number}|", 0, 0.0] for number in range(50)
]
BUSY = ["", "bot", "POST /channels/{channel_id}/messages|channel_id=7", "busy|", 3, 4.0]
FAILURES = [
    ["SendChannelMessage", "PERMISSION_DENIED", "DISCORD_ERROR", 403, 50013, 9, 990.0, "app00", "r1"],
    *(["GetChannel", "NOT_FOUND", "DISCORD_ERROR", 404, code, 1, 900.0, "app01", "r2"] for code in range(10003, 10030)),
]


def shown(*, calm: bool) -> dict[str, Any]:
    """A document; `calm`: everything is well and nothing is left out."""
    counts = {f"c:{app}": 20 - number for number, app in enumerate(APPS)} | {"l:4": 20}
    bad = {"x:PERMISSION_DENIED|DISCORD_ERROR|403|50013|app00": 16, "x:UNAVAILABLE|DISCORD_UNREACHABLE|0|0|app01": 15}
    ticks = [{}] * 40 + [counts | ({} if calm else bad)] * (TICKS - 39)
    posts = [post()] if calm else [post(lanes=[BUSY, *LANES], failures=FAILURES, waiting=3)]
    lanes = queues(posts)
    known = {lane.bucket: BucketState(5, 0 if lane.waiting else 5, 1.5, lane.waiting and 1) for lane in lanes}
    account = AccountState(50, 7, 0, 0.0, 1, known)
    names = {("", "channel_id=7"): "#announcements, The Capsuleers of New Eden"}
    return document(
        Snapshot(at=1000.0, documents={}, ticks=ticks, tick_at=1000),
        posts,
        lanes,
        {("", "bot"): account, ("", "ip"): account},
        CircuitState("closed", 0, 0.0),
        {"": GatewayState((READY,), "", 999, 3, 30, ("guilds",))},
        names,
    )


class FixedDocument:
    """Takes the place of the reader of the registry."""

    def __init__(self) -> None:
        self.document = shown(calm=False)

    async def read(self) -> dict[str, Any]:
        return self.document

    async def examine(self) -> list[Any]:
        return []


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The debugging port of the browser of these tests."""
    with browser(tmp_path_factory.mktemp("profile")) as started:
        yield started()


@pytest.fixture
async def page(port: int):
    """A tab with the page of a document, and the document."""
    source = FixedDocument()
    app = web.Application()
    app.add_routes(StatusPages(StatusService(source, source)).routes())
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with tab_of(port) as tab:
        await tab.look(width=390, scheme="light")
        await tab.open(f"http://127.0.0.1:{runner.addresses[0][1]}/")
        await tab.until("document.querySelectorAll('#workers tbody tr').length === 1")
        yield tab, source
        assert tab.problems == []
    await runner.cleanup()


async def top_of(page: Page, selector: str) -> float:
    return await page.value(f"document.querySelector('{selector}').getBoundingClientRect().top + scrollY")


async def visible(page: Page, selector: str) -> bool:
    return await page.value(f"document.querySelector('{selector}').checkVisibility()")


async def test_a_phone_shows_first_what_is_wrong(page) -> None:
    tab, _ = page
    text = await tab.value("document.body.innerText")
    assert "all is well" not in text
    assert "19 % of the calls failed in five minutes (651 of 3465)" in text
    assert "needs attention" in text
    tiles, errors, calls, buckets = [
        await top_of(tab, selector) for selector in ("#tiles", "#errors-card", "#calls", "#buckets")
    ]
    assert tiles < errors < calls < buckets
    assert "#announcements, The Capsuleers of New Eden" in text
    assert await tab.value("document.querySelectorAll('#buckets tbody tr').length") == 1, "only those in use"
    assert not await visible(tab, "#idle table")
    assert await tab.value("document.documentElement.scrollWidth") == 390
    BUILD.mkdir(exist_ok=True)
    await tab.screenshot(BUILD / "page-390-light.png")


async def test_what_is_left_out_is_said_and_can_be_unfolded(page) -> None:
    tab, source = page
    for fold, summary in (("idle-fold", "50 idle buckets"), ("errors-fold", "and 25 other kinds of error")):
        assert await tab.value(f"document.querySelector('#{fold} summary').innerText") == summary
        await tab.value(f"document.getElementById('{fold}').open = true")
    assert (await tab.value("document.getElementById('idle').innerText")).endswith("and 11 more")
    assert (await tab.value("document.getElementById('more-errors').innerText")).endswith("and 8 more")
    row = "document.querySelector('#apps tbody tr:last-child').innerText.replace(/\\s+/g, ' ').trim()"
    assert await tab.value(row) == f"and 3 more {sum(20 - n for n in (8, 9, 10)) * 21} 0"
    rounds = await tab.value("document.body.dataset.rounds")
    await tab.until(f"document.body.dataset.rounds > {rounds}")
    assert await visible(tab, "#idle table"), "a refresh must not fold what was unfolded"
    BUILD.mkdir(exist_ok=True)
    for width, scheme in ((390, "dark"), (1280, "light"), (1280, "dark")):
        await tab.look(width=width, scheme=scheme)
        await tab.screenshot(BUILD / f"page-full-{width}-{scheme}.png")
        assert await tab.value("document.documentElement.scrollWidth") == width
    source.document = shown(calm=True)
    await tab.until("document.getElementById('errors-card').hidden")
    assert not await visible(tab, "#idle-fold")


async def test_every_series_has_a_colour_of_its_own(page) -> None:
    tab, _ = page
    await tab.look(width=1280, scheme="light")
    colours = await tab.value(
        "[...document.querySelectorAll('#calls .legend rect')].map((mark) => getComputedStyle(mark).fill)"
    )
    names = (await tab.value("document.querySelector('#calls .legend').innerText")).split()
    assert names == [*APPS[:8], "others"]
    assert len(set(colours)) == len(colours) == 9


async def test_marks_of_a_text_are_shown_as_such(page) -> None:
    tab, _ = page
    for place in ("errors", "problems"):
        assert "`" not in await tab.value(f"document.getElementById('{place}').innerText")
        codes = await tab.value(f"[...document.querySelectorAll('#{place} code')].map((code) => code.innerText)")
        assert "discordproxy doctor --channel ID" in codes


async def test_a_calm_day(page) -> None:
    tab, source = page
    source.document = shown(calm=True)
    await tab.until("document.getElementById('verdict').innerText === 'all is well'")
    for selector in ("#errors-card", "#limited-card", "#problems"):
        assert not await visible(tab, selector)
    BUILD.mkdir(exist_ok=True)
    await tab.screenshot(BUILD / "page-calm-390-light.png")
