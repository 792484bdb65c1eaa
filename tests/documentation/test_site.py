"""The documentation site builds without warnings, its links lead somewhere, and it loads nothing from other hosts."""

import asyncio
import re
import shutil
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from os.path import normpath
from pathlib import Path
from threading import Thread

import pytest
import yaml

import links
import prepare
from fakes.browser import browser_page

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
SHOWN = ("index.html", "reference/rpc/messages.html", "client.html")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The folder of the built site."""
    zensical = shutil.which("zensical", path=Path(sys.executable).parent)
    if not zensical:
        pytest.skip("NOT TESTED: the site is not built without zensical (make site-installed)")
    folder = tmp_path_factory.mktemp("site")
    prepare.prepare(folder)
    command = [zensical, "build", "--strict", "--config-file", str(folder / "mkdocs.yml")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stderr
    return folder / "html"


def test_every_page_is_built(site):
    pages = prepare.pages()
    assert len(pages) > 50
    missing = [path for path in pages if not (site / path).with_suffix(".html").exists()]
    assert missing == []


def test_no_page_loads_anything_from_another_host(site):
    tags = re.compile(r"<(?:script|img|iframe|source|link(?=[^>]*stylesheet))[^>]*?(?:src|href)=\"(?:https?:)?//[^>]*>")
    found = {path.name: tags.findall(path.read_text()) for path in site.rglob("*.html")}
    assert {name: tags for name, tags in found.items() if tags} == {}
    for path in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", path.read_text()), path


async def test_a_browser_requests_this_site_only(site, tmp_path):
    handler = partial(_Quiet, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            base = f"http://127.0.0.1:{server.server_port}/"
            async with browser_page(tmp_path) as page:
                for name in SHOWN:
                    await page.open(base + name)
                    await page.until("document.querySelector('h1') !== null")
                assert [url for url in page.requests if not url.startswith((base, "data:"))] == []
                assert page.problems == []
        finally:
            await asyncio.to_thread(server.shutdown)
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing."""


def test_links_between_pages_lead_to_pages():
    pages = prepare.pages()
    count, broken = 0, []
    for path, text in pages.items():
        plain = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", plain):
            count += 1
            found = normpath(Path(path).parent / target)
            if found not in pages and not (ROOT / "docs" / found).exists():
                broken.append(f"{path}: {target}")
    assert count > 300
    assert broken == []


def test_the_navigation_has_every_page_once():
    navigation = yaml.safe_load(prepare.configuration())["nav"]
    named = list(prepare._names(navigation))
    assert sorted(named) == sorted(prepare.pages())


def test_pages_that_do_not_exist_are_left_out_and_new_ones_appear():
    navigation = [{"A": "a.md"}, {"Part": [{"Gone": "gone.md"}, "folder/"]}]
    assert prepare.completed(navigation, {"a.md", "folder/x.md", "new.md"}) == [
        {"A": "a.md"},
        {"Part": ["folder/x.md"]},
        {"More": ["new.md"]},
    ]


def test_lists_and_tables_are_recognized():
    text = "Text\n- a\n  429. is no list\n- b\n\nText\n| x |\n|---|\n```text\nText\n- c\n```\n"
    assert links.normalized(text) == (
        "Text\n\n- a\n  429\\. is no list\n- b\n\nText\n\n| x |\n|---|\n```text\nText\n- c\n```\n"
    )


def test_links_to_files_that_are_no_pages_lead_to_the_repository(tmp_path):
    text = "[a](../LICENSE) [b](deploy.md#redis) [c](../deploy) `[d](../LICENSE)` ![e](images/e.svg)"
    found = prepare.rewritten(
        text,
        "docs/client.md",
        {"docs/client.md": "client.md", "docs/deploy.md": "deploy.md"},
        repository="https://example.org/r",
        exists={"LICENSE": False, "deploy": True},
    )
    assert found == (
        "[a](https://example.org/r/blob/main/LICENSE) [b](deploy.md#redis) [c](https://example.org/r/tree/main/deploy) "
        "`[d](../LICENSE)` ![e](images/e.svg)"
    )
