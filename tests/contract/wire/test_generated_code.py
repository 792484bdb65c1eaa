"""The client's generated code matches the contract's sources."""

import filecmp
import importlib
import importlib.util
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROTOC = ROOT / ".venv-protoc/bin/python"
STUBS = ROOT / ".venv-mypyproto/bin"
GENERATED = sorted(path.name for path in (ROOT / "client/discordproxy").glob("*_pb2*"))


def _generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "protos/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_sources_have_not_changed_since_the_generation():
    generator = _generator()
    assert generator.RECORD.read_text().strip() == generator.fingerprint(), "the contract was edited: run `make protos`"


def test_another_generation_changes_nothing(tmp_path):
    if not (PROTOC.exists() and STUBS.exists()):
        pytest.skip(
            f"NOT CHECKED: {len(GENERATED)} generated files against the contract; `make protos` makes the venvs"
        )
    _generator().generate(tmp_path, str(PROTOC), STUBS)
    again = tmp_path / "discordproxy"
    assert sorted(path.name for path in again.iterdir()) == GENERATED
    _same, different, errors = filecmp.cmpfiles(ROOT / "client/discordproxy", again, GENERATED, shallow=False)
    assert (different, errors) == ([], [])
    assert filecmp.cmp(ROOT / "protos/contract.binpb", tmp_path / "contract.binpb", shallow=False)


@pytest.mark.parametrize("name", [name for name in GENERATED if name.endswith(".py")])
def test_module_imports(name):
    importlib.import_module(f"discordproxy.{name.removesuffix('.py')}")


def test_one_module_contains_every_message():
    from discordproxy import discord_api_pb2

    for path in (ROOT / "protos/discordproxy").glob("*.proto"):
        if path.stem not in {"annotations", "console"}:
            part = importlib.import_module(f"discordproxy.{path.stem}_pb2")
            for name in part.DESCRIPTOR.message_types_by_name:
                assert getattr(discord_api_pb2, name) is getattr(part, name)
            for name in part.DESCRIPTOR.enum_types_by_name:
                assert hasattr(discord_api_pb2, name)


def test_every_rpc_is_described():
    """The comments become docstrings of the stub and documentation in other languages."""
    files = ("discord_api.proto", "console.proto")
    lines = [line for name in files for line in (ROOT / "protos/discordproxy" / name).read_text().splitlines()]
    bare = [line for before, line in pairwise(lines) if line.startswith("  rpc ") and not before.startswith("  // ")]
    assert bare == []


def test_other_languages_have_their_options():
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    whole = FileDescriptorSet.FromString((ROOT / "protos/contract.binpb").read_bytes())
    files = {file.name: file for file in whole.file}
    assert {f"{service.package}.{each.name}" for service in whole.file for each in service.service} == {
        "discord_api.DiscordApi",
        "discordproxy.Console",
    }
    for path in (ROOT / "protos/discordproxy").glob("*.proto"):  # protoc-gen-go requires the option in each file
        assert files[f"discordproxy/{path.name}"].options.go_package.endswith(";discordproxy")
    assert all(name in files for file in whole.file for name in file.dependency)
