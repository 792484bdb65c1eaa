"""Importing the client is cheap and loads only gRPC, protobuf and the standard library."""

import subprocess
import sys

import pytest


def run(code):
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stderr == ""
    return process.stdout


def packages_after(imports):
    return set(run(f"import {imports}, sys; print(*(name.partition('.')[0] for name in sys.modules))").split())


def test_client_adds_nothing_to_grpc_and_protobuf():
    client = packages_after("discordproxy.client, discordproxy.aio, discordproxy.builders, discordproxy.snowflakes")
    known = packages_after("grpc, google.protobuf") | set(sys.stdlib_module_names) | {"discordproxy"}
    assert client <= known


def test_version_needs_nothing():
    assert (
        run("import discordproxy, sys; print(discordproxy.__title__, 'grpc' in sys.modules)") == "Discord Proxy False\n"
    )


@pytest.mark.parametrize("module", ["unittest.mock", "argparse", "random", "discordproxy.testing"])
def test_rarely_needed_modules_wait(module):
    assert run(f"import discordproxy.client, sys; print({module!r} in sys.modules)") == "False\n"
