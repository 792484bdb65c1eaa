"""Prepares the documentation site: `python docs/generate/prepare.py FOLDER`.

Writes the pages of docs/, the generated pages and those files of the repository that are pages into FOLDER/docs, with
links that work on the site, and FOLDER/mkdocs.yml with the complete navigation.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import tomllib
import yaml

from links import normalized, rewritten
from reference import command_page, error_pages, python_pages, rpc_pages, settings_page, table_pages
from sources.contract_source import ROOT

PROJECT = {
    "ARCHITECTURE.md": "project/architecture.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "SECURITY.md": "project/security.md",
    "protos/README.md": "project/contract.md",
    "client/README.md": "project/client.md",
    "ratelimit/README.md": "project/ratelimit.md",
    "gateway_worker/README.md": "project/gateway.md",
    "api_server/README.md": "project/api.md",
    "sandbox/README.md": "project/sandbox.md",
    "deploy/README.md": "project/deploy.md",
}
"""Files of the repository that are pages of the site."""

DESCRIBED = {
    ".env.example": "reference/settings.md",
    "protos/discordproxy/discord_api.proto": "reference/rpc/index.md",
    "api_server/discordproxy_api/status/explain.py": "troubleshooting.md",
    "api_server/discordproxy_api/supervisor.py": "reference/commands.md",
}
"""Files of the repository that a generated page describes: links to them lead to the page."""

NO_PAGES = {"generate"}
"""Folders in docs/ that contain no pages."""

OUTPUT = {"build", "dist", "artifacts", "node_modules"}
"""Folders of the repository that are not part of it."""


@cache
def generated() -> dict[str, str]:
    """Return the generated pages by path."""
    makers = (rpc_pages, python_pages, settings_page, command_page, error_pages, table_pages)
    return {path: text for maker in makers for path, text in maker.pages().items()}


@cache
def by_file() -> dict[str, str]:
    """Return the pages of the site by the path of their file in the repository."""
    docs = {f"docs/{name}": name for name in written()}
    return docs | {path: page for path, page in PROJECT.items() if (ROOT / path).exists()}


def written() -> list[str]:
    """Return the pages in the folder of the documentation."""
    docs = ROOT / "docs"
    paths = (path.relative_to(docs) for path in docs.rglob("*.md"))
    return sorted(path.as_posix() for path in paths if path.parts[0] not in NO_PAGES)


@cache
def targets() -> dict[str, str]:
    """Return the pages of the site by the files of the repository whose links lead to them."""
    found = {f"client/discordproxy/{name}.py": f"reference/python/{name}.md" for name in python_pages.modules()}
    for path in generated():
        if path.startswith("reference/messages/"):
            found[f"protos/discordproxy/{Path(path).stem}.proto"] = path
    return found | DESCRIBED | by_file()


@cache
def in_repository() -> dict[str, bool]:
    """Return the paths of the repository that links may lead to, with whether each is a folder."""
    found: dict[str, bool] = {}
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in OUTPUT and not name.startswith(".")]
        here = Path(folder).relative_to(ROOT)
        found |= {(here / name).as_posix(): True for name in folders}
        found |= {(here / name).as_posix(): False for name in names}
    return found


def repository() -> str:
    """Return the address of the repository."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Homepage"])


def completed(nav: list[Any], known: set[str]) -> list[Any]:
    """Return the navigation with every page that exists, and no other."""
    names = set(_names(nav))
    folders = {name for name in names if name.endswith("/")}
    inside: dict[str, list[str]] = {folder: [] for folder in folders}
    missing: list[str] = []
    for name in sorted(known - names):
        folder = max((folder for folder in folders if name.startswith(folder)), key=len, default="")
        (inside[folder] if folder else missing).append(name)
    nav = _expanded(nav, known, inside)
    return [*nav, {"More": missing}] if missing else nav


def _names(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        for value in nav.values():
            yield from _names(value)
    else:
        for value in nav:
            yield from _names(value)


def _expanded(nav: list[Any], known: set[str], inside: dict[str, list[str]]) -> list[Any]:
    """Replace a folder by its pages, and remove pages that do not exist."""
    found: list[Any] = []
    for entry in nav:
        ((title, value),) = entry.items() if isinstance(entry, dict) else ((None, entry),)
        if isinstance(value, list):
            found.append({title: _expanded(value, known, inside)})
        elif value in inside:
            found += inside[value]
        elif value in known:
            found.append(entry)
    return found


def prepare(folder: Path) -> None:
    """Write the sources of the site into an empty folder."""
    docs = folder / "docs"
    shutil.copytree(ROOT / "docs", docs, ignore=shutil.ignore_patterns("*.md", "__pycache__", *NO_PAGES))
    for path, text in pages().items():
        (docs / path).parent.mkdir(parents=True, exist_ok=True)
        (docs / path).write_text(text, encoding="utf-8")
    (folder / "mkdocs.yml").write_text(configuration(), encoding="utf-8")


def pages() -> dict[str, str]:
    """Return the text of every page by its path."""
    found = dict(generated())
    for source, page in by_file().items():
        text = (ROOT / source).read_text(encoding="utf-8")
        found[page] = rewritten(normalized(text), source, targets(), repository=repository(), exists=in_repository())
    return found


def configuration() -> str:
    """Return the configuration of the site with the complete navigation."""
    settings, _, nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")
    navigation = completed(yaml.safe_load(f"nav:\n{nav}")["nav"], set(pages()))
    return f"{settings}\n{yaml.safe_dump({'nav': navigation}, allow_unicode=True)}"


def main() -> None:
    """Prepare the folder that the command line names."""
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    prepare(folder)


if __name__ == "__main__":
    main()
