"""Decodes JSON with the documented types, with one function call per message.

Most values are passed unchanged to protobuf's constructor, which rejects wrong types and numbers beyond the range. Then
`decode` decodes the document, value by value.
"""

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from discordproxy import annotations_pb2
from discordproxy_api.contract.contract import field_option, is_json, is_list, is_map, json_key
from discordproxy_api.contract.decode import MAX_DEPTH, Convert, Reader, Readers, Values
from discordproxy_api.contract.encode import enum_offset
from discordproxy_api.contract.legacy_shapes import LISTS

UNEXPECTED = (ValueError, TypeError, OverflowError, AttributeError)
"""Errors of `QuickReader.read`, and of protobuf's constructor for its result, that lead to `decode`."""


_Entry = tuple[str, type | None, bool, Convert]
"""Field name, type of a value that fits as it is, whether others are digits of a number, conversion of all others."""

_FITTING: Mapping[int, type] = {
    FieldDescriptor.TYPE_STRING: str,
    FieldDescriptor.TYPE_BOOL: bool,
    FieldDescriptor.TYPE_INT32: int,
    FieldDescriptor.TYPE_INT64: int,
    FieldDescriptor.TYPE_UINT64: int,
    FieldDescriptor.TYPE_ENUM: int,
}


class QuickReader:
    """The plan for one message type: from a JSON object to constructor arguments."""

    __slots__ = ("_complete", "_fields")

    def __init__(self, fields: Mapping[str, _Entry], careful: Reader) -> None:
        self._fields = fields
        self._complete = careful.complete if careful.completes else None

    def read(self, document: Any, depth: int = 0) -> Values:
        """Return the values that match the message's fields.

        Raises:
            ValueError, TypeError, OverflowError, AttributeError: the document has unexpected types.
        """
        if depth > MAX_DEPTH:
            raise ValueError
        fields = self._fields
        values: Values = {}
        for key, value in document.items():
            entry = fields.get(key)
            if entry is None or value is None or value == []:
                continue
            name, fitting, is_number, convert = entry
            if type(value) is fitting:
                values[name] = value
            elif is_number:
                values[name] = int(value)
            elif (converted := convert(value, depth + 1)) is not None:
                values[name] = converted
        if self._complete is not None:
            self._complete(values, document)
        return values


class QuickReaders:
    """Compiles the plans, one per message type.

    Args:
        careful: the plans of `decode`, for all other values.
    """

    def __init__(self, careful: Readers) -> None:
        self._careful = careful
        self._by_name: dict[str, QuickReader] = {}

    def reader(self, descriptor: Descriptor) -> QuickReader:
        """Return the plan for all fields that Discord sends."""
        if (known := self._by_name.get(descriptor.full_name)) is not None:
            return known
        fields: dict[str, _Entry] = {}
        reader = QuickReader(fields, self._careful.reader(descriptor))
        self._by_name[descriptor.full_name] = reader
        for field in descriptor.fields:
            if not field_option(field, annotations_pb2.proxy_only) and json_key(field) not in fields:
                fields[json_key(field)] = self._entry(field)
        return reader

    def convert(self, field: FieldDescriptor) -> Convert:
        """Return the conversion of a field's JSON value, with the errors of `QuickReader.read`."""
        inner = field.message_type
        if inner is None or is_map(field) or is_json(field) or field.full_name in LISTS:
            return self._careful.convert(field)
        read = self.reader(inner).read
        return _list(read) if is_list(field) else read

    def _entry(self, field: FieldDescriptor) -> _Entry:
        convert = self.convert(field)
        fitting = None if enum_offset(field) else _FITTING.get(field.type)
        if not is_list(field):
            return (field.name, fitting, fitting is int, convert)
        return (field.name, list if fitting is str else None, False, convert)


def _list(read: Callable[[Any, int], Values]) -> Convert:
    def convert(values: Any, depth: int) -> list[Values]:
        if type(values) is not list:
            raise TypeError
        return [read(value, depth) for value in values]

    return convert
