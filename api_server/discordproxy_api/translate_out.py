"""Messages to Discord's JSON: one function per message type, so that serving looks at no descriptor.

Rules: unset is absent, uint64 becomes a decimal string, an enum its Discord number; what Discord never reads stays out.

The functions are generated at start, as those of a dataclass are: a straight function takes half the time of a loop
over a table. The one for Embed.Footer, for instance:

    def write(message):
        body = {}
        if value := message.text: body['text'] = value
        if value := message.icon_url: body['icon_url'] = value
        return body
"""

from collections.abc import Callable, Iterable
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict

from discordproxy import annotations_pb2
from discordproxy_api.contract import field_option, is_list, json_key, travels

Json = dict[str, Any]
Write = Callable[[Any], Json]


class Writers:
    """Generates the functions; each finds those of the messages inside by name, also when a type contains itself."""

    def __init__(self) -> None:
        self._functions: dict[str, Any] = {"add_extra": _add_extra}

    def writer(self, descriptor: Descriptor) -> Write:
        """Return the function for all fields of a type that travel in JSON."""
        return cast("Write", self._functions[self._name(descriptor)])

    def body_writer(self, descriptor: Descriptor, body_fields: Iterable[FieldDescriptor]) -> Write:
        """Return the function for a request, whose other fields fill path and query."""
        return self._generate(descriptor, body_fields)

    def _name(self, descriptor: Descriptor) -> str:
        name = descriptor.full_name.replace(".", "_")
        if name not in self._functions:
            self._functions[name] = None  # begun; the type may contain itself
            self._functions[name] = self._generate(descriptor, filter(travels, descriptor.fields))
        return name

    def _generate(self, descriptor: Descriptor, fields: Iterable[FieldDescriptor]) -> Write:
        lines = ["def write(message):", "body = {}", *map(self._statement, fields)]
        if "extra" in descriptor.fields_by_name:
            lines.append("add_extra(message, body)")
        source = "\n    ".join([*lines, "return body"])
        made: dict[str, Write] = {}
        code = compile(source, f"<writer of {descriptor.full_name}>", "exec")
        exec(code, self._functions, made)  # noqa: S102 - the source is made of our own contract's names
        return made["write"]

    def _statement(self, field: FieldDescriptor) -> str:
        source, target = f"message.{field.name}", f"body[{json_key(field)!r}]"
        if field_option(field, annotations_pb2.always_sent):
            return f"{target} = {self._converted(field, source)}"
        if field.has_presence:
            return f"if message.HasField({field.name!r}): {target} = {self._converted(field, source)}"
        return f"if value := {source}: {target} = {self._converted(field, 'value')}"

    def _converted(self, field: FieldDescriptor, value: str) -> str:
        if not is_list(field):
            return self._single(field, value)
        each = self._single(field, "each")
        return f"list({value})" if each == "each" else f"[{each} for each in {value}]"

    def _single(self, field: FieldDescriptor, value: str) -> str:
        if field.message_type is not None:
            return f"{self._name(field.message_type)}({value})"
        if field.type == FieldDescriptor.TYPE_UINT64:
            return f"str({value})"  # snowflakes and permissions exceed what JavaScript holds, so Discord wants text
        offset = enum_offset(field)
        return f"{value} + {offset}" if offset else value


def enum_offset(field: FieldDescriptor) -> int:
    """Return what to add to the enum's number to get Discord's; 0 for other fields."""
    if field.enum_type is None:
        return 0
    return int(field.enum_type.GetOptions().Extensions[annotations_pb2.json_offset])


def _add_extra(component: Any, body: Json) -> None:
    """Add the keys this contract does not know; a known field wins over a stray key of the same name."""
    if component.HasField("extra"):
        for key, value in MessageToDict(component.extra).items():
            body.setdefault(key, _whole(value))


def _whole(value: Any) -> Any:
    """Turn 5.0 back into 5: a Struct has no integers, and Discord refuses fractions."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(inner) for key, inner in value.items()}
    return [_whole(inner) for inner in value] if isinstance(value, list) else value
