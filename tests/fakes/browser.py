"""A headless Chromium, controlled through its DevTools protocol."""

import asyncio
import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from processes.end_with_parent import END_WITH_PARENT

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"),
    *("--disable-extensions", "--disable-default-apps", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
    "--remote-debugging-port=0",
)


class Page:
    """One tab. `problems` collects console errors and warnings, `requests` the requested URLs."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.problems: list[str] = []
        self.requests: list[str] = []

    async def read(self) -> None:
        async for message in self._socket:
            self._heard(json.loads(message.data))

    def _heard(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        match message.get("method"):
            case None:
                future = self._answers.pop(message["id"])
                if not future.done():
                    future.set_result(message)
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case "Runtime.exceptionThrown":
                self.problems.append(json.dumps(parameters["exceptionDetails"]))
            case "Log.entryAdded" if parameters["entry"]["level"] in {"error", "warning"}:
                self.problems.append(parameters["entry"]["text"])

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_str(json.dumps({"id": number, "method": method, "params": parameters}))
        async with asyncio.timeout(30):
            answer = await self._answers[number]
        assert "error" not in answer, answer
        return answer["result"]

    async def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        found = await self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, expression: str, *, within_s: float = 30.0) -> Any:
        """Wait until an expression is true and return its value."""
        async with asyncio.timeout(within_s):
            while not (found := await self.value(expression)):  # noqa: ASYNC110 - a page announces nothing
                await asyncio.sleep(0.05)
        return found

    async def open(self, url: str) -> None:
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.send(f"{domain}.enable")
        await self.send("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def look(self, *, width: int, scheme: str, height: int = 900, scale: float = 1) -> None:
        """Emulate a screen of this size and the colour scheme `light` or `dark`; `scale` is pixels per CSS pixel."""
        mobile = width < 600
        size = {"width": width, "height": height, "deviceScaleFactor": scale}
        await self.send("Emulation.setDeviceMetricsOverride", **size, mobile=mobile)
        await self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """Save the page as PNG, or only the part that is on the screen."""
        taken = await self.send("Page.captureScreenshot", captureBeyondViewport=whole)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(taken["data"]))


def find_chromium() -> str:
    """Return the path of the browser; skip the test without one."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("NOT TESTED in a browser: install chromium (apt-get install chromium)")
    return found


@contextmanager
def browser(profile: Path) -> Iterator[Callable[[], int]]:
    """Run a browser with an empty profile; yields a function that waits for and returns its debugging port."""
    process = subprocess.Popen(
        [*END_WITH_PARENT, find_chromium(), *OPTIONS, f"--user-data-dir={profile}", "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "HOME": str(profile)},
        start_new_session=True,
    )
    try:
        yield partial(_port_of, profile, process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@asynccontextmanager
async def tab_of(port: int) -> AsyncIterator[Page]:
    """A new tab of the browser with this debugging port."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.put("/json/new?about:blank") as answer:
            target = await answer.json(content_type=None)
        async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            page = Page(socket)
            reading = asyncio.create_task(page.read())
            yield page
            reading.cancel()
        async with session.get(f"/json/close/{target['id']}"):
            pass


@asynccontextmanager
async def browser_page(profile: Path) -> AsyncIterator[Page]:
    """A tab of a browser of its own, with an empty profile."""
    with browser(profile) as started:
        async with tab_of(await asyncio.to_thread(started)) as page:
            yield page


def _port_of(profile: Path, process: subprocess.Popen[bytes]) -> int:
    """Return the debugging port, which the browser writes into its profile."""
    file = profile / "DevToolsActivePort"
    deadline = time.monotonic() + 60
    while not (file.exists() and "\n" in file.read_text()):
        assert process.poll() is None, "the browser ended at once"
        assert time.monotonic() < deadline, "the browser does not start"
        time.sleep(0.02)
    return int(file.read_text().splitlines()[0])
