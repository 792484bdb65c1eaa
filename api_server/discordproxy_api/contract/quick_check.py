"""Recognizes valid requests, with one generated function per RPC.

The function returns True only for valid requests. For others it returns False: invalid ones, and those with rarely
used parts (files, components, resets), which need the complete validation. It usually enters no other Python function.

The function for SendChannelMessage begins like this:

    def is_valid(message0):
        try:
            size = 0
            if not 0 < message0.channel_id <= 9223372036854775807:
                return False
            has0 = message0.HasField
            if has0('embed'):
                value = message0.embed
                message1 = value
                if value := message1.title:
                    if not 0 <= len(value) <= 256:
                        return False
                    size += len(value)
"""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from discordproxy import annotations_pb2
from discordproxy.messages_pb2 import OVERFLOW_ERROR, Message
from discordproxy_api.calls.field_errors import FieldErrors
from discordproxy_api.contract.contract import Rpc, field_option, is_id_in_query, is_list, is_map, request_parts
from discordproxy_api.contract.encode import contains_itself
from discordproxy_api.contract.rules.checks import BIT_FIELDS, NUMBERS, PATH_SEGMENT, allowed_numbers
from discordproxy_api.contract.rules.limits import (
    CONTENT,
    DURATION,
    EMBED_CHARACTERS,
    EMBEDS,
    MAX_DURATION_S,
    MAX_NANOS,
    MAX_SNOWFLAKE,
    PATH_FORMS,
    REASON,
    TOKEN,
    Form,
    Limit,
    limits_of,
    writes_message,
)
from discordproxy_api.contract.rules.request_rules import RULES

Lines = Iterator[str]

_REFUSE = "    return False"
_COUNTED = {
    "Embed": {"title", "description"},
    "Embed.Footer": {"text"},
    "Embed.Author": {"name"},
    "Embed.Field": {"name", "value"},
}
"""Texts that count towards the size of a message's embeds."""

_CHECKED_COMPLETELY = frozenset({"files", "components", "components_json", "clear"})
_SPECIAL_FLAGS = Message.IS_COMPONENTS_V2 | Message.IS_VOICE_MESSAGE

_ADDRESS = re.compile(r"https?://[^\s/?#][^\s/?#]*(?:[/?#].*)?", re.ASCII | re.DOTALL)
_IMAGE = re.compile(r"data:image/[A-Za-z0-9+.-]+;base64,[A-Za-z0-9+/]+=*")
_SOUND = re.compile(r"data:audio/[A-Za-z0-9+.-]+;base64,[A-Za-z0-9+/]+=*")
_WORD = re.compile(r"[A-Za-z0-9_-]+")
_EMOJI = re.compile(r"(a:)?[A-Za-z0-9_~]{1,64}:[0-9]{1,20}|[^\x00-\x9f\u2028\u2029]{1,64}")
_FORMS = {
    Form.WEB: "is_address({})",
    Form.LINK: "is_address({})",
    Form.MEDIA: "is_address({})",
    Form.TIME: "parse_time({}.strip().upper())",  # raises ValueError
    Form.IMAGE: "is_image({})",
    Form.SOUND: "is_sound({})",
    Form.FILENAME: "{}.isprintable()",
    Form.PATH: "is_word({})",
    Form.TOKEN: "is_word({})",
    Form.EMOJI: "is_emoji({})",
}


def compile_quick_check(rpc: Rpc) -> Callable[[Any], bool]:
    """Return the function for the requests of an RPC."""
    body = _indented(_request(rpc))
    lines = ["def is_valid(message0):", "    try:", *_indented(body), "    except ValueError:", "        return False"]
    namespace: dict[str, Any] = {
        "breaks": _breaks,
        "is_address": _ADDRESS.fullmatch,
        "is_emoji": _EMOJI.fullmatch,
        "is_image": _IMAGE.fullmatch,
        "is_sound": _SOUND.fullmatch,
        "is_word": _WORD.fullmatch,
        "parse_time": datetime.fromisoformat,
    }
    code = compile("\n".join(lines), f"<quick check of {rpc.name}>", "exec")
    exec(code, namespace)  # noqa: S102 - the source contains only names and numbers of the contract
    is_valid: Callable[[Any], bool] = namespace["is_valid"]
    return is_valid


def _breaks(name: str, message: Any) -> bool:
    """Return whether a message breaks the rules between its fields."""
    problems = FieldErrors()
    RULES[name](message, "", problems)
    return bool(problems.found)


def _request(rpc: Rpc) -> Lines:
    parts = request_parts(rpc)
    in_path = {field.name for field in parts.path.values()}
    in_query = {field.name for field in parts.query if is_id_in_query(field)} - in_path
    yield "size = 0"
    for field in parts.path.values():
        yield from _path_field(field)
    for name in sorted(in_query):
        yield from _refused_if(f"message0.{name} > {MAX_SNOWFLAKE}")  # 0 is valid here: the start of a list
    writes = writes_message(_short_name(rpc.request))
    apart = in_path | in_query | ({"content"} if writes else set())
    yield from _message(rpc.request, 0, apart)
    if writes:
        yield from _written(rpc.request)
    if "reason" in rpc.request.fields_by_name and (rpc.reason or rpc.method is None):
        yield "if value := message0.reason:"
        yield from _indented(_refused_if(f"len(value) > {REASON} or not value.isprintable()"))
    yield "return True"


def _path_field(field: FieldDescriptor) -> Lines:
    source = f"message0.{field.name}"
    if field.type != FieldDescriptor.TYPE_STRING:
        yield from _refused_if(f"not 0 < {source} <= {MAX_SNOWFLAKE}")
        return
    form = PATH_FORMS.get(field.name, Form.PATH)
    longest = TOKEN if form is Form.TOKEN else PATH_SEGMENT
    yield from _refused_if(f"not 1 <= len({source}) <= {longest} or not {_FORMS[form].format(source)}")


def _written(request: Descriptor) -> Lines:
    """Yield the rules between the fields of a message; see `message_rules`."""
    fields = request.fields_by_name
    yield "value = message0.content"
    fits = f"len(value) <= {CONTENT // 2}"  # in UTF-16 units, too
    if "overflow" in fields:
        fits += f" or message0.overflow == {OVERFLOW_ERROR} and len(value) <= {CONTENT}"
    else:
        fits = f"len(value) <= {CONTENT}"
    yield from _refused_if(f"not ({fits})")
    yield from _refused_if(f"size > {EMBED_CHARACTERS}")
    if "embed" in fields:
        yield from _refused_if(f"len(message0.embeds) >= {EMBEDS} and has0('embed')")
    if "flags" in fields:
        yield from _refused_if(f"message0.flags & {_SPECIAL_FLAGS}")
    if "message_reference" in fields:
        yield from _refused_if(
            f"has0('message_reference') and message0.message_reference.type == {Message.Reference.FORWARD}"
        )
    if "clear" not in fields:
        given = ["value.strip()", "size"]  # an embed with images alone needs the complete validation
        given += ["message0.sticker_ids"] if "sticker_ids" in fields else []
        given += [f"has0({name!r})" for name in ("poll", "shared_client_theme") if name in fields]
        yield from _refused_if(f"not ({' or '.join(given)})")


def _message(descriptor: Descriptor, depth: int, apart: Iterable[str] = ()) -> Lines:
    """Yield the checks of `message<depth>`.

    Args:
        descriptor: its type.
        depth: of the message in the request.
        apart: fields that are checked elsewhere.
    """
    name = _short_name(descriptor)
    limits = limits_of(name)
    fields = [
        field
        for field in descriptor.fields
        if field.name not in apart and not field_option(field, annotations_pb2.answer_only)
    ]
    if any(field.has_presence for field in descriptor.fields):
        yield f"has{depth} = message{depth}.HasField"
    for field in fields:
        limit = limits.get(field.name)
        inner = [*_field(field, limit, depth)]
        if field.name in _COUNTED.get(name, ()):
            inner.append("size += len(value)")
        required = limit is not None and limit.required
        if not inner and not required:
            continue
        source = f"message{depth}.{field.name}"
        yield f"if has{depth}({field.name!r}):" if field.has_presence else f"if value := {source}:"
        if field.has_presence:
            yield f"    value = {source}"
        yield from _indented(inner or ["pass"])
        if required:
            yield "else:"
            yield _REFUSE
    if name in RULES:
        yield from _refused_if(f"breaks({name!r}, message{depth})")


def _field(field: FieldDescriptor, limit: Limit | None, depth: int) -> Lines:
    """Yield the checks of `value`, a field that is set; none if every value is valid."""
    if field.name in _CHECKED_COMPLETELY or _is_opaque(field):
        yield "return False"
        return
    if not is_list(field):
        yield from _single(field, limit, depth)
        return
    one = list(_single(field, limit, depth))
    if not one and limit is None:
        return
    least, most = (limit.least, limit.most) if limit else (0, 2**31 - 1)
    yield from _refused_if(f"not {least} <= len(value) <= {most}")
    if not one:
        return
    if one == list(_snowflake()):
        yield from _refused_if(f"min(value) <= 0 or max(value) > {MAX_SNOWFLAKE}")
    else:
        yield "for value in value[:]:"
        yield from _indented(one)


def _single(field: FieldDescriptor, limit: Limit | None, depth: int) -> Lines:
    if field.message_type is not None:
        yield from _nested(field.message_type, depth)
    elif field.enum_type is not None:
        numbers = allowed_numbers(field, field.enum_type, limit)
        yield from _one_of(numbers) if numbers is not None else ()
    elif field.type == FieldDescriptor.TYPE_UINT64:
        yield from _snowflake() if field.name not in BIT_FIELDS else ()
    elif limit is not None and limit.choices:
        yield from _one_of(limit.choices)
    elif limit is not None and not is_list(field):
        yield from _bounded(field, limit)


def _nested(descriptor: Descriptor, depth: int) -> Lines:
    if descriptor.full_name == DURATION:
        yield from _refused_if(f"not (0 <= value.seconds <= {MAX_DURATION_S} and 0 <= value.nanos <= {MAX_NANOS})")
    else:
        yield f"message{depth + 1} = value"
        yield from _message(descriptor, depth + 1)


def _one_of(values: Iterable[int | str]) -> Lines:
    return _refused_if(f"value not in {{{', '.join(map(repr, values))}}}")


def _bounded(field: FieldDescriptor, limit: Limit) -> Lines:
    if field.type == FieldDescriptor.TYPE_STRING:
        yield from _refused_if(f"not {limit.least} <= len(value) <= {limit.most}")
        if limit.form is not None:
            yield from _refused_if(f"value and not {_FORMS[limit.form].format('value')}")
    elif field.type in NUMBERS:
        yield from _refused_if(f"not {limit.least} <= value <= {limit.most}")


def _snowflake() -> Lines:
    return _refused_if(f"not 0 < value <= {MAX_SNOWFLAKE}")


def _is_opaque(field: FieldDescriptor) -> bool:
    """Return whether a field holds messages that are not inlined: recursive ones, files, maps, and protobuf's own."""
    inner = field.message_type
    if inner is None or inner.full_name == DURATION:
        return False
    has_bytes = any(each.type == FieldDescriptor.TYPE_BYTES for each in inner.fields)
    return has_bytes or contains_itself(inner) or is_map(field) or inner.full_name.startswith("google.protobuf.")


def _refused_if(condition: str) -> Lines:
    yield f"if {condition}:"
    yield _REFUSE


def _short_name(descriptor: Descriptor) -> str:
    return str(descriptor.full_name).partition(".")[2]


def _indented(lines: Iterable[str]) -> Lines:
    return (f"    {line}" for line in lines)
