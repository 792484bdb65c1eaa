"""The structure and the vocabulary of the packages: sizes of folders, class names, technical words, docstrings."""

import ast
import builtins
import re
from collections import Counter, defaultdict
from functools import cache
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
QUESTIONS = ("What", "Who", "Whose", "How", "Why", "Which", "Where", "When")

FORMER_FILES = frozenset(
    {
        *("by_bot", "handler_kinds", "memory", "notes", "ops", "outbound", "parent", "parts", "plain_path", "problems"),
        *("report", "turns", "watched", "wire"),
    }
)
"""Names of modules that other words replaced, although the words themselves are fine elsewhere."""

FORMER_WORDS = {
    "abrupt": "connections",
    "beginnings": "fair_start",
    "board": "registry",
    "bury": "reaper",
    "chance": "jitter",
    "deed": "audit entry",
    "deepest": "max",
    "exposure": "bind_policy",
    "flights": "single_flight",
    "fleet": "supervision",
    "gate": "authenticator",
    "goodbye": "deregister",
    "greeting": "banner",
    "leash": "exit_with_parent",
    "longest": "max",
    "manners": "connections",
    "memories": "bucket_cache",
    "obedient": "connections",
    "patience": "timeout",
    "pulse": "heartbeat",
    "pump": "discord_socket",
    "quirks": "legacy_shapes",
    "reach": "targets",
    "stranger": "was_expired",
    "survey": "inspection",
    "tally": "recent_stats",
    "undertaker": "reaper",
    "whereabouts": "channel_locator",
}
"""Words that must not come back as a part of a module's, class's or function's name, and what to write instead."""

FORMER_VERBS = frozenset({"ended", "heed", "leave", "take", "tell", "told"})
"""Names of functions that do not describe an action."""

VAGUE_WORDS = frozenset(
    {"asks", "everybody", "heard", "knows", "nobody", "says", "somebody", "tells", "told", "whoever", "wish"}
)
"""Words for people, which module docstrings must not use for programs."""

ALLOWED = {
    "client/discordproxy/_grpc/fork_gate.py: ForkGate": "a barrier between threads and forks",
    "client/discordproxy/_grpc/fork_gate.py: fork_gate": "the same",
    "gateway_worker/discordproxy_gateway/keys.py: identify_gate": "the key of a lock",
    "sandbox/discordproxy_sandbox/resources/channel/threads.py: leave": "Discord's word for ending a membership",
    "sandbox/discordproxy_sandbox/resources/guild/members.py: leave": "the same",
    "sandbox/discordproxy_sandbox/resources/people.py: leave": "the same",
}
"""Offenders that stay, each with its reason."""


def modules(folder: str) -> list[Path]:
    return sorted(path for path in PACKAGES[folder].rglob("*.py") if "_pb2" not in path.name)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def assert_none(offenders: dict[str, str] | set[str]) -> None:
    """Fail with every offender that is not allowed, one a line."""
    faults = offenders if isinstance(offenders, dict) else dict.fromkeys(offenders, "")
    lines = [
        f"{offender}  ({fault})" if fault else offender
        for offender, fault in sorted(faults.items())
        if offender not in ALLOWED
    ]
    if lines:
        pytest.fail("\n".join([f"{len(lines)} offenders:", *lines]), pytrace=False)


def where(path: Path, name: str) -> str:
    return f"{path.relative_to(ROOT)}: {name}"


def words(name: str) -> list[str]:
    """`_ChannelLocator` and `channel_locator` have the same words."""
    return re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())


def names(path: Path) -> list[str]:
    """The names of a module, of its classes and of its functions."""
    kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return [path.stem, *(node.name for node in ast.walk(tree(path)) if isinstance(node, kinds))]


def classes(folder: str) -> list[tuple[str, Path, ast.ClassDef]]:
    return [
        (node.name, path, node)
        for path in modules(folder)
        for node in tree(path).body
        if isinstance(node, ast.ClassDef)
    ]


@pytest.mark.parametrize("folder", PACKAGES)
def test_a_folder_has_at_most_twelve_modules(folder):
    counts = Counter(str(path.parent.relative_to(ROOT)) for path in modules(folder))
    assert len(counts) > 2
    assert_none({subfolder: f"{count} modules" for subfolder, count in counts.items() if count > MAX_MODULES})


@pytest.mark.parametrize("folder", PACKAGES)
def test_no_name_has_a_former_word(folder):
    offenders = {
        where(path, name): "; ".join(f"{word}: {FORMER_WORDS[word]}" for word in words(name) if word in FORMER_WORDS)
        for path in modules(folder)
        for name in names(path)
        if FORMER_WORDS.keys() & set(words(name))
    }
    offenders |= {where(path, path.stem): "a former file" for path in modules(folder) if path.stem in FORMER_FILES}
    assert_none(offenders)


@pytest.mark.parametrize("folder", PACKAGES)
def test_functions_are_named_for_what_they_do(folder):
    offenders = {where(path, name) for path in modules(folder) for name in names(path) if name in FORMER_VERBS}
    assert_none(offenders)


def test_what_is_allowed_still_exists():
    found = {where(path, name) for folder in PACKAGES for path in modules(folder) for name in names(path)}
    assert ALLOWED.keys() <= found


def test_a_class_name_is_used_once_in_the_server():
    places = defaultdict(set)
    for folder in SERVER:
        for name, path, _ in classes(folder):
            places[name].add(str(path.relative_to(ROOT)))
    assert len(places) > 200
    shared = {name: paths for name, paths in places.items() if len(paths) > 1 and not name.startswith("_")}
    assert_none({name: ", ".join(sorted(paths)) for name, paths in shared.items()})


def test_exceptions_of_the_server_end_in_error():
    known = {name for name in dir(builtins) if name.endswith(("Error", "Exception"))}
    offenders = {
        where(path, name)
        for folder in SERVER
        for name, path, node in classes(folder)
        for base in node.bases
        if isinstance(base, ast.Name) and (base.id in known or base.id.endswith("Error")) and not name.endswith("Error")
    }
    assert_none(offenders)


def first_line_faults(line: str) -> list[str]:
    faults = []
    if not line.endswith("."):
        faults.append("no period at the end")
    if line.split(" ", 1)[0] in QUESTIONS:
        faults.append("begins with a question word")
    return faults


@pytest.mark.parametrize("folder", PACKAGES)
def test_the_first_line_of_a_module_describes_it(folder):
    offenders = {}
    for path in modules(folder):
        if "_sync" in path.parts:
            continue  # generated; its first line names the source
        line = (ast.get_docstring(tree(path)) or "").partition("\n")[0]
        if faults := first_line_faults(line):
            offenders[where(path, line)] = ", ".join(faults)
    assert_none(offenders)


@pytest.mark.parametrize("folder", PACKAGES)
def test_module_docstrings_use_technical_verbs(folder):
    offenders = {
        where(path, ", ".join(sorted(found)))
        for path in modules(folder)
        if (found := VAGUE_WORDS & set(words(ast.get_docstring(tree(path)) or "")))
    }
    assert_none(offenders)
