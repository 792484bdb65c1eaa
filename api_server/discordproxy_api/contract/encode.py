"""Encodes messages as Discord's JSON, with one generated function per message type.

Unset fields are omitted, uint64 becomes a decimal string, an enum Discord's number; fields that Discord does not read
are omitted.

The functions are generated, like those of dataclasses: generated code takes half the time of a loop over a
table. The function for Embed begins like this:

    def write(message0):
        body0 = {}
        has0 = message0.HasField
        if value := message0.title:
            body0['title'] = value
        if has0('footer'):
            message1 = message0.footer
            body1 = {}
            if value := message1.text:
                body1['text'] = value
            body0['footer'] = body1
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict

from discordproxy import annotations_pb2
from discordproxy_api.contract.contract import field_option, is_list, is_map, is_sent, json_key

Json = dict[str, Any]
Write = Callable[[Any], Json]
Lines = Iterator[str]


class Writers:
    """Generates the functions. Nested messages are inlined, except types that contain themselves."""

    def __init__(self) -> None:
        self._functions: dict[str, Any] = {"add_extra": _add_extra}
        self._bodies: dict[tuple[str, ...], Write] = {}

    def writer(self, descriptor: Descriptor) -> Write:
        """Return the function for all fields of a type that are sent."""
        return cast("Write", self._functions[self._name(descriptor)])

    def body_writer(self, descriptor: Descriptor, body_fields: Iterable[FieldDescriptor]) -> Write:
        """Return the function for the body fields of a request."""
        fields = list(body_fields)
        key = (descriptor.full_name, *(field.name for field in fields))
        if key not in self._bodies:  # shared by bots, and by RPCs with the same body
            self._bodies[key] = self._generate(descriptor, fields)
        return self._bodies[key]

    def _name(self, descriptor: Descriptor) -> str:
        name = descriptor.full_name.replace(".", "_")
        if name not in self._functions:
            self._functions[name] = None  # in progress; the type may contain itself
            self._functions[name] = self._generate(descriptor, _sent_fields(descriptor))
        return name

    def _generate(self, descriptor: Descriptor, fields: Iterable[FieldDescriptor]) -> Write:
        lines = ["def write(message0):", *_indented(self._object(descriptor, fields, 0)), "    return body0"]
        made: dict[str, Write] = {}
        code = compile("\n".join(lines), f"<writer of {descriptor.full_name}>", "exec")
        exec(code, self._functions, made)  # noqa: S102 - the source contains only names of the contract
        return made["write"]

    def _object(self, descriptor: Descriptor, fields: Iterable[FieldDescriptor], depth: int) -> Lines:
        """Yield the lines that build `body<depth>` from `message<depth>`."""
        fields = list(fields)
        yield f"body{depth} = {{}}"
        if any(field.has_presence for field in fields):
            yield f"has{depth} = message{depth}.HasField"
        for field in fields:
            source = f"message{depth}.{field.name}"
            if field_option(field, annotations_pb2.always_sent):
                yield from self._assignment(field, source, depth)
            elif field.has_presence:
                yield f"if has{depth}({field.name!r}):"
                yield from _indented(self._assignment(field, source, depth))
            else:
                yield f"if value := {source}:"
                yield from _indented(self._assignment(field, "value", depth))
        if "extra" in descriptor.fields_by_name:
            yield f"add_extra(message{depth}, body{depth})"

    def _assignment(self, field: FieldDescriptor, source: str, depth: int) -> Lines:
        """Yield the lines that set the field's key of `body<depth>`. Slices iterate faster than repeated fields."""
        target, inner = f"body{depth}[{json_key(field)!r}]", depth + 1
        if is_map(field):
            yield f"{target} = dict({source})"
        elif field.message_type is None or contains_itself(field.message_type):
            yield f"{target} = {self._converted(field, source)}"
        elif is_list(field):
            yield f"{target} = list{inner} = []"
            yield f"for message{inner} in {source}[:]:"
            yield from _indented(self._object(field.message_type, _sent_fields(field.message_type), inner))
            yield f"    list{inner}.append(body{inner})"
        else:
            yield f"message{inner} = {source}"
            yield from self._object(field.message_type, _sent_fields(field.message_type), inner)
            yield f"{target} = body{inner}"

    def _converted(self, field: FieldDescriptor, value: str) -> str:
        if not is_list(field):
            return self._single(field, value)
        each = self._single(field, "each")
        if each == "each":
            return f"{value}[:]"
        function = each.removesuffix("(each)")
        return f"[*map({function}, {value}[:])]" if function != each else f"[{each} for each in {value}[:]]"

    def _single(self, field: FieldDescriptor, value: str) -> str:
        if field.message_type is not None:
            return f"{self._name(field.message_type)}({value})"
        if field.type == FieldDescriptor.TYPE_UINT64:
            return f"str({value})"  # Discord expects snowflakes and permissions as strings
        offset = enum_offset(field)
        return f"{value} + {offset}" if offset else value


def enum_offset(field: FieldDescriptor) -> int:
    """Return the difference between Discord's number and the enum's; 0 for other fields."""
    if field.enum_type is None:
        return 0
    return int(field.enum_type.GetOptions().Extensions[annotations_pb2.json_offset])


def _sent_fields(descriptor: Descriptor) -> Iterator[FieldDescriptor]:
    return filter(is_sent, descriptor.fields)


def _indented(lines: Lines) -> Lines:
    return (f"    {line}" for line in lines)


def contains_itself(descriptor: Descriptor) -> bool:
    """Return whether messages of this type can contain messages of the same type."""
    found: set[str] = set()
    new = [descriptor]
    while new:
        inside = [field.message_type for field in _sent_fields(new.pop()) if field.message_type is not None]
        new += [each for each in inside if each.full_name not in found]
        found.update(each.full_name for each in inside)
    return descriptor.full_name in found


def _add_extra(component: Any, body: Json) -> None:
    """Add keys that are not in the contract; fields of the contract take precedence."""
    if component.HasField("extra"):
        for key, value in MessageToDict(component.extra).items():
            body.setdefault(key, _with_integers(value))


def _with_integers(value: Any) -> Any:
    """Convert 5.0 to 5: a Struct has no integers, and Discord rejects floats."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _with_integers(inner) for key, inner in value.items()}
    return [_with_integers(inner) for inner in value] if isinstance(value, list) else value
