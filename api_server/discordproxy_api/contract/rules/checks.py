"""Checks of single values, compiled from the table of limits once per field."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from discordproxy_api.calls.field_errors import FieldErrors
from discordproxy_api.contract.contract import is_list, is_map
from discordproxy_api.contract.encode import enum_offset
from discordproxy_api.contract.rules.file_names import ATTACHMENT
from discordproxy_api.contract.rules.limits import INT32, MAX_SNOWFLAKE, MAX_TEXTS, PATH_FORMS, TEXT, TOKEN, Form, Limit

Check = Callable[[Any, str, FieldErrors], None]  # value, path, where to record problems

BIT_FIELDS = frozenset({"allow", "default_member_permissions", "deny", "permissions"})
"""The only uint64 fields that are no ids."""
_OPEN_ENUMS = frozenset(
    {"discord_api.Component.Type", "discord_api.Component.ButtonStyle", "discord_api.AuditLogEntry.ActionType"}
)
NUMBERS = frozenset({FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_DOUBLE})
_SCHEMES: Mapping[Form, tuple[str, ...]] = {
    Form.WEB: ("http", "https"),
    Form.LINK: ("http", "https", "discord"),
    Form.MEDIA: ("http", "https", "attachment"),
}
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://[^\s/?#][^\s/?#]*(?:[/?#].*)?", re.ASCII | re.DOTALL)
_TOKEN = re.compile(r"[A-Za-z0-9_-]+")
_CUSTOM_EMOJI = re.compile(r"(a:)?[A-Za-z0-9_~]{1,64}:[0-9]{1,20}")
_IMAGE = re.compile(r"data:image/[A-Za-z0-9+.-]+;base64,[A-Za-z0-9+/\s]+=*\s*")
_SOUND = re.compile(r"data:audio/[A-Za-z0-9+.-]+;base64,[A-Za-z0-9+/\s]+=*\s*")
_MAX_EMOJI_LENGTH = 64
PATH_SEGMENT = 256
"""Maximum length of a path parameter, except tokens."""
_KEYCAPS = frozenset("0123456789#*")
"""The only ASCII characters in Unicode emoji."""


def compile_check(field: FieldDescriptor, limit: Limit | None, nested: Check | None = None) -> Check | None:
    """Return the check of a field that is set; None for a field without rules.

    Args:
        field: field of a request.
        limit: its limit in the table.
        nested: the check of the field's message.
    """
    if is_map(field):
        return _texts_by_key(limit or Limit(most=MAX_TEXTS))
    single = nested or _single(field, limit)
    if is_list(field):
        return _elements(single or _anything, limit) if single or limit else None
    return single


def path_check(field: FieldDescriptor) -> Check:
    """Return the check of a path parameter's field, which is required."""
    form = PATH_FORMS.get(field.name, Form.PATH)
    single = _text(Limit(1, TOKEN if form is Form.TOKEN else PATH_SEGMENT, form=form))

    def check(value: Any, path: str, problems: FieldErrors) -> None:
        if not value:
            problems.required(path)
        elif isinstance(value, str):
            single(value, path, problems)
        elif not 0 < value <= MAX_SNOWFLAKE:
            problems.snowflake(path)

    return check


def has_control_characters(value: str, *, except_for: str = "") -> bool:
    """Return whether the text has control characters, including line breaks, except those in `except_for`."""
    return any(
        unicodedata.category(character) in {"Cc", "Zl", "Zp"} and character not in except_for for character in value
    )


def _elements(single: Check, limit: Limit | None) -> Check:
    least, most = (limit.least, limit.most) if limit else (0, INT32)

    def check(values: Any, path: str, problems: FieldErrors) -> None:
        if not least <= len(values) <= most:  # the elements are not checked: there may be millions
            problems.length(path, len(values), least, most)
        elif single is _snowflake and min(values) > 0 and max(values) <= MAX_SNOWFLAKE:
            return  # fast path for the usual case
        else:
            for index, value in enumerate(values):
                single(value, f"{path}[{index}]", problems)

    return check


def _texts_by_key(limit: Limit) -> Check:
    def check(values: Any, path: str, problems: FieldErrors) -> None:
        if len(values) > limit.most:
            problems.length(path, len(values), 0, limit.most)
            return
        for key, text in values.items():
            problems.length(f"{path}.{key[:TEXT]}", len(text), 1, TEXT)

    return check


def _single(field: FieldDescriptor, limit: Limit | None) -> Check | None:
    if field.enum_type is not None:
        return _choices(field, field.enum_type, limit)
    if field.type == FieldDescriptor.TYPE_UINT64:
        return None if field.name in BIT_FIELDS else _snowflake
    if limit is None or field.message_type is not None:
        return None
    if limit.choices:
        return _one_of(limit.choices, str(limit.choices))
    if field.type == FieldDescriptor.TYPE_STRING and not is_list(field):
        return _text(limit)
    return _number(limit) if field.type in NUMBERS and not is_list(field) else None


def _anything(_value: Any, _path: str, _problems: FieldErrors) -> None:
    """Accept every element: only the length of the list is limited."""


def _snowflake(value: Any, path: str, problems: FieldErrors) -> None:
    if not 0 < value <= MAX_SNOWFLAKE:
        problems.snowflake(path)


def allowed_numbers(field: FieldDescriptor, enum: EnumDescriptor, limit: Limit | None) -> Mapping[int, str] | None:
    """Return the valid numbers of a field with their names; None if values newer than the contract are valid."""
    if enum.full_name in _OPEN_ENUMS:
        return None
    numbers = {number: value.name for number, value in enum.values_by_number.items()}
    if enum_offset(field):
        del numbers[0]  # "undefined" exists only in the contract
    if limit is not None and limit.choices:
        numbers = {number: name for number, name in numbers.items() if number in limit.choices}
    return numbers


def _choices(field: FieldDescriptor, enum: EnumDescriptor, limit: Limit | None) -> Check | None:
    numbers = allowed_numbers(field, enum, limit)
    return None if numbers is None else _one_of(tuple(numbers), ", ".join(numbers.values()))


def _one_of(allowed: tuple[int | str, ...], words: str) -> Check:
    text = f"Value must be one of {{{words.strip('()')}}}."

    def check(value: Any, path: str, problems: FieldErrors) -> None:
        if value not in allowed:
            problems.add(path, "BASE_TYPE_CHOICES", text)

    return check


def _number(limit: Limit) -> Check:
    def check(value: Any, path: str, problems: FieldErrors) -> None:
        if value > limit.most:
            problems.add(path, "NUMBER_TYPE_MAX", f"int value should be less than or equal to {limit.most}.")
        elif not value >= limit.least:  # includes NaN
            problems.add(path, "NUMBER_TYPE_MIN", f"int value should be greater than or equal to {limit.least}.")

    return check


def _text(limit: Limit) -> Check:
    form = _FORMS.get(limit.form) if limit.form else None

    def check(value: Any, path: str, problems: FieldErrors) -> None:
        length = len(value.strip() if limit.trimmed else value)
        if not limit.least <= length <= limit.most:
            problems.length(path, length, limit.least, limit.most)
        elif form is not None and value:
            form(value, path, problems)

    return check


def _address(form: Form) -> Check:
    schemes = _SCHEMES[form]

    def check(value: Any, path: str, problems: FieldErrors) -> None:
        if form is Form.MEDIA and value.startswith(ATTACHMENT) and value != ATTACHMENT:
            return  # followed by any file name
        match = _ADDRESS.fullmatch(value)
        if match is None:
            problems.add(path, "URL_TYPE_INVALID_URL", "Not a well formed URL.")
        elif match[1].lower() not in schemes:
            problems.add(path, "URL_TYPE_INVALID_SCHEME", f"Scheme must be one of {schemes}.")

    return check


def _time(value: Any, path: str, problems: FieldErrors) -> None:
    try:
        datetime.fromisoformat(value.strip().upper())
    except ValueError:
        problems.add(path, "DATE_TYPE_PARSE", "Could not parse. Should be ISO8601.")


def _image(value: Any, path: str, problems: FieldErrors) -> None:
    if not _IMAGE.fullmatch(value):
        problems.add(path, "IMAGE_INVALID", "Must be an image as a data URI: data:image/png;base64,...")


def _sound(value: Any, path: str, problems: FieldErrors) -> None:
    if not _SOUND.fullmatch(value):
        problems.add(path, "SOUND_INVALID", "Must be a sound as a data URI: data:audio/ogg;base64,...")


def _filename(value: Any, path: str, problems: FieldErrors) -> None:
    if has_control_characters(value):
        problems.add(path, "CONTROL_CHARACTERS", "Control characters are not allowed.")


def _segment(value: Any, path: str, problems: FieldErrors) -> None:
    if has_control_characters(value) or {"/", "\\", "%"} & set(value) or value in {".", ".."}:
        text = "Must be one segment of a path: without slashes, percent-encoding and control characters."
        problems.add(path, "PATH_SEGMENT_INVALID", text)


def _token(value: Any, path: str, problems: FieldErrors) -> None:
    if not _TOKEN.fullmatch(value):
        problems.add(path, "PATH_SEGMENT_INVALID", "Only letters, digits, '-' and '_' are allowed.")


def _emoji(value: Any, path: str, problems: FieldErrors) -> None:
    ascii_part = {character for character in value if character.isascii()}
    unicode = not value.isascii() and len(value) <= _MAX_EMOJI_LENGTH and ascii_part <= _KEYCAPS
    if has_control_characters(value) or not (unicode or _CUSTOM_EMOJI.fullmatch(value)):
        problems.add(path, "EMOJI_INVALID", "Must be one unicode emoji, or name:id of a custom one.")


_FORMS: Mapping[Form, Check] = {
    **{form: _address(form) for form in _SCHEMES},
    Form.TIME: _time,
    Form.IMAGE: _image,
    Form.SOUND: _sound,
    Form.FILENAME: _filename,
    Form.PATH: _segment,
    Form.TOKEN: _token,
    Form.EMOJI: _emoji,
}
