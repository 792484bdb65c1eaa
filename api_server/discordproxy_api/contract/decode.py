"""Decodes any JSON to messages, with one plan per message type.

Used for documents that `quick_decode` cannot decode. It never fails: unknown keys and values of the wrong type are
dropped, since a message that was posted must not look like an error. Sub-messages are decoded to dicts; protobuf's
constructor then creates the whole message at once, which is faster than setting attributes one by one.
"""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct, Value

from discordproxy import annotations_pb2
from discordproxy_api.contract.contract import field_option, is_json, is_list, is_map, json_key
from discordproxy_api.contract.encode import enum_offset
from discordproxy_api.contract.legacy_shapes import COMPLETIONS, LISTS, UNCHANGED

MAX_DEPTH = 32
"""Maximum depth of nested messages. Protobuf parses at most 100; Discord sends fewer than 10."""

_EXTRA_DEPTH = 16  # levels of JSON kept in unknown keys
_MAX_TEXT_NUMBER = 2**70  # Discord sends no larger numbers as text

Values = dict[str, Any]
Convert = Callable[[Any, int], Any]  # JSON value, depth -> field value, or None to leave the field out
Entry = tuple[str, type | None, Convert]  # field name, type of a value that needs no conversion, conversion of others

_INTEGERS: Mapping[int, tuple[int, int]] = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_ENUM: (-(2**31), 2**31 - 1),
}
_FITTING: Mapping[int, type] = {FieldDescriptor.TYPE_STRING: str, FieldDescriptor.TYPE_BOOL: bool}


def build(make: type[Message], read: Callable[[Any], Values], document: Any) -> Any:
    """Return the message for a document. Text with lone surrogates is rare, so it is repaired only after an error."""
    try:
        return make(**read(document))
    except UnicodeEncodeError:
        return make(**read(_without_surrogates(document)))


class Reader:
    """The plan for one message type: from a JSON object to constructor arguments."""

    __slots__ = ("_extra", "_fields", "_finish", "_null_is_true")

    def __init__(self, descriptor: Descriptor, fields: Mapping[str, Entry]) -> None:
        self._fields = fields
        self._finish = COMPLETIONS.get(descriptor.full_name)
        self._extra = "extra" in descriptor.fields_by_name
        self._null_is_true = {
            json_key(field): field.name
            for field in descriptor.fields
            if field_option(field, annotations_pb2.null_is_true)
        }

    @property
    def completes(self) -> bool:
        """Whether values of this type need `complete`."""
        return bool(self._finish is not None or self._null_is_true or self._extra)

    def read(self, document: Mapping[str, Any], depth: int = 0) -> Values:
        """Return the values that match the message's fields."""
        fields = self._fields
        values: Values = {}
        for key, value in document.items():
            entry = fields.get(key)
            if entry is None:
                continue
            name, fitting, convert = entry
            if type(value) is fitting:
                values[name] = value
            elif value is not None and (converted := convert(value, depth)) is not None:
                values[name] = converted
        self.complete(values, document)
        return values

    def complete(self, values: Values, document: Mapping[str, Any]) -> None:
        """Add values that several keys or unknown keys of the document make up."""
        if self._finish is not None:
            self._finish(values)
        if self._null_is_true:
            values.update({name: True for key, name in self._null_is_true.items() if document.get(key, False) is None})
        if self._extra and (extra := _struct({key: each for key, each in document.items() if key not in self._fields})):
            values["extra"] = extra


class Readers:
    """Compiles the plans, one per message type, including recursive types."""

    def __init__(self) -> None:
        self._by_name: dict[str, Reader] = {}

    def reader(self, descriptor: Descriptor) -> Reader:
        """Return the plan for all fields that Discord sends."""
        if (known := self._by_name.get(descriptor.full_name)) is not None:
            return known
        fields: dict[str, Entry] = {}
        reader = self._by_name[descriptor.full_name] = Reader(descriptor, fields)
        for field in descriptor.fields:
            if not field_option(field, annotations_pb2.proxy_only) and json_key(field) not in fields:
                fitting = None if is_list(field) else _FITTING.get(field.type)
                fields[json_key(field)] = (field.name, fitting, self.convert(field))
        return reader

    def convert(self, field: FieldDescriptor) -> Convert:
        """Return the conversion of a field's JSON value."""
        if is_json(field):
            return _json_value
        if is_map(field) and field.message_type is not None:
            key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
            return _map(_scalar(key), _made(value, self._single(value)))
        one = self._single(field)
        return _list(one, LISTS.get(field.full_name)) if is_list(field) else one

    def _single(self, field: FieldDescriptor) -> Convert:
        if field.full_name in UNCHANGED:
            return lambda value, _depth: value
        if field.message_type is None:
            return _scalar(field)
        return _message(self.reader(field.message_type))


def _message(reader: Reader) -> Convert:
    read = reader.read
    return lambda value, depth: read(value, depth + 1) if isinstance(value, dict) and depth < MAX_DEPTH else None


def _list(one: Convert, prepare: Callable[[Any], Any] | None) -> Convert:
    def convert(values: Any, depth: int) -> Any:
        if prepare is not None:
            values = prepare(values)
        if not isinstance(values, list):
            return None
        converted = [one(value, depth) for value in values if value is not None]
        return [value for value in converted if value is not None] if None in converted else converted

    return convert


def _map(key: Convert, one: Convert) -> Convert:
    def convert(values: Any, depth: int) -> Any:
        if not isinstance(values, dict):
            return None
        converted = {key(name, depth): one(value, depth) for name, value in values.items() if value is not None}
        return {name: value for name, value in converted.items() if name is not None and value is not None}

    return convert


def _made(field: FieldDescriptor, one: Convert) -> Convert:
    """Return a conversion to messages: unlike lists, maps of older protobuf releases do not accept dicts."""
    if field.message_type is None:
        return one
    make = GetMessageClass(field.message_type)

    def convert(value: Any, depth: int) -> Any:
        values = one(value, depth)
        return None if values is None else make(**values)

    return convert


def _scalar(field: FieldDescriptor) -> Convert:
    if field.type == FieldDescriptor.TYPE_STRING:
        return _text
    if field.type == FieldDescriptor.TYPE_BOOL:
        return _boolean
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return _number
    return _integer(field)


def _text(value: Any, _depth: int) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()  # the value of a checkbox
    if not isinstance(value, int | float):
        return None
    return str(value) if abs(value) < _MAX_TEXT_NUMBER else None


def _boolean(value: Any, _depth: int) -> bool | None:
    return bool(value) if isinstance(value, int | float) else None


def _number(value: Any, _depth: int) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def _integer(field: FieldDescriptor) -> Convert:
    """Convert numbers and numeric strings. Beyond the range, bit fields keep their low bits, others are clamped."""
    smallest, largest = _INTEGERS[field.type]
    offset = enum_offset(field)
    unknown = _unknown(field, smallest, largest)
    known = frozenset(field.enum_type.values_by_number) if offset and field.enum_type else None

    def convert(value: Any, _depth: int) -> int | None:
        try:
            number = int(value) - offset
        except (TypeError, ValueError, OverflowError):
            return None
        if known is not None and number not in known:
            return None  # Discord's unknown number has no number in the contract
        return number if smallest <= number <= largest else unknown(number)

    return convert


def _unknown(field: FieldDescriptor, smallest: int, largest: int) -> Callable[[int], int | None]:
    if field.type in {FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_ENUM}:
        return lambda _number: None  # no id is better than a wrong one
    if field.name.endswith("flags"):
        return lambda number: number & largest
    return lambda number: min(max(number, smallest), largest)


def _json_value(value: Any, _depth: int) -> Value:
    holder = Struct()
    holder.update({"value": _pruned(value, _EXTRA_DEPTH)})
    return holder.fields["value"]


def _struct(extra: Mapping[str, Any]) -> Struct | None:
    if not extra:
        return None
    struct = Struct()
    struct.update(_pruned(extra, _EXTRA_DEPTH))
    return struct


def _pruned(value: Any, levels: int) -> Any:
    """Return the value as a Struct accepts it; one level of JSON takes three levels of protobuf."""
    if isinstance(value, dict):
        return {key: _pruned(inner, levels - 1) for key, inner in value.items()} if levels else None
    if isinstance(value, list):
        return [_pruned(inner, levels - 1) for inner in value] if levels else None
    return value if isinstance(value, bool | str) else _number(value, 0)


def _without_surrogates(value: Any, levels: int = 2 * MAX_DEPTH) -> Any:
    """Replace lone surrogates, which JSON can contain; levels beyond the maximum depth are dropped."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return (
            {_without_surrogates(key): _without_surrogates(inner, levels - 1) for key, inner in value.items()}
            if levels
            else None
        )
    if isinstance(value, list):
        return [_without_surrogates(inner, levels - 1) for inner in value] if levels else None
    return value
