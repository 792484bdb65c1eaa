"""The messages of discordproxy 1.5.1, built from the table of its wire format in a separate descriptor pool."""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "discord_api"
FieldProto = descriptor_pb2.FieldDescriptorProto


def file_proto(table: dict[str, Any]) -> descriptor_pb2.FileDescriptorProto:
    """Return the proto file that the table describes."""
    file = descriptor_pb2.FileDescriptorProto(name="discordproxy/discord_api.proto", package=PACKAGE, syntax="proto3")
    made: dict[str, descriptor_pb2.DescriptorProto] = {}
    for name in sorted(table["messages"], key=lambda name: name.count(".")):
        outer, _, own = name.rpartition(".")
        made[name] = made[outer].nested_type.add(name=own) if outer else file.message_type.add(name=own)
        _add_fields(made[name], table["messages"][name])
    for name, enum in table["enums"].items():
        outer, _, own = name.rpartition(".")
        _add_enum(made[outer].enum_type.add(name=own), enum)
    service = file.service.add(name="DiscordApi")
    for name, rpc in table["rpcs"].items():
        service.method.add(name=name, input_type=f".{rpc['input']}", output_type=f".{rpc['output']}")
    return file


def classes(table: dict[str, Any]) -> dict[str, Any]:
    """Return the classes by name without the package."""
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file_proto(table).SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
        for name in table["messages"]
    }


def _add_fields(message: descriptor_pb2.DescriptorProto, fields: dict[str, Any]) -> None:
    for name, field in fields.items():
        added = message.field.add(name=name, number=field["number"])
        added.type = FieldProto.Type.Value(f"TYPE_{field['type'].upper()}")
        added.label = FieldProto.Label.Value(f"LABEL_{field['label'].upper()}")
        if "type_name" in field:
            added.type_name = f".{field['type_name']}"


def _add_enum(enum: descriptor_pb2.EnumDescriptorProto, described: dict[str, Any]) -> None:
    for name, number in described["values"].items():
        enum.value.add(name=name, number=number)
    for number in described["reserved"]:
        enum.reserved_range.add(start=number, end=number)
