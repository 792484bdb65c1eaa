"""Every code block of README and docs runs against a server with the sandbox, is parsed, or has a reason why not."""

import ast
import configparser
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from io import StringIO

import pytest
import tomllib
import yaml
from dotenv import dotenv_values

from documentation import companions
from documentation.snippets import ROOT, documents, snippets, snippets_of
from processes.deployment import COMMANDS
from processes.sandboxed_server import DOCUMENTED, SandboxedServer

pytestmark = pytest.mark.timeout(300)

CURL = 'curl() { command curl --silent --show-error --fail-with-body "$@"; }'
"""Without options, curl ends successfully if the server refuses the request."""

NODE = ROOT / ".node" / "node_modules"
FENCE = re.compile(r"^ *```", re.MULTILINE)
PAGES = {str(path.relative_to(ROOT)): path for path in documents()}


def of(check):
    """Return the pages that have a block that is checked in this way."""
    return [name for name, path in PAGES.items() if any(each.check == check for each in snippets_of(path))]


def pages(*checks):
    return sorted({name for check in checks for name in of(check)})


@pytest.fixture(scope="module")
def server(tmp_path_factory, valkey_binary):
    with SandboxedServer(tmp_path_factory.mktemp("s")) as running:
        yield running


@pytest.fixture
def count(record_property):
    """Count a block for the summary."""
    counts = Counter()
    yield lambda check: counts.update([check])
    record_property("snippets", dict(counts))


def test_every_block_is_checked_or_has_a_reason():
    found = snippets()
    assert len(found) > 30
    assert [f"{each.place}: {each.language or 'no language'}" for each in found if not each.check] == []
    assert [each.place for each in found if each.kind == "with" and each.text not in companions.ALL] == []
    fences = Counter(str(path.relative_to(ROOT)) for path in documents() for _ in FENCE.findall(path.read_text()))
    assert fences == {name: 2 * number for name, number in Counter(each.page for each in found).items()}


def test_blocks_that_are_not_run(count):
    for each in snippets():
        if each.check in {"not run", "text"}:
            assert each.check == "text" or len(each.text) > 8
            count(each.check)


@pytest.mark.parametrize("name", pages("python", "shell"))
def test_programs(name, server, tmp_path, monkeypatch, count):
    with contextlib.closing(Page(server, tmp_path, monkeypatch)) as page:
        for snippet in snippets_of(PAGES[name]):
            if snippet.check in {"python", "shell"} or snippet.kind == "with":
                page.run(snippet)
                count("run")


class Page:
    """Runs the programs of one page in their order: Python in one namespace, shell in one folder."""

    def __init__(self, server, folder, monkeypatch):
        self.server, self.folder, self.ports = server, folder, server.ports
        self.opened = []
        self.output = ""
        for name in ("venv", ".venv"):
            (folder / name).symlink_to(sys.prefix)
        self.names = {"__name__": "__main__"}
        self.state = folder / "state.sh"
        self.state.touch()
        monkeypatch.chdir(folder)
        monkeypatch.setenv("DISCORDPROXY_TARGET", server.target)
        monkeypatch.setenv("DISCORDPROXY_APP", "docs")

    def close(self):
        for each in self.opened:
            each.close()

    def with_ports(self, code, ports):
        for documented, name in DOCUMENTED.items():
            code = code.replace(documented, str(ports[name]))
        return code

    def run(self, snippet):
        if snippet.kind == "with":
            companions.ALL[snippet.text](self, snippet.code)
            return
        code = self.with_ports(snippet.code, self.ports)
        if keys := re.findall(r"^dpk_\S+", self.output, re.MULTILINE):
            code = code.replace("dpk_...", keys[-1])
        if snippet.check == "python":
            exec(compile(code, snippet.place, "exec"), self.names)
        else:
            self.shell(code, snippet.place)

    def shell(self, code, place="companion"):
        """Run a script with the variables and in the folder that the previous one left."""
        script = f'source "{self.state}"\n{CURL}\n{code}\nexport -p > "{self.state}"\n'
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{place}: {done.stdout}{done.stderr}"
        self.output += done.stdout

    @property
    def environment(self):
        return {
            "PATH": f"{COMMANDS}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "DISCORDPROXY_TARGET": self.server.target,
            "XDG_RUNTIME_DIR": self.server.environment["XDG_RUNTIME_DIR"],
        }


@pytest.mark.parametrize("name", pages("javascript"))
def test_javascript(name, server, tmp_path, count):
    node = shutil.which("node")
    if not node or not NODE.exists():
        pytest.skip("NOT TESTED: node and its packages are missing (make node-installed)")
    (tmp_path / "node_modules").symlink_to(NODE)
    for snippet in snippets_of(PAGES[name]):
        if snippet.check == "javascript":
            program = tmp_path / f"line_{snippet.line}.mjs"
            program.write_text(server.in_place(snippet.code))
            done = subprocess.run([node, program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, f"{snippet.place}: {done.stdout}{done.stderr}"
            count("run")


def test_configurations_are_valid(count):
    for snippet in snippets():
        if snippet.check == "parsed":
            try:
                parse(snippet)
            except (ValueError, yaml.YAMLError, configparser.Error, AssertionError) as error:
                pytest.fail(f"{snippet.place}: {error}")
            count("parsed")


def parse(snippet):
    if snippet.language == "toml":
        tomllib.loads(snippet.code)
    elif snippet.language == "json":
        json.loads(snippet.code)
    elif snippet.language == "yaml":
        assert yaml.safe_load(snippet.code)
    elif snippet.code.startswith("["):
        configparser.RawConfigParser(strict=False).read_string(snippet.code)
    else:
        values = dotenv_values(stream=StringIO(snippet.code))
        assert values
        assert None not in values.values(), values


def test_shown_files_contain_the_blocks(count):
    for snippet in snippets():
        if snippet.check == "from":
            path = ROOT / snippet.text
            files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
            texts = [each.read_text() for each in files if each.suffix != ".pyc"]
            assert texts, f"{snippet.place}: {snippet.text} does not exist"
            assert any(words(snippet.code) in words(text) for text in texts), f"{snippet.place}: not in {snippet.text}"
            count("from a tested file")


def words(text):
    """Return a text without its line breaks and indentation: a block may be shown without those around it."""
    return " ".join(text.split())


def test_python_blocks_that_are_not_run_can_be_compiled():
    for snippet in snippets():
        if snippet.language in {"python", "py"}:
            ast.parse(snippet.code if not snippet.code.startswith(" ") else f"if True:\n{snippet.code}")
