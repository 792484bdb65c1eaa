"""Helpers of the fake responses: find objects, and fill them from requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from google.protobuf.message import Message as AnyMessage
from google.protobuf.message_factory import GetMessageClass

from discordproxy import annotations_pb2
from discordproxy._fake.world import HttpRefusalError
from discordproxy.discord_api_pb2 import DESCRIPTOR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.protobuf.descriptor import Descriptor, FieldDescriptor

    from discordproxy._fake.world import FakeWorld

    Handler = Callable[[FakeWorld, Any], AnyMessage]

Known = TypeVar("Known", bound=AnyMessage)

_METHODS = DESCRIPTOR.services_by_name["DiscordApi"].methods_by_name


def echo(world: FakeWorld, rpc: str, request: Any) -> AnyMessage:
    """Return a response whose object has a new id and the fields of the request."""
    response = GetMessageClass(_METHODS[rpc].output_type)()
    for field in response.DESCRIPTOR.fields:
        made = getattr(response, field.name)
        if field.name == "freshness" or not isinstance(made, AnyMessage):
            continue
        if "id" in made.DESCRIPTOR.fields_by_name:
            made.id = world.new_id()  # type: ignore[attr-defined]  # the descriptor has it
        copy_equal_fields(request, made)
    return response


def copy_equal_fields(request: AnyMessage, found: Any) -> None:
    """Copy the fields that are set in a request to fields of an object with the same name and type."""
    for field, value in request.ListFields():
        own = found.DESCRIPTOR.fields_by_name.get(field.name)
        if own is None or (own.type, own.message_type) != (field.type, field.message_type):
            continue
        if isinstance(value, AnyMessage):
            getattr(found, field.name).CopyFrom(value)
        elif isinstance(value, (str, bytes, int, float)):
            setattr(found, field.name, value)
        else:
            found.ClearField(field.name)
            getattr(found, field.name).extend(value)


def change(found: AnyMessage, request: Any) -> None:
    """Apply a request that edits an object."""
    for name in set(request.clear) & set(found.DESCRIPTOR.fields_by_name):
        found.ClearField(name)
    copy_equal_fields(request, found)


def known(found: Mapping[Any, Known], key: object, code: int, text: str) -> Known:
    """Return the object with this key.

    Raises:
        HttpRefusalError: it does not exist: HTTP 404 with this code and text.
    """
    if key not in found:
        raise HttpRefusalError(404, code, text)
    return found[key]


def from_json(kind: type[Known], document: Mapping[str, Any]) -> Known:
    """Return the message for an object in the form of Discord's JSON, without unknown keys and nulls."""
    return kind(**_values(cast("Descriptor", kind.DESCRIPTOR), document))


def _values(descriptor: Descriptor, document: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for field in descriptor.fields:
        options = field.GetOptions().Extensions
        value = document.get(options[annotations_pb2.json_key] or field.name)
        if value is not None and not options[annotations_pb2.proxy_only] and _fits(field, value):
            found[field.name] = _value(field, value)
    return found


def _fits(field: FieldDescriptor, value: Any) -> bool:
    """Return whether a value belongs to this field, and not to another one with the same key."""
    alternatives = field.containing_oneof
    if alternatives is None or len(alternatives.fields) == 1:
        return True
    kinds = {str: field.TYPE_STRING, bool: field.TYPE_BOOL, int: field.TYPE_INT64, float: field.TYPE_DOUBLE}
    return kinds.get(type(value)) == field.type


def _value(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, inner = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        return {_single(key, each): _entry(inner, one) for each, one in value.items()}
    if field.default_value == []:  # a list
        return [_single(field, each) for each in (value if isinstance(value, list) else [value])]
    return _single(field, value)


def _entry(field: FieldDescriptor, value: Any) -> Any:
    single = _single(field, value)
    return single if field.message_type is None else GetMessageClass(field.message_type)(**single)


def _single(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return _values(field.message_type, value)
    if field.enum_type is not None:
        return int(value) - field.enum_type.GetOptions().Extensions[annotations_pb2.json_offset]
    return int(value) if field.type == field.TYPE_UINT64 else value


def in_guild(found: Mapping[Any, Known], request: Any) -> list[Known]:
    """Return the objects that belong to the guild of a request."""
    return [one for one in found.values() if one.guild_id == request.guild_id]  # type: ignore[attr-defined]  # all have guild_id
