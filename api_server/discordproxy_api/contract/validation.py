"""Validates requests before a permit is used; errors have the form of Discord's error 50035.

One plan per message type, compiled at the first use of an RPC from the descriptors and the table of limits.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict, SerializeToJsonError

from discordproxy import annotations_pb2
from discordproxy_api.calls.field_errors import FieldError, FieldErrors, InvalidRequestError
from discordproxy_api.contract.contract import Rpc, field_option, is_map, request_parts
from discordproxy_api.contract.quick_check import compile_quick_check
from discordproxy_api.contract.rules.checks import Check, compile_check, has_control_characters, path_check
from discordproxy_api.contract.rules.limits import (
    CLEAR,
    COMPONENTS,
    DURATION,
    EMBEDS,
    EXTRA_BYTES,
    FILES,
    MAX_DURATION_S,
    MAX_NANOS,
    MAX_SNOWFLAKE,
    NEVER_RESET,
    REASON,
    limits_of,
    writes_message,
)
from discordproxy_api.contract.rules.message_request import embeds_of
from discordproxy_api.contract.rules.message_rules import check_message, too_many_components
from discordproxy_api.contract.rules.request_rules import RULES

__all__ = ["FieldError", "InvalidRequestError", "validate"]


def validate(rpc: Rpc, message: Any) -> None:
    """Validate a request of an RPC, including composites.

    Raises:
        InvalidRequestError: with all errors, at most 25.
    """
    if not _quick_check(rpc)(message):
        validate_completely(rpc, message)


def validate_completely(rpc: Rpc, message: Any) -> None:
    """Validate a request with the checks that record errors. Raises InvalidRequestError as `validate`."""
    problems = FieldErrors()
    _request_plan(rpc).check(message, problems)
    problems.raise_if_any()


class _Plan:
    """The checks of one message type."""

    def __init__(self, descriptor: Descriptor) -> None:
        self._rule = RULES.get(_short_name(descriptor))
        limits = limits_of(_short_name(descriptor))
        self._required = tuple(name for name, limit in limits.items() if limit.required)
        self._checks: dict[str, Check] = {}
        for field in descriptor.fields:
            check = compile_check(field, limits.get(field.name), _nested(field))
            if check is not None and not field_option(field, annotations_pb2.answer_only):
                self._checks[field.name] = check
        self._bulky = any(field.type == FieldDescriptor.TYPE_BYTES for field in descriptor.fields)

    def exclude(self, *names: str) -> None:
        """Remove the checks of fields that are checked elsewhere."""
        self._checks = {name: check for name, check in self._checks.items() if name not in names}
        self._required = tuple(name for name in self._required if name not in names)

    def check(self, message: Any, prefix: str, problems: FieldErrors) -> None:
        """Check the fields that are set, then the required ones."""
        present = self._present(message)
        for name, value in present.items():
            check = self._checks.get(name)
            if check is not None:
                check(value, f"{prefix}{name}", problems)
        for name in self._required:
            if name not in present:
                problems.required(f"{prefix}{name}")
        if self._rule is not None:
            self._rule(message, prefix, problems)

    def _present(self, message: Any) -> dict[str, Any]:
        if self._bulky:  # ListFields would copy the content of files
            return {name: value for name in self._checks if (value := getattr(message, name))}
        return {field.name: value for field, value in message.ListFields()}


class _RequestPlan:
    """The checks of one RPC's request."""

    def __init__(self, rpc: Rpc) -> None:
        parts = request_parts(rpc)
        self._path = [(field.name, path_check(field)) for field in parts.path.values()]
        self._ids_in_query = [field.name for field in parts.query if field.type == FieldDescriptor.TYPE_UINT64]
        self._plan = _Plan(rpc.request)
        self._plan.exclude(*(name for name, _check in self._path), *self._ids_in_query)
        self._writes = writes_message(_short_name(rpc.request))
        if self._writes:
            self._plan.exclude("embed", "embeds", "content")
        composite = rpc.method is None and "reason" in rpc.request.fields_by_name
        self._reason = rpc.reason or composite
        self._clearable = {field.name for field in parts.body} if "clear" in rpc.request.fields_by_name else None

    def check(self, message: Any, problems: FieldErrors) -> None:
        """Check path, fields, then the rules between fields."""
        self._check_ids(message, problems)
        if self._writes and too_many_components(message):
            problems.length("components", COMPONENTS + 1, 0, COMPONENTS)
            return  # a hostile tree is not traversed
        self._plan.check(message, "", problems)
        if self._writes:
            _check_written(message, problems)
        if self._reason:
            _check_reason(message.reason, problems)
        if self._clearable is not None:
            _check_clear(message, self._clearable, problems)

    def _check_ids(self, message: Any, problems: FieldErrors) -> None:
        for name, check in self._path:
            check(getattr(message, name), name, problems)
        for name in self._ids_in_query:
            if getattr(message, name) > MAX_SNOWFLAKE:  # 0 is valid here: the start of a list
                problems.snowflake(name)


@cache
def _quick_check(rpc: Rpc) -> Callable[[Any], bool]:
    return compile_quick_check(rpc)


@cache
def _request_plan(rpc: Rpc) -> _RequestPlan:
    return _RequestPlan(rpc)


@cache
def _plan(descriptor: Descriptor) -> _Plan:
    return _Plan(descriptor)


def _nested(field: FieldDescriptor) -> Check | None:
    if field.message_type is None or is_map(field):
        return None
    if (special := _SPECIAL.get(field.message_type.full_name)) is not None:
        return special
    inner = field.message_type
    return lambda message, path, problems: _plan(inner).check(message, f"{path}.", problems)


def _short_name(descriptor: Descriptor) -> str:
    return str(descriptor.full_name).partition(".")[2]


def _check_duration(duration: Any, path: str, problems: FieldErrors) -> None:
    if duration.seconds < 0 or duration.nanos < 0:
        problems.add(path, "NUMBER_TYPE_MIN", "A duration must not be negative.")
    elif duration.seconds > MAX_DURATION_S or duration.nanos > MAX_NANOS:
        problems.add(path, "NUMBER_TYPE_MAX", "The duration is too long.")


def _check_extra(extra: Any, path: str, problems: FieldErrors) -> None:
    if extra.ByteSize() > EXTRA_BYTES:
        problems.add(path, "BASE_TYPE_MAX_LENGTH", f"Must be {EXTRA_BYTES} bytes or fewer.")
        return
    try:
        MessageToDict(extra)
    except (SerializeToJsonError, ValueError):
        problems.add(path, "JSON_INVALID", "Must be valid JSON: numbers must be finite.")


_SPECIAL: Mapping[str, Check] = {
    DURATION: _check_duration,
    "google.protobuf.Struct": _check_extra,
}


def _check_written(request: Any, problems: FieldErrors) -> None:
    if len(request.embeds) > EMBEDS or len(request.files) > FILES:
        problems.length("embeds", len(request.embeds), 0, EMBEDS)
        return  # hostile lists are not traversed; too many files were reported above
    for index, embed in enumerate(embeds_of(request)):
        _plan(embed.DESCRIPTOR).check(embed, f"embeds[{index}].", problems)
    check_message(request, problems)


def _check_reason(reason: str, problems: FieldErrors) -> None:
    problems.length("reason", len(reason), 0, REASON)
    if has_control_characters(
        reason, except_for="\t\r\n"
    ):  # the header is percent-encoded, and Discord shows line breaks
        problems.add("reason", "CONTROL_CHARACTERS", "Control characters other than line breaks are not allowed.")


def _check_clear(message: Any, clearable: set[str], problems: FieldErrors) -> None:
    present = {field.name for field, _value in message.ListFields()}
    problems.length("clear", len(message.clear), 0, CLEAR)
    for index, name in enumerate(message.clear[:CLEAR]):
        if name not in clearable:
            problems.add(f"clear[{index}]", "FIELD_UNKNOWN", "The request has no field of this name to reset.")
        elif name in NEVER_RESET.get(_short_name(message.DESCRIPTOR), ()):
            problems.required(name)
        elif name in present:
            problems.conflict(f"clear[{index}]", "A field is either set or reset, not both.")
