"""Finds the field at which a message cannot be parsed, after protobuf has rejected it. Pure."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from discordproxy_api.calls.field_errors import FieldError
from discordproxy_api.contract.contract import is_list

_VARINT, _FIXED64, _BYTES, _GROUP_START, _GROUP_END, _FIXED32 = range(6)
_MALFORMED = "MALFORMED_BYTES"
_MAX_DEPTH = 100  # protobuf parses no deeper
_MAX_FIELDS = 20_000  # a hostile message must not block the event loop


class _DecodeFailureError(Exception):
    def __init__(self, code: str, message: str, path: str = "") -> None:
        self.path, self.code, self.message = path, code, message


def locate(descriptor: Any, data: bytes) -> FieldError:
    """Return the first invalid field of `data`, a message of type `descriptor`; the path is "" if unknown."""
    try:
        _Walk().check(descriptor, memoryview(data))
    except _DecodeFailureError as error:
        return FieldError(error.path, error.code, error.message)
    return FieldError("", _MALFORMED, f"The bytes are no {descriptor.name}.")


class _Walk:
    def __init__(self) -> None:
        self._left = _MAX_FIELDS

    def check(self, descriptor: Any, data: memoryview, depth: int = 0) -> None:
        if depth > _MAX_DEPTH:
            raise _DecodeFailureError("TOO_DEEP", f"Messages are nested more than {_MAX_DEPTH} levels deep.")
        seen: dict[str, int] = {}
        for number, payload in _fields(data):
            self._left -= 1
            if self._left < 0:
                return
            field = descriptor.fields_by_number.get(number)
            if field is not None and payload is not None:
                self._check_field(field, payload, _path(field, seen), depth)

    def _check_field(self, field: FieldDescriptor, payload: memoryview, path: str, depth: int) -> None:
        if field.type == FieldDescriptor.TYPE_STRING:
            try:
                str(payload, "utf-8")
            except UnicodeDecodeError:
                raise _DecodeFailureError("INVALID_UTF8", "The text is not valid UTF-8.", path) from None
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            try:
                self.check(field.message_type, payload, depth + 1)
            except _DecodeFailureError as error:
                inner = f"{path}.{error.path}" if error.path else path
                raise _DecodeFailureError(error.code, error.message, inner) from None


def _path(field: FieldDescriptor, seen: dict[str, int]) -> str:
    if not is_list(field):
        return field.name
    index = seen.get(field.name, 0)
    seen[field.name] = index + 1
    return f"{field.name}[{index}]"


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """Yield field numbers with the payload of length-delimited fields, None for all others."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, kind = tag >> 3, tag & 7
        payload = None
        if kind == _VARINT:
            _, position = _varint(data, position)
        elif kind == _BYTES:
            length, position = _varint(data, position)
            payload = data[position : position + length]
            position += length
        elif kind in {_FIXED64, _FIXED32}:
            position += 8 if kind == _FIXED64 else 4
        elif kind not in {_GROUP_START, _GROUP_END}:
            raise _DecodeFailureError(_MALFORMED, f"Field {number} has no valid wire type.")
        if position > len(data) or not number:
            raise _DecodeFailureError(_MALFORMED, "The message ends in the middle of a field.")
        yield number, payload


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    for byte in data[position : position + 10]:
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the highest bit marks further bytes
            return value, position
        shift += 7
    raise _DecodeFailureError(_MALFORMED, "The message ends in the middle of a number.")
