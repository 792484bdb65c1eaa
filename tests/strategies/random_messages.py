"""Random messages and random JSON for property tests, drawn from descriptors.

Strategies are kept: to make one takes longer than to draw from it.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from discordproxy_api.contract.contract import is_list

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: TEXT,
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=12),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_DOUBLE: st.floats(allow_nan=False, allow_infinity=False),
}

Choose = Callable[[FieldDescriptor], "st.SearchStrategy[Any] | None"]


@cache
def values_of(field: FieldDescriptor, depth: int, choose: Choose) -> st.SearchStrategy[Any]:
    """Return a strategy for one value of a field; `choose` may override it."""
    if (chosen := choose(field)) is not None:
        return chosen
    if field.message_type is not None:
        return messages(field.message_type, depth - 1, choose)
    if field.enum_type is not None:
        known = st.sampled_from(sorted(field.enum_type.values_by_number))
        return known | st.integers(0, 2**31 - 1)
    return SCALARS[field.type]


@cache
def lists_of(field: FieldDescriptor, depth: int, choose: Choose) -> st.SearchStrategy[list[Any]]:
    """Return a strategy for the values of a repeated field."""
    return st.lists(values_of(field, depth, choose), max_size=2)


@cache
def fields_of(descriptor: Descriptor, *, nested: bool) -> st.SearchStrategy[list[FieldDescriptor]]:
    """Return a strategy for the fields that are set; `nested`: also those that hold messages."""
    fields = [field for field in descriptor.fields if field.message_type is None or nested]
    fields = [
        field
        for field in fields
        if not field.full_name.startswith(("google.protobuf.Struct.", "google.protobuf.Value."))
    ]  # drawn as JSON elsewhere
    return st.lists(st.sampled_from(fields), unique_by=_number, max_size=6) if fields else st.just([])


def _number(field: FieldDescriptor) -> int:
    return int(field.number)


def _no_choice(_field: FieldDescriptor) -> None:
    return None


@cache
@st.composite
def messages(draw: Any, descriptor: Descriptor, depth: int = 3, choose: Choose = _no_choice) -> Any:
    """Draw a message in which any field may be set; `depth` bounds messages inside messages."""
    message = GetMessageClass(descriptor)()
    for field in draw(fields_of(descriptor, nested=depth > 0)):
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _fill_map(draw, message, field, depth, choose)
        elif is_list(field):
            getattr(message, field.name).extend(draw(lists_of(field, depth, choose)))
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(draw(values_of(field, depth, choose)))
        else:
            setattr(message, field.name, draw(values_of(field, depth, choose)))
    return message


@cache
def _maps_of(field: FieldDescriptor, depth: int, choose: Choose) -> st.SearchStrategy[dict[Any, Any]]:
    key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
    return st.dictionaries(SCALARS[key.type], values_of(value, depth, choose), max_size=2)


def _fill_map(draw: Any, message: Any, field: FieldDescriptor, depth: int, choose: Choose) -> None:
    value = field.message_type.fields_by_name["value"]
    drawn = draw(_maps_of(field, depth, choose))
    entries = getattr(message, field.name)
    for each, inner in drawn.items():
        if value.message_type is not None:
            entries[each].CopyFrom(inner)
        else:
            entries[each] = inner


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["0", "17", "-1", "99999999999999999999", "true", "", "\ud800", "٣"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


EXTRA_KEYS = st.dictionaries(st.text(max_size=5), JSON, max_size=2)


@cache
def _documents_of(field: FieldDescriptor, json_key: Callable[[FieldDescriptor], str], depth: int) -> Any:
    value: st.SearchStrategy[Any] = JSON
    if field.message_type is not None and depth and not field.message_type.GetOptions().map_entry:
        value = documents(field.message_type, json_key, depth - 1) | JSON
    elif field.type in SCALARS:
        value = SCALARS[field.type] | SCALARS[field.type].map(str) | JSON
    return st.lists(value, max_size=3) | value if is_list(field) else value


@cache
def _some_fields(descriptor: Descriptor) -> st.SearchStrategy[list[FieldDescriptor]]:
    fields = list(descriptor.fields)
    return st.lists(st.sampled_from(fields), max_size=8) if fields else st.just([])


@cache
@st.composite
def documents(draw: Any, descriptor: Descriptor, json_key: Callable[[FieldDescriptor], str], depth: int = 3) -> Any:
    """Draw a JSON object with mostly a message's keys, and with valid, nearly valid and invalid values."""
    document = draw(EXTRA_KEYS)
    for field in draw(_some_fields(descriptor)):
        document[json_key(field)] = draw(_documents_of(field, json_key, depth))
    return document
