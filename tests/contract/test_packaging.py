"""The wheel's contents, and an application's environment without the server's packages."""

import json
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from discordproxy_api.wiring.bot_service import HOMEPAGE
from processes.deployment import COMMANDS
from processes.sandboxed_server import SandboxedServer

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "discordproxy": "client",
    "discordproxy_ratelimit": "ratelimit",
    "discordproxy_gateway": "gateway_worker",
    "discordproxy_api": "api_server",
    "discordproxy_sandbox": "sandbox",
}
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_TARGET"))}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def pip(*arguments: str, python: Path | None = None) -> None:
    """Run pip, for the environment of `python`, which needs none of its own, or for this one."""
    which = ("--python", str(python)) if python else ()
    command = [sys.executable, "-m", "pip", *which, "--disable-pip-version-check", "--no-input", *arguments]
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        env=CLEAN,
        stdin=subprocess.DEVNULL,
        timeout=240,
    )
    if done.returncode:
        reason = f"NOT TESTED, pip {arguments[0]} failed: {done.stderr[-500:]}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of wheel and source distribution, made of the checkout by the build backend of pyproject.toml."""
    folder, backend = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("backend")
    pip("install", "--no-compile", "--target", str(backend), "hatchling>=1.26")
    make = f"from hatchling import build; build.build_wheel({str(folder)!r}); build.build_sdist({str(folder)!r})"
    environment = CLEAN | {"PYTHONPATH": str(backend)}
    subprocess.run([sys.executable, "-c", make], cwd=ROOT, env=environment, check=True, timeout=100)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("discordproxy-*.whl"))


@pytest.fixture(scope="module")
def sdist(built: Path) -> Path:
    return next(built.glob("discordproxy-*.tar.gz"))


@pytest.fixture(scope="module")
def application(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment into which only the client's requirements were installed; its folder of commands."""
    folder = tmp_path_factory.mktemp("application")
    venv.create(folder)
    pip("install", "--no-compile", str(wheel), python=folder / "bin" / "python")
    return folder / "bin"


def run(*command: str | Path, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
        timeout=60,
        **options,
    )


def test_the_wheel_holds_the_five_packages_whole_and_nothing_else(wheel: Path) -> None:
    files = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in files} == set(PACKAGES)
    tracked = run("git", "ls-files", "-co", "--exclude-standard", *PACKAGES.values(), cwd=ROOT).stdout.split()
    inside = {
        path.removeprefix(f"{folder}/")
        for package, folder in PACKAGES.items()
        for path in tracked
        if path.startswith(f"{folder}/{package}/") and (ROOT / path).exists()
    }
    protos = {path.name for path in (ROOT / "protos/discordproxy").glob("*.proto")}
    assert files - inside == {
        f"discordproxy/protos/{name}" for name in ("contract.binpb", *(f"discordproxy/{each}" for each in protos))
    }
    assert inside <= files
    assert {f"{package}/py.typed" for package in PACKAGES} <= files
    assert any(name.endswith(".lua") for name in files)
    assert {f"discordproxy_api/status/page/{name}" for name in ("index.html", "status.js", "status.css")} <= files


def test_the_source_distribution_makes_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    pip("wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(sdist))
    made = zipfile.ZipFile(next(tmp_path.glob("discordproxy-*.whl")))
    straight = zipfile.ZipFile(wheel)
    assert sorted(made.namelist()) == sorted(straight.namelist())
    assert all(made.read(name) == straight.read(name) for name in made.namelist() if not name.endswith("/RECORD"))


def test_the_source_distribution_holds_documents_and_tests(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md", "mkdocs.yml"} <= names
    assert {"docs/start.md", "examples/python/send.py", "tests/conftest.py", "protos/contract.binpb"} <= names
    assert not {name for name in names if name.endswith((".key", ".pem")) or name.startswith((".venv", "build/"))}


def test_a_server_from_the_wheel_sends_a_message(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("w")
    zipfile.ZipFile(wheel).extractall(folder / "unpacked")
    with SandboxedServer(folder, PYTHONPATH=str(folder / "unpacked")) as server:
        message = ("message", "--target", server.target, "channel", "500000000000000001", "Hello")
        sent = subprocess.run(
            [COMMANDS / "discordproxy", *message], env=server.environment, check=False, capture_output=True, text=True
        )
        assert sent.returncode == 0, sent.stderr
        origin = "import discordproxy_api; print(discordproxy_api.__file__)"
        where = subprocess.run(
            [sys.executable, "-c", origin], env=server.environment, check=True, capture_output=True, text=True
        )
        assert str(folder) in where.stdout
        assert len(server.messages()) == 1


def test_the_version_has_its_section_in_the_changelog() -> None:
    from discordproxy import __version__

    heading = next(line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## "))
    assert heading.startswith(f"## [{__version__}]")


def test_the_metadata_lead_to_the_project(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    urls = [line for line in archive.read(name).decode().splitlines() if line.startswith("Project-URL: ")]
    assert {line.split()[1] for line in urls} == {"Homepage,", "Documentation,", "Changelog,", "Issues,"}
    assert all(HOMEPAGE in line for line in urls)


def test_the_description_has_no_relative_links(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    links = re.findall(r"\]\(([^)]+)\)", archive.read(name).decode())
    assert len(links) > 20
    assert [link for link in links if not link.startswith(("https://", "#"))] == []


def test_an_application_gets_grpc_and_protobuf_only(application: Path) -> None:
    program = (
        "import importlib.metadata as found, json; print(json.dumps([each.name for each in found.distributions()]))"
    )
    installed = json.loads(run(application / "python", "-c", program).stdout)
    names = {name.lower().replace("_", "-") for name in installed}
    assert names - {"typing-extensions"} == {"discordproxy", "grpcio", "protobuf"}


@pytest.mark.parametrize(
    "statement",
    [
        "from discordproxy.client import DiscordClient, DiscordProxyTimeoutError; DiscordClient(timeout=30)",
        "from discordproxy.discord_api_pb2 import Embed, SendDirectMessageRequest; Embed(description='x')",
        "from discordproxy.discord_api_pb2_grpc import DiscordApiStub",
        "from discordproxy.exceptions import DiscordProxyException, DiscordProxyHttpError",
        "from discordproxy.helpers import parse_error_details, GrpcErrorDetails",
        "from discordproxy.tests.factories import create_rpc_error; create_rpc_error().code()",
        "from discordproxy import __version__, __title__",
    ],
)
def test_applications_imports_work(statement: str, application: Path, tmp_path: Path) -> None:
    done = run(application / "python", "-W", "error", "-c", statement, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_server_command_says_what_it_needs(application: Path, tmp_path: Path) -> None:
    done = run(application / "discordproxyserver", "--token", "x", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "The server needs more packages: pip install 'discordproxy[server]>=2'\n"


def test_version_and_help_need_no_server(application: Path, tmp_path: Path) -> None:
    version = run(application / "python", "-c", "import discordproxy; print(discordproxy.__version__)", cwd=tmp_path)
    assert run(application / "discordproxyserver", "--version", cwd=tmp_path).stdout == version.stdout
    assert "--log-console-level" in run(application / "discordproxyserver", "--help", cwd=tmp_path).stdout


def test_the_message_command_works_without_the_server_packages(application: Path, tmp_path: Path) -> None:
    done = run(application / "discordproxymessage", "channel", "1", "hi", "--port", "1", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith("ERROR: gRPC error. Status code: UNAVAILABLE")
    assert "Traceback" not in done.stderr
