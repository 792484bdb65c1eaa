"""Messages to Discord's JSON: one plan per message type, compiled at start, so that serving looks at no descriptor.

Rules: unset is absent, uint64 becomes a decimal string, an enum its Discord number; what Discord never reads stays out.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from discordproxy import annotations_pb2
from discordproxy_api.contract import field_option, is_list, json_key, travels

Json = dict[str, Any]
Convert = Callable[[Any], Any]
Entry = tuple[str, Convert | None]  # JSON key, conversion; None when JSON takes the value as it is


class Writer:
    """The plan for one message type: message in, JSON object out."""

    __slots__ = ("_always", "_fields", "_finish")

    def __init__(self, fields: Mapping[int, Entry], always: tuple[tuple[str, str, Convert], ...]) -> None:
        self._fields = fields
        self._always = always
        self._finish: Callable[[Message, Json], None] | None = None

    def write(self, message: Message) -> Json:
        """Return the JSON object that Discord reads."""
        fields = self._fields
        body: Json = {}
        for field, value in message.ListFields():
            entry = fields.get(field.number)
            if entry is not None:
                key, convert = entry
                body[key] = value if convert is None else convert(value)
        for key, name, convert in self._always:
            if key not in body:
                body[key] = convert(getattr(message, name))
        if self._finish is not None:
            self._finish(message, body)
        return body


class Writers:
    """Compiles plans; a type that contains itself is compiled once."""

    def __init__(self) -> None:
        self._by_name: dict[str, Writer] = {}

    def writer(self, descriptor: Descriptor) -> Writer:
        """Return the plan for all fields of a type that travel in JSON."""
        if (known := self._by_name.get(descriptor.full_name)) is not None:
            return known
        fields: dict[int, Entry] = {}
        writer = self._by_name[descriptor.full_name] = Writer(fields, self._always_sent(descriptor))
        fields.update(self._entries(field for field in descriptor.fields if travels(field)))
        writer._finish = _FINISH.get(descriptor.full_name)  # noqa: SLF001 - the compiler completes what it has begun
        return writer

    def body_writer(self, descriptor: Descriptor, body_fields: Iterable[FieldDescriptor]) -> Writer:
        """Return the plan for a request, whose other fields fill path and query."""
        return Writer(dict(self._entries(body_fields)), self._always_sent(descriptor))

    def _entries(self, fields: Iterable[FieldDescriptor]) -> Iterable[tuple[int, Entry]]:
        return ((field.number, (json_key(field), self._convert(field))) for field in fields)

    def _always_sent(self, descriptor: Descriptor) -> tuple[tuple[str, str, Convert], ...]:
        sent = [field for field in descriptor.fields if field_option(field, annotations_pb2.always_sent)]
        return tuple((json_key(field), field.name, self._convert(field) or _same) for field in sent)

    def _convert(self, field: FieldDescriptor) -> Convert | None:
        one = self.writer(field.message_type).write if field.message_type is not None else scalar(field)
        if not is_list(field):
            return one
        return list if one is None else lambda values: [one(value) for value in values]


def scalar(field: FieldDescriptor) -> Convert | None:
    """Return the conversion of a single value; None when JSON takes it as it is."""
    if field.type == FieldDescriptor.TYPE_UINT64:
        return str  # snowflakes and permissions exceed what JavaScript holds, so Discord wants text
    offset = enum_offset(field)
    return (lambda value: value + offset) if offset else None


def enum_offset(field: FieldDescriptor) -> int:
    """Return what to add to the enum's number to get Discord's; 0 for other fields."""
    if field.enum_type is None:
        return 0
    return int(field.enum_type.GetOptions().Extensions[annotations_pb2.json_offset])


def _same(value: Any) -> Any:
    return value


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


_FINISH: Mapping[str, Callable[[Any, Json], None]] = {"discord_api.Component": _add_extra}
