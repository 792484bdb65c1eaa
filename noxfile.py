"""The client's tests on every Python, protobuf and grpcio that it supports; the server's on its lowest requirements.

`make matrix` runs all of it, `nox --session floors` the latter.

A Python that the machine does not have is skipped, and said so.
`nox --tags ends` runs the two ends only: the lowest versions of all, and the newest ones that are here.
`nox -s legacy` runs tests that were written for discordproxy 1.5.1 against this package; it downloads them first.
"""

import os
import re
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import nox

nox.options.sessions = ["client"]
nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
PROTOBUFS = ("5.29", "6", "7")
GRPCIOS = {"1.71.2": "==1.71.2", "latest": ">1.71.2"}
WITHOUT_WHEEL = {("3.14", "1.71.2")}  # it would be compiled, which takes half an hour

TOOLS = ("hypothesis>=6.130", "pytest>=8.4", "pytest-asyncio>=1", "pytest-timeout>=2.4", "ruff>=0.12", "trustme>=1.1")
# The tests' servers need it; it runs on every protobuf, but asks for one below 6.
HEALTH = "grpcio-health-checking==1.71.2"
TESTS = (
    "tests/unit/client",
    "tests/integration/client",
    "tests/contract/client/test_client_arguments.py",
    "tests/contract/client/test_client_calls.py",
    "tests/contract/client/test_client_docs.py",
    "tests/contract/client/test_client_import.py",
    "tests/contract/client/test_client_surface_1_5_1.py",
)


def offer_all_of_pyenv() -> None:
    """Let pyenv's shims lead to each Python that it has, not only to the chosen one."""
    if pyenv := shutil.which("pyenv"):
        found = subprocess.run([pyenv, "versions", "--bare"], capture_output=True, text=True, check=True).stdout  # noqa: S603 -- a program of this machine
        os.environ["PYENV_VERSION"] = ":".join([*found.split(), "system"])


def is_here(python: str) -> bool:
    """Return whether the machine has a Python; the name alone may be a shim that leads nowhere."""
    found = shutil.which(f"python{python}")
    return found is not None and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0  # noqa: S603 -- a Python of this machine


def versions() -> list[object]:
    """Return every combination that can be installed."""
    offer_all_of_pyenv()
    newest = next((python for python in reversed(PYTHONS) if is_here(python)), PYTHONS[-1])
    ends = {(PYTHONS[0], PROTOBUFS[0], "1.71.2"), (newest, PROTOBUFS[-1], "latest")}
    return [
        nox.param(*found, id="-".join(found), tags=["ends"] if found in ends else [])
        for found in product(PYTHONS, PROTOBUFS, GRPCIOS)
        if (found[0], found[2]) not in WITHOUT_WHEEL
    ]


@nox.session
@nox.parametrize(("python", "protobuf", "grpcio"), versions())
def client(session: nox.Session, protobuf: str, grpcio: str) -> None:
    """Run the client's tests with the versions of a combination."""
    session.install("--quiet", "--editable", ".", f"protobuf=={protobuf}.*", f"grpcio{GRPCIOS[grpcio]}", *TOOLS)
    session.install("--quiet", "--no-deps", HEALTH)
    # The other shared fixtures are about servers; nothing of them is installed here.
    session.run("pytest", "--noconftest", "-p", "unit.client.conftest", "--quiet", *TESTS, *session.posargs)


LEGACY_TESTS = Path("tests/legacy").resolve()
# Whose tests: version, and which of them. Those of 1.5.1 that replace parts of its private `_cli` are left out.
LEGACY = {
    "discordproxy": ("1.5.1", "test_client.py test_exceptions.py test_helpers.py"),
    "aa-discordnotify": ("4.0.1", "discordnotify"),
    "aa-mailrelay": ("2.1.1", "mailrelay"),
    "aa-freight": ("3.1.0", "freight.tests.models.test_contracts_discord"),
}
# The applications' tests use SQLite: the driver of MySQL, which has to be compiled, only has to seem installed.
NO_MYSQL = """\
[build-system]
requires = ["hatchling>=1.26"]
build-backend = "hatchling.build"
[project]
name = "mysqlclient"
version = "2.2.7"
[tool.hatch.build.targets.wheel]
bypass-selection = true
"""


@nox.session
@nox.parametrize("package", list(LEGACY), ids=list(LEGACY))
def legacy(session: nox.Session, package: str) -> None:
    """Run the tests of a package that was written for discordproxy 1.5.1."""
    version, tests = LEGACY[package]
    if package == "discordproxy":
        session.install("--quiet", ".", *TOOLS)
        run_tests_of_1_5_1(session, source_of(session, package, version), tests.split())
        return
    no_mysql = Path(session.create_tmp()) / "mysqlclient"
    no_mysql.mkdir(exist_ok=True)
    (no_mysql / "pyproject.toml").write_text(NO_MYSQL)
    session.install("--quiet", ".[embedded]", no_mysql)
    source = source_of(session, package, version)
    session.install("--quiet", f"{source}[test]", "allianceauth<5")
    # The source of freight has no site to be tested in; that of discordnotify has one.
    site = source_of(session, "aa-discordnotify", LEGACY["aa-discordnotify"][0])
    with session.chdir(source):
        path = os.pathsep.join(map(str, (source, site, LEGACY_TESTS)))
        run = ("python", LEGACY_TESTS / "run_app_tests.py", tests.partition(".")[0], tests)
        session.run(*run, env={"PYTHONPATH": path})


def source_of(session: nox.Session, package: str, version: str) -> Path:
    """Return the folder with the source of a released package, which is downloaded once."""
    folder = Path(session.create_tmp()).resolve()
    name = f"{package.replace('-', '_')}-{version}"
    if not (folder / name).exists():
        download = ("python", "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", package)
        session.run(*download, "--dest", folder, f"{package}=={version}", silent=True)
        shutil.unpack_archive(folder / f"{name}.tar.gz", folder, filter="data")
    return folder / name


def run_tests_of_1_5_1(session: nox.Session, source: Path, tests: list[str]) -> None:
    """Run tests of 1.5.1 beside its own package, with our helpers and factories in place of its own."""
    folder = source.parent / "tests_of_1_5_1"
    folder.mkdir(exist_ok=True)
    for name in tests:
        shutil.copy(source / "discordproxy" / "tests" / name, folder)
    for name in ("factories", "helpers"):
        (folder / f"{name}.py").write_text(f"from discordproxy.tests.{name} import *\n")
    (folder / "__init__.py").touch()
    session.run("pytest", "--quiet", "--rootdir", folder, "--config-file", os.devnull, folder)


SERVER_TESTS = (
    "tests/unit/api",
    "tests/unit/gateway",
    "tests/unit/ratelimit",
    "tests/contract/libraries/test_discord_py.py",
    "tests/contract/lua/test_lua.py",
    "tests/contract/libraries/test_redis_py.py",
    "tests/integration/api/discord/test_failures.py",
    "tests/integration/api/pipeline/test_idempotency.py",
    "tests/integration/ratelimit/test_broker.py",
)
SERVER_TOOLS = ("hypothesis>=6.130", "pytest-cov>=6", "trustme>=1.1")


def floors() -> list[str]:
    """Return the lowest version of everything that the server requires, as pip's constraints."""
    project = nox.project.load_toml("pyproject.toml")["project"]
    extras = project["optional-dependencies"]
    required = [*project["dependencies"], *extras["server"], *extras["embedded"]]
    found = [re.match(r"([A-Za-z0-9_.-]+)>=([0-9.]+)", each) for each in required]
    return [f"{each[1]}=={each[2]}" for each in found if each]


@nox.session(name="floors", python="3.11")
def lowest(session: nox.Session) -> None:
    """Run the server's tests with the lowest version of each requirement."""
    constraints = Path(session.create_tmp(), "floors.txt")
    constraints.write_text("\n".join(floors()))
    session.install("--quiet", "--constraint", str(constraints), "--editable", ".[server,embedded]")
    session.install("--quiet", *TOOLS, *SERVER_TOOLS)
    session.run("pytest", "--quiet", *SERVER_TESTS, *session.posargs)


LIBRARIES = {
    **dict.fromkeys(("discord.py", "py-cord", "nextcord", "disnake", "hikari", "discord-py-interactions")),
    "@discordjs/rest": "2.6",
    "discord.js": "14",
    "@discordeno/rest": "21",
    "oceanic.js": "1",
    "discordgo": "v0.29.0",
}
"""Discord libraries: those with a version are packages of npm, or a module of Go."""

LIBRARIES_OF_CI = ("discord.py", "@discordjs/rest", "discord.js")


@nox.session(python=False)
@nox.parametrize(
    "library",
    [nox.param(name, id=name, tags=["ci"] if name in LIBRARIES_OF_CI else []) for name in LIBRARIES],
)
def libraries(session: nox.Session, library: str) -> None:
    """Run a Discord library against the REST port. The server runs in the environment that nox runs in."""
    folder = Path(".nox", "libraries", library.replace("/", "-")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        interpreter = installed_library(session, library, folder)
    except nox.command.CommandFailed:
        if "CI" in os.environ:
            session.skip(f"{library} could not be installed")
        raise
    session.run(
        sys.executable,
        "tests/libraries/run.py",
        library,
        interpreter,
        "--folder",
        folder,
        *session.posargs,
        env={"PYTHONPATH": "tests"},
        external=True,
    )


def installed_library(session: nox.Session, library: str, folder: Path) -> str | Path:
    """Install a library into a folder; return what runs its programs. A library that is there is kept."""
    if library == "discordgo":
        return installed_discordgo(session, folder)
    if LIBRARIES[library]:
        interpreter = shutil.which("node") or session.skip("node is not installed")
        package = f"{library}@{LIBRARIES[library]}"
        quiet = ("--silent", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
        session.run("npm", "install", *quiet, "--prefix", folder, package, external=True)
        return interpreter
    session.run(sys.executable, "-m", "venv", folder)
    interpreter = folder / "bin" / "python"
    session.run(interpreter, "-m", "pip", "install", "--quiet", library, external=True)
    return interpreter


def installed_discordgo(session: nox.Session, folder: Path) -> Path:
    """Install discordgo; return what compiles a program together with the snippet in the folder, and runs it."""
    go = shutil.which("go") or session.skip("Go is not installed")
    Path(folder, "go.mod").write_text("module program\n")
    with session.chdir(folder):
        module = f"github.com/bwmarrin/discordgo@{LIBRARIES['discordgo']}"
        session.run(go, "get", module, external=True, env={"HOME": str(folder)})  # as its program has
    runner = Path(folder, "compile-and-run")
    runner.write_text('#!/bin/sh\ncp "$1" program.go && go build -o program . && exec ./program\n')
    runner.chmod(0o755)
    return runner


@nox.session(python=False)
def library_commands(session: nox.Session) -> None:
    """Run discord.py beside discord.js, both of which replace their list of commands."""
    node = shutil.which("node") or session.skip("node is not installed")
    python_folder = Path(".nox", "libraries", "discord.py").resolve()
    node_folder = Path(".nox", "libraries", "discord.js").resolve()
    node_folder.mkdir(parents=True, exist_ok=True)
    session.run(sys.executable, "-m", "venv", python_folder)
    python = python_folder / "bin" / "python"
    session.run(python, "-m", "pip", "install", "--quiet", "discord.py", external=True)
    quiet = ("--silent", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
    session.run("npm", "install", *quiet, "--prefix", node_folder, "discord.js@14", external=True)
    session.run(
        *(sys.executable, "tests/libraries/share_commands.py", python, node, "--folder", node_folder),
        env={"PYTHONPATH": "tests"},
        external=True,
    )
