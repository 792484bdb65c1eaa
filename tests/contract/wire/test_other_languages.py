"""The contract compiles for other languages, and programs in them call the proxy."""

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from discordproxy import discord_api_pb2 as pb
from fakes.scripted_proxy import scripted_proxy

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = Path(__file__).parent / "languages"
PROTOC = ROOT / ".venv-protoc/bin/python"
NODE_MODULES = ROOT / ".typescript/node_modules"
OWN_PACKAGE = "example.org/client"

SENT = {"id": "7", "isText": True, "status": 200}
"""The program's output for the scripted responses."""


def require(language: str, paths: Iterable[object], how: str) -> None:
    """Skip the test with a message if a tool is missing."""
    if missing := [str(path) for path in paths if not shutil.which(str(path)) and not Path(str(path)).exists()]:
        pytest.skip(f"NOT TESTED: {language} clients; {', '.join(missing)} is missing. {how}")


def run(*command: object, cwd: Path) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, f"{' '.join(words[:4])} ...\n{done.stdout}{done.stderr}"
    return done.stdout


def generate(*arguments: object) -> None:
    sources = sorted((ROOT / "protos/discordproxy").glob("*.proto"))
    run(PROTOC, "-m", "grpc_tools.protoc", f"-I{ROOT / 'protos'}", *arguments, *sources, cwd=ROOT)


def answers_of(program: Iterable[object], cwd: Path) -> tuple[dict[str, object], list[object]]:
    """Run a program against scripted responses; return its output, and the requests that arrived."""
    with scripted_proxy() as proxy:
        proxy.script("SendChannelMessage", pb.SendChannelMessageResponse(message=pb.Message(id=7)))
        proxy.script("GetChannel", pb.ChannelResponse(channel=pb.Channel(id=5, type="GUILD_TEXT")))
        proxy.script("Request", pb.ApiResponse(status=200, body=b"{}"))
        output = run(*program, proxy.address, cwd=cwd)
        return json.loads(output), [each.request for each in proxy.received]


def requests(content: str) -> list[object]:
    return [
        pb.SendChannelMessageRequest(
            channel_id=2**62, content=content, components=[pb.Component(type="TEXT_DISPLAY", content="x")]
        ),
        pb.ChannelId(channel_id=5),
        pb.ApiRequest(method="GET", path="/users/@me"),
    ]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_typescript(tmp_path):
    require("TypeScript", ["node", PROTOC, NODE_MODULES], "`make languages` installs them; Node 20 is required.")
    for name in ("call.ts", "tsconfig.json"):
        shutil.copy(PROGRAMS / name, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    (tmp_path / "gen").mkdir()
    plugin = NODE_MODULES / ".bin/protoc-gen-es"
    options = "--es_opt=target=ts,import_extension=js"
    generate(f"--plugin=protoc-gen-es={plugin}", f"--es_out={tmp_path / 'gen'}", options)
    run(NODE_MODULES / ".bin/tsc", "--project", tmp_path, cwd=tmp_path)
    found, received = answers_of(["node", "out/call.js"], tmp_path)
    assert (found, received) == (SENT, requests("from TypeScript"))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_go(tmp_path):
    require("Go", ["go", "protoc-gen-go", "protoc-gen-go-grpc", PROTOC], "Install Go and both plugins.")
    module = "module=github.com/discordproxy/discordproxy"
    shutil.copy(PROGRAMS / "call.go", tmp_path)
    generate(f"--go_out={tmp_path}", f"--go_opt={module}", f"--go-grpc_out={tmp_path}", f"--go-grpc_opt={module}")
    run("go", "mod", "init", OWN_PACKAGE, cwd=tmp_path)
    run("go", "mod", "tidy", cwd=tmp_path)
    run("go", "vet", "./...", cwd=tmp_path)
    run("go", "build", "-o", "call", ".", cwd=tmp_path)
    found, received = answers_of(["./call"], tmp_path)
    assert (found, received) == (SENT, requests("from Go"))


def own_files():
    whole = FileDescriptorSet.FromString((ROOT / "protos/contract.binpb").read_bytes())
    return [file for file in whole.file if file.name.startswith("discordproxy/")]


@pytest.mark.parametrize("file", own_files(), ids=lambda file: file.name)
def test_every_file_has_the_options_of_the_languages(file):
    options = file.options
    assert options.go_package == "github.com/discordproxy/discordproxy/go/discordproxy;discordproxy"
    assert (options.java_package, options.java_multiple_files) == ("io.github.discordproxy", True)
    assert options.csharp_namespace == "DiscordProxy"


JAVA_OBJECT = {"getClass", "hashCode", "notify", "notifyAll", "toString", "wait", "equals", "clone", "finalize"}
CONNECT_AND_PYTHON = {"constructor", "then", "close", "import", "from", "await", "async"}


def test_no_rpc_has_a_name_that_generators_reserve():
    service = pb.DESCRIPTOR.services_by_name["DiscordApi"]
    names = [method.name[0].lower() + method.name[1:] for method in service.methods]
    assert not (JAVA_OBJECT | CONNECT_AND_PYTHON) & set(names)
    assert len(set(map(str.lower, names))) == len(names)


def test_no_field_and_no_type_differ_in_case_only():
    """Go, Java and C# turn the names of fields and nested types into identifiers of one style."""
    twice = []
    for file in own_files():
        pending = [(file.package, message) for message in file.message_type]
        while pending:
            outer, message = pending.pop()
            name = f"{outer}.{message.name}"
            plain = [field.name.replace("_", "").lower() for field in message.field]
            twice += [f"{name}.{each}" for each in plain if plain.count(each) > 1]
            pending += [(name, inner) for inner in message.nested_type]
    assert twice == []
