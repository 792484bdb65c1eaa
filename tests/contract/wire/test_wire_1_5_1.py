"""Applications built with discordproxy 1.5.1 keep working: every number, type and value is unchanged."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, message_factory
from hypothesis import given
from hypothesis import strategies as st

from discordproxy import discord_api_pb2
from discordproxy_api.contract.contract import is_list, load_contract
from fakes.every_case import every_case
from strategies.discord_spec import wire_table
from strategies.examples import examples
from strategies.random_messages import messages
from strategies.wire_1_5_1 import PACKAGE, FieldProto, classes, file_proto

TABLE = wire_table("wire compatibility with discordproxy 1.5.1: 157 fields, 4 enums, 3 RPCs, 4 property tests")
POOL = discord_api_pb2.DESCRIPTOR.pool
OLD = classes(TABLE)
NEW = {name: message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in OLD}
FIELDS = [(message, field) for message, fields in TABLE["messages"].items() for field in fields]
BUF = Path(sys.prefix) / "bin/buf"

WIDENED = ("User", "flags")
"""int32 in 1.5.1, int64 here: the same varint; an old client reads the low 32 bits."""


def test_the_table_is_complete():
    assert len(TABLE["messages"]) == 28
    assert len(FIELDS) == 157


@every_case(("message", "name"), FIELDS)
def test_field(message, name):
    old, new = TABLE["messages"][message][name], POOL.FindMessageTypeByName(f"{PACKAGE}.{message}").fields_by_name[name]
    expected = "int64" if (message, name) == WIDENED else old["type"]
    assert new.number == old["number"]
    assert FieldProto.Type.Name(new.type) == f"TYPE_{expected.upper()}"
    assert is_list(new) == (old["label"] == "repeated")
    inner = new.message_type or new.enum_type
    assert (inner.full_name if inner else None) == old.get("type_name")


@pytest.mark.parametrize("name", TABLE["enums"])
def test_enum(name):
    old = TABLE["enums"][name]
    descriptor = POOL.FindEnumTypeByName(f"{PACKAGE}.{name}")
    proto = descriptor_pb2.EnumDescriptorProto()
    descriptor.CopyToProto(proto)
    assert old["values"].items() <= {value.name: value.number for value in descriptor.values}.items()
    assert set(old["reserved"]) <= {each for span in proto.reserved_range for each in range(span.start, span.end + 1)}


@pytest.mark.parametrize("name", TABLE["rpcs"])
def test_rpc(name):
    old, new = TABLE["rpcs"][name], load_contract()[name]
    assert (new.path, new.request.full_name, new.response.full_name) == (old["path"], old["input"], old["output"])
    assert new.streaming is old["server_streaming"] is False


def test_buf_finds_no_breaking_change(tmp_path):
    if not BUF.exists():
        pytest.skip(f"NOT CHECKED: buf breaking; {BUF} is missing")
    new = descriptor_pb2.FileDescriptorSet()
    _add_with_imports(discord_api_pb2.DESCRIPTOR, new)
    old = descriptor_pb2.FileDescriptorSet(file=[file_proto(TABLE)])
    (tmp_path / "new.binpb").write_bytes(new.SerializeToString())
    (tmp_path / "old.binpb").write_bytes(old.SerializeToString())
    config = json.dumps({"version": "v2", "breaking": {"use": ["WIRE"]}})
    command = [BUF, "breaking", "new.binpb", "--against", "old.binpb", "--config", config]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def _add_with_imports(file, to):
    for imported in file.dependencies:
        _add_with_imports(imported, to)
    if file.name not in {known.name for known in to.file}:
        file.CopyToProto(to.file.add())


def _legacy(field):
    """Draw values that both sides support: the widened field within 32 bits, any string for enums."""
    return st.integers(-(2**31), 2**31 - 1) if (field.containing_type.name, field.name) == WIDENED else None


@pytest.mark.parametrize("name", OLD)
@given(data=st.data())
@examples(12)
def test_messages_of_1_5_1_can_be_read(name, data):
    old = data.draw(messages(OLD[name].DESCRIPTOR, choose=_legacy))
    new = NEW[name].FromString(old.SerializeToString(deterministic=True))
    assert _known(new) == _known(old)
    assert new.SerializeToString(deterministic=True) == old.SerializeToString(deterministic=True)


@pytest.mark.parametrize("name", OLD)
@given(data=st.data())
@examples(12)
def test_1_5_1_reads_our_messages_and_returns_them_complete(name, data):
    new = data.draw(messages(NEW[name].DESCRIPTOR, choose=_legacy))
    old = OLD[name].FromString(new.SerializeToString())
    assert _known(old) == _known(new, OLD[name].DESCRIPTOR)
    assert NEW[name].FromString(old.SerializeToString()) == new  # unknown fields survive


def _known(message, of=None):
    """Return the fields of 1.5.1 that are set, nested ones too, as plain values."""
    descriptor = of or message.DESCRIPTOR
    known = {}
    for field in descriptor.fields:
        value = getattr(message, field.name, None)
        if field.name not in TABLE["messages"].get(descriptor.full_name.removeprefix(f"{PACKAGE}."), {}):
            continue
        if field.message_type is None:
            plain = list(value) if is_list(field) else value
        elif is_list(field):
            plain = [_known(each, field.message_type) for each in value]
        else:
            plain = _known(value, field.message_type) if message.HasField(field.name) else None
        if plain or plain == {}:
            known[field.name] = plain
    return known
