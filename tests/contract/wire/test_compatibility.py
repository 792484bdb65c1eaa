"""Clients built with any earlier version of the contract keep working: nothing vanishes, nothing changes its type.

`released/` holds the descriptor set of each version that clients may have been generated from. A new file is added with
a release (`cp protos/contract.binpb tests/contract/wire/released/NAME.binpb`); none is ever edited.
"""

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from strategies.contract_changes import facts_of, load

CURRENT = Path(__file__).resolve().parents[3] / "protos/contract.binpb"
RELEASED = sorted((Path(__file__).parent / "released").glob("*.binpb"))
OPTIONS = ["FILE_SAME_CSHARP_NAMESPACE", "FILE_SAME_JAVA_MULTIPLE_FILES", "FILE_SAME_JAVA_PACKAGE"]
"""Options that 2026-11 lacks; test_other_languages.py fixes their values."""
BUF = Path(sys.prefix) / "bin/buf"


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.stem)
def test_nothing_vanishes_or_changes(path):
    old = facts_of(load(path))
    assert len(old.facts) > 1000
    breaking = old.changed_in(facts_of(load(CURRENT)))
    assert not breaking, "breaking changes of the contract:\n" + "\n".join(breaking)


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.stem)
def test_buf_finds_no_breaking_change(path):
    if not BUF.exists():
        pytest.skip(f"NOT CHECKED: buf breaking against {path.stem}; {BUF} is missing")
    config = json.dumps({"version": "v2", "breaking": {"use": ["FILE"], "except": OPTIONS}})
    command = [BUF, "breaking", CURRENT, "--against", path, "--config", config, "--exclude-imports"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def _file(whole, name):
    return next(file for file in whole.file if file.name == f"discordproxy/{name}.proto")


def _message(whole, file, name):
    return next(message for message in _file(whole, file).message_type if message.name == name)


def _service(whole):
    return _file(whole, "discord_api").service[0]


def _renumber(whole):
    _message(whole, "messages", "Message").field[0].number = 999


def _retype(whole):
    _message(whole, "messages", "Message").field[0].type = FieldDescriptorProto.TYPE_INT64


def _rename(whole):
    _message(whole, "messages", "Message").field[0].name = "identifier"


def _repeat(whole):
    _message(whole, "messages", "Message").field[0].label = FieldDescriptorProto.LABEL_REPEATED


def _drop_field(whole):
    del _message(whole, "messages", "Message").field[0]


def _drop_message(whole):
    del _file(whole, "bans").message_type[0]


def _renumber_value(whole):
    _file(whole, "messages").enum_type[0].value[1].number = 77


def _drop_rpc(whole):
    del _service(whole).method[0]


def _stream(whole):
    _service(whole).method[0].server_streaming = True


def _rename_service(whole):
    _service(whole).name = "Api"


def _move(whole):
    _file(whole, "bans").name = "discordproxy/moderation.proto"


CHANGES = [
    (_renumber, "field 1 of discord_api.Message:"),
    (_retype, "field 1 of discord_api.Message:"),
    (_rename, "field 1 of discord_api.Message:"),
    (_repeat, "field 1 of discord_api.Message:"),
    (_drop_field, "field 1 of discord_api.Message: was ("),
    (_drop_message, "message discord_api.Ban: was discordproxy/bans.proto, is missing"),
    (_renumber_value, "value OVERFLOW_SPLIT of discord_api.Overflow: was 1, is 77"),
    (_drop_rpc, "RPC /discord_api.DiscordApi/SendChannelMessage:"),
    (_stream, "RPC /discord_api.DiscordApi/SendChannelMessage:"),
    (_rename_service, "RPC /discord_api.DiscordApi/SendChannelMessage:"),
    (_move, "message discord_api.Ban: was discordproxy/bans.proto, is discordproxy/moderation.proto"),
]


@pytest.mark.parametrize(("change", "line"), CHANGES, ids=[change.__name__ for change, _line in CHANGES])
def test_each_breaking_change_is_found(change, line):
    old = load(RELEASED[0])
    new = copy.deepcopy(old)
    change(new)
    found = facts_of(old).changed_in(facts_of(new))
    assert found
    assert any(each.startswith(line) for each in found)


def test_additions_are_no_breaking_change():
    old = load(RELEASED[0])
    new = copy.deepcopy(old)
    _message(new, "messages", "Message").field.add(name="new", number=999, type=FieldDescriptorProto.TYPE_BOOL)
    _service(new).method.add(name="New", input_type=".discord_api.Empty", output_type=".discord_api.Empty")
    assert facts_of(old).changed_in(facts_of(new)) == []
