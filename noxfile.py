"""The client's tests on every Python, protobuf and grpcio that it supports; `make matrix` runs all of it.

A Python that the machine does not have is skipped, and said so.
`nox --tags ends` runs the two ends only: the lowest versions of all, and the newest ones that are here.
"""

import os
import shutil
import subprocess
from itertools import product

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
PROTOBUFS = ("5.29", "6", "7")
GRPCIOS = {"1.71.2": "==1.71.2", "latest": ">1.71.2"}
WITHOUT_WHEEL = {("3.14", "1.71.2")}  # it would be compiled, which takes half an hour

TOOLS = ("pytest>=8.4", "pytest-asyncio>=1", "pytest-timeout>=2.4", "ruff>=0.12")
# The tests' servers need it; it runs on every protobuf, but asks for one below 6.
HEALTH = "grpcio-health-checking==1.71.2"
TESTS = (
    "tests/unit/client",
    "tests/integration/client",
    "tests/contract/test_client_arguments.py",
    "tests/contract/test_client_calls.py",
    "tests/contract/test_client_docs.py",
    "tests/contract/test_client_import.py",
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
    # The shared fixtures are about servers; nothing of them is installed here.
    session.run("pytest", "--noconftest", "--quiet", *TESTS, *session.posargs)
