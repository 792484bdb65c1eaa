"""The structure of the packages: rooms of at most twelve modules, one class per name, exceptions that end in Error."""

import ast
import builtins
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    folder: ROOT / folder / package
    for folder, package in (
        ("client", "discordproxy"),
        ("ratelimit", "discordproxy_ratelimit"),
        ("gateway_worker", "discordproxy_gateway"),
        ("api_server", "discordproxy_api"),
        ("sandbox", "discordproxy_sandbox"),
    )
}
SERVER = ("ratelimit", "gateway_worker", "api_server")
MAX_MODULES = 12
FORMER_WORDS = {
    *("manners", "patience", "board", "notes", "pulse", "undertaker", "memory", "survey", "report", "parent", "leash"),
    *("turns", "beginnings", "tally", "quirks", "exposure", "by_bot", "handler_kinds", "problems", "ops", "flights"),
    *("gate", "reach", "whereabouts", "plain_path", "watched", "deed", "fleet", "greeting", "pump", "parts", "steady"),
    *("outbound", "wire"),
}
"""File names that were replaced by the field's words."""


def modules(folder: str) -> list[Path]:
    return [path for path in PACKAGES[folder].rglob("*.py") if "_pb2" not in path.name]


def classes(folder: str) -> list[tuple[str, Path, ast.ClassDef]]:
    found = []
    for path in modules(folder):
        tree = ast.parse(path.read_text())
        found += [(node.name, path, node) for node in tree.body if isinstance(node, ast.ClassDef)]
    return found


@pytest.mark.parametrize("folder", PACKAGES)
def test_a_room_has_at_most_twelve_modules(folder):
    rooms = defaultdict(list)
    for path in modules(folder):
        rooms[path.parent].append(path.name)
    assert len(rooms) > 2
    crowded = {str(room.relative_to(ROOT)): len(names) for room, names in rooms.items() if len(names) > MAX_MODULES}
    assert not crowded


@pytest.mark.parametrize("folder", PACKAGES)
def test_no_module_has_a_former_name(folder):
    assert not sorted({path.stem for path in modules(folder)} & FORMER_WORDS)


def test_a_class_name_is_used_once_in_the_server():
    places = defaultdict(set)
    for folder in SERVER:
        for name, path, _ in classes(folder):
            places[name].add(str(path.relative_to(ROOT)))
    assert len(places) > 200
    assert not {name: sorted(paths) for name, paths in places.items() if len(paths) > 1 and not name.startswith("_")}


def test_exceptions_of_the_server_end_in_error():
    known = {name for name in dir(builtins) if name.endswith(("Error", "Exception"))}
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for folder in SERVER
        for name, path, node in classes(folder)
        for base in node.bases
        if isinstance(base, ast.Name) and (base.id in known or base.id.endswith("Error")) and not name.endswith("Error")
    ]
    assert not wrong


@pytest.mark.parametrize("folder", PACKAGES)
def test_the_first_line_of_a_module_describes_it(folder):
    for path in modules(folder):
        if path.parent.name == "_sync":
            continue  # generated; its first line names the source
        text = ast.get_docstring(ast.parse(path.read_text()))
        assert text, path
        assert text.splitlines()[0].endswith((".", ":")), path
