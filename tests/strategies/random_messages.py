"""Random messages and random JSON for property tests, drawn from descriptors."""

from collections.abc import Callable
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


@st.composite
def messages(draw: Any, descriptor: Descriptor, depth: int = 3, choose: Choose = lambda _field: None) -> Any:
    """Draw a message in which any field may be set; `depth` bounds messages inside messages."""
    message = GetMessageClass(descriptor)()
    fields = [field for field in descriptor.fields if field.message_type is None or depth > 0]
    fields = [
        field for field in fields if field.full_name != "google.protobuf.Struct.fields"
    ]  # drawn as JSON elsewhere
    for field in (
        draw(st.lists(st.sampled_from(fields), unique_by=lambda field: field.number, max_size=6)) if fields else ()
    ):
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            value = SCALARS[field.message_type.fields_by_name["value"].type]
            getattr(message, field.name).update(draw(st.dictionaries(TEXT, value, max_size=2)))
        elif is_list(field):
            getattr(message, field.name).extend(draw(st.lists(values_of(field, depth, choose), max_size=2)))
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(draw(values_of(field, depth, choose)))
        else:
            setattr(message, field.name, draw(values_of(field, depth, choose)))
    return message


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


@st.composite
def documents(draw: Any, descriptor: Descriptor, json_key: Callable[[FieldDescriptor], str], depth: int = 3) -> Any:
    """Draw a JSON object with mostly a message's keys, and with valid, nearly valid and invalid values."""
    document = draw(st.dictionaries(st.text(max_size=5), JSON, max_size=2))
    fields = list(descriptor.fields)
    for field in draw(st.lists(st.sampled_from(fields), max_size=8)) if fields else ():
        value = JSON
        if field.message_type is not None and depth and not field.message_type.GetOptions().map_entry:
            value = documents(field.message_type, json_key, depth - 1) | JSON
        elif field.type in SCALARS:
            value = SCALARS[field.type] | SCALARS[field.type].map(str) | JSON
        document[json_key(field)] = draw(st.lists(value, max_size=3) | value if is_list(field) else value)
    return document
