"""Breaking changes between two versions of the contract, given as descriptor sets."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet

PACKAGES = frozenset({"discord_api", "discordproxy"})


class Facts(NamedTuple):
    """The part of a descriptor set that old clients and generated code rely on, by a readable name."""

    facts: dict[str, Any]

    def changed_in(self, new: "Facts") -> list[str]:
        """Return a line for each fact that is missing or different in a newer version."""
        return [
            f"{name}: was {old}, is {new.facts.get(name, 'missing')}"
            for name, old in self.facts.items()
            if new.facts.get(name) != old
        ]


def load(path: Path) -> FileDescriptorSet:
    """Return the descriptor set of a file."""
    return FileDescriptorSet.FromString(path.read_bytes())


def facts_of(whole: FileDescriptorSet) -> Facts:
    """Return the facts of the contract's own files."""
    facts: dict[str, Any] = {}
    for file in whole.file:
        if file.package in PACKAGES:
            facts |= _file(file)
    return Facts(facts)


def _file(file: Any) -> Iterator[tuple[str, Any]]:
    for message in file.message_type:
        yield from _message(message, file.package, file.name)
    for enum in file.enum_type:
        yield from _enum(enum, file.package, file.name)
    for field in file.extension:
        yield f"annotation {file.package}.{field.name}", (field.number, field.extendee, *_kind(field))
    for service in file.service:
        for method in service.method:
            types = (method.input_type, method.output_type)
            streaming = (method.client_streaming, method.server_streaming)
            yield f"RPC /{file.package}.{service.name}/{method.name}", (*types, *streaming)


def _message(message: DescriptorProto, outer: str, file: str) -> Iterator[tuple[str, Any]]:
    name = f"{outer}.{message.name}"
    yield f"message {name}", file
    for field in message.field:
        oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
        yield f"field {field.number} of {name}", (field.name, *_kind(field), oneof)
    for inner in message.nested_type:
        yield from _message(inner, name, file)
    for enum in message.enum_type:
        yield from _enum(enum, name, file)


def _kind(field: FieldDescriptorProto) -> tuple[str, str, str]:
    label = "optional" if field.proto3_optional else FieldDescriptorProto.Label.Name(field.label)
    return FieldDescriptorProto.Type.Name(field.type), field.type_name, label


def _enum(enum: EnumDescriptorProto, outer: str, file: str) -> Iterator[tuple[str, Any]]:
    name = f"{outer}.{enum.name}"
    yield f"enum {name}", file
    for value in enum.value:
        yield f"value {value.name} of {name}", value.number
