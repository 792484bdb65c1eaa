"""The programs of examples/ run against a server with the sandbox. test_django_example.py runs the site."""

import os
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import promql_parser
import pytest
import yaml

from contract.test_operations import SUFFIXES, exported
from documentation import companions
from documentation.snippets import ROOT
from processes.deployment import COMMANDS
from processes.sandboxed_server import SandboxedServer

pytestmark = pytest.mark.timeout(300)

EXAMPLES = ROOT / "examples"
NODE = ROOT / ".node" / "node_modules"
COVERED = {"django", "python", "shell", "node", "typescript", "go", "grafana"}


@pytest.fixture(scope="module")
def server(tmp_path_factory, valkey_binary):
    with SandboxedServer(tmp_path_factory.mktemp("s")) as running:
        yield running


@pytest.fixture
def sent(server):
    """The number of messages that the example has sent, so far."""
    before = len(server.messages())
    return lambda: len(server.messages()) - before


def run(server, *command, folder):
    environment = {
        "PATH": f"{COMMANDS}:{os.environ['PATH']}",
        "HOME": str(folder),
        "DISCORDPROXY_TARGET": server.target,
        "REST_URL": server.rest_url,
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("name", "count"), [("send.py", 2), ("send_async.py", 10), ("raw_grpc.py", 1)])
def test_python(name, count, server, sent, tmp_path):
    output = run(server, sys.executable, "-W", "error", EXAMPLES / "python" / name, folder=tmp_path)
    assert output.startswith("sent ")
    assert sent() == count


def test_events_are_answered_once_across_restarts(server, sent, tmp_path):
    environment = {"PATH": os.environ["PATH"], "DISCORDPROXY_TARGET": server.target}
    page = SimpleNamespace(folder=tmp_path, environment=environment)

    def write(content):
        server.control(
            "world", do="write", channel_id=companions.CHANNEL, user_id="200000000000000002", content=content
        )

    program = (EXAMPLES / "python" / "follow_events.py").read_text()
    with companions.Program(page, program) as process:
        process.until(lambda: process.lines == ["following\n"])
        write("!ping")
        process.until(lambda: sent() == 1)
        cursor = tmp_path / "cursor.txt"
        process.until(lambda: cursor.exists() and cursor.read_text())
    write("!ping")
    with companions.Program(page, program) as process:
        process.until(lambda: sent() == 2)


def test_shell(server, sent, tmp_path):
    output = run(server, EXAMPLES / "shell" / "send.sh", folder=tmp_path)
    assert '"content":"Hello from curl"' in output.replace(": ", ":")
    assert sent() == 1


def node() -> str:
    """Return the path of node; skip the test without it or the packages."""
    found = shutil.which("node")
    if not found or not NODE.exists():
        pytest.skip("NOT TESTED: node and its packages are missing (make node-installed)")
    return found


def test_node(server, sent, tmp_path):
    command = node()
    folder = tmp_path / "examples" / "node"
    shutil.copytree(EXAMPLES / "node", folder)
    (tmp_path / "node_modules").symlink_to(NODE)
    (tmp_path / "protos").symlink_to(ROOT / "protos")
    assert re.fullmatch(r"\d+\n", run(server, command, folder / "send.mjs", folder=folder))
    assert sent() == 1


def test_typescript(server, sent, tmp_path):
    command = node()
    folder = tmp_path / "typescript"
    shutil.copytree(EXAMPLES / "typescript", folder)
    (folder / "node_modules").symlink_to(NODE)
    path = f"{NODE / '.bin'}:{os.environ['PATH']}"
    generate = [COMMANDS / "buf", "generate", ROOT / "protos"]
    done = subprocess.run(
        generate, cwd=folder, env={"PATH": path, "HOME": str(folder)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    run(server, command, NODE / "typescript" / "bin" / "tsc", folder=folder)
    assert re.fullmatch(r"\d+\n", run(server, command, "build/send.js", folder=folder))
    assert sent() == 1


def test_go(server, sent, tmp_path):
    if not all(map(shutil.which, ("go", "protoc", "protoc-gen-go", "protoc-gen-go-grpc"))):
        pytest.skip("NOT TESTED: examples/go needs go, protoc, protoc-gen-go and protoc-gen-go-grpc")
    folder = tmp_path / "examples" / "go"
    shutil.copytree(EXAMPLES / "go", folder)
    (tmp_path / "protos").symlink_to(ROOT / "protos")
    script = re.search(r"```bash\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)[1]
    steps = "\n".join(line for line in script.splitlines() if not line.startswith("go install"))
    run(server, "bash", "-euc", steps, folder=folder)
    assert sent() == 1


def test_the_grafana_alert_uses_existing_metrics():
    document = yaml.safe_load((EXAMPLES / "grafana" / "alert.yaml").read_text())
    (rule,) = document["groups"][0]["rules"]
    steps = {step["refId"]: step["model"] for step in rule["data"]}
    assert steps[rule["condition"]]["expression"] in steps
    expression = steps["A"]["expr"]
    promql_parser.parse(expression)
    known = {
        name.removesuffix("_total") + suffix for name, (kind, _) in exported().items() for suffix in SUFFIXES[kind]
    }
    used = set(re.findall(r"discordproxy_\w+", expression))
    assert used
    assert used <= known


def test_every_example_is_run():
    assert {path.name for path in EXAMPLES.iterdir() if path.is_dir()} == COVERED
    readme = (EXAMPLES / "README.md").read_text()
    assert all(f"[{name}]({name})" in readme for name in COVERED)
