"""The parts of Discord's OpenAPI description that the contract does not type: operations, fields, enum values."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from discordproxy import annotations_pb2
from discordproxy_api.contract.contract import Rpc, field_option, json_key, request_parts
from discordproxy_api.contract.encode import enum_offset
from strategies.discord_spec import alternatives, answer_schema, body_schema, resolve

METHODS = ("get", "put", "post", "patch", "delete")

COVERED = {
    "POST /interactions/{interaction_id}/{interaction_token}/callback": "CreateInteractionResponse",
    "POST /users/@me/channels": "SendDirectMessage",
    "GET /applications/{application_id}/commands": "ListCommands",
    "GET /applications/{application_id}/guilds/{guild_id}/commands": "ListCommands",
    "PUT /applications/{application_id}/commands": "SyncCommands",
    "PUT /applications/{application_id}/guilds/{guild_id}/commands": "SyncCommands",
}
"""Operations that a composite RPC performs, if the contract has it."""

FORUM_MESSAGE = range(2, 30)
"""Field numbers of a forum post that are sent in its object `message`."""

WRAPPED = {"discord_api.Message.message_snapshots": "message"}
"""Lists of objects with a single key, which the contract omits."""

OPAQUE = frozenset({f"google.protobuf.{name}" for name in ("Struct", "Value", "Duration")})


@dataclass
class Gaps:
    """The untyped parts.

    Attributes:
        operations: as `GET /guilds/{guild_id}`.
        fields: as `Message.resolved` or `Channel.Type=15`.
    """

    operations: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)


def find_gaps(spec: dict[str, Any], contract: Mapping[str, Rpc]) -> Gaps:
    """Compare the whole contract with Discord's description."""
    typed = {f"{rpc.method} {rpc.template}" for rpc in contract.values() if rpc.method}
    covered = {operation for operation, name in COVERED.items() if name in contract}
    fields = _Fields(spec)
    for rpc in contract.values():
        if rpc.method:
            fields.compare(rpc)
    return Gaps(set(_operations(spec)) - typed - covered, fields.gaps())


def _operations(spec: dict[str, Any]) -> Iterator[str]:
    for path, item in spec["paths"].items():
        yield from (f"{method.upper()} {path}" for method in METHODS if method in item)


class _Fields:
    """Collects what Discord describes of each message and enum, over all its occurrences."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self._described: dict[str, set[str]] = {}
        self._typed: dict[str, set[str]] = {}
        self._seen: set[tuple[str, int]] = set()

    def gaps(self) -> set[str]:
        return {f"{name}{key}" for name, keys in self._described.items() for key in keys - self._typed[name]}

    def compare(self, rpc: Rpc) -> None:
        """Compare the parameters, the body and the response of one RPC."""
        operation = self._spec["paths"][rpc.template][(rpc.method or "").lower()]
        declared = [*self._spec["paths"][rpc.template].get("parameters", ()), *operation.get("parameters", ())]
        parts = request_parts(rpc)
        name = _short(rpc.request)
        self._add(name, (each["name"] for each in declared if each["in"] == "query"), map(json_key, parts.query))
        body = body_schema(self._spec, rpc.method or "", rpc.template or "")
        if body is not None:
            self._body(rpc, body, parts.body)
        answer = answer_schema(self._spec, rpc.method or "", rpc.template or "")
        if answer is not None and rpc.response.fields:
            descriptor = rpc.response.fields_by_name[rpc.result].message_type if rpc.result else rpc.response
            self._message(descriptor, answer)

    def _body(self, rpc: Rpc, schema: dict[str, Any], fields: Iterable[FieldDescriptor]) -> None:
        places = alternatives(self._spec, schema)
        if rpc.name == "CreateForumPost":
            inner = [field for field in fields if field.number in FORUM_MESSAGE]
            fields = [field for field in fields if field.number not in FORUM_MESSAGE]
            places = [place for place in places if "message" in place["properties"]]
            self._request(rpc, [place["properties"]["message"] for place in places], inner)
            self._add(_short(rpc.request), (), ("message",))
        elif rpc.name == "CreateThread":
            places = [place for place in places if "message" not in place["properties"]]
        self._request(rpc, places, fields)

    def _request(self, rpc: Rpc, places: Iterable[dict[str, Any]], fields: Iterable[FieldDescriptor]) -> None:
        fields = list(fields)
        typed = {json_key(each) for each in fields}
        if "files" in rpc.request.fields_by_name:
            typed.add("attachments")  # made of `files`
        for place in places:
            for each in alternatives(self._spec, place):
                known = each.get("properties", {})
                self._add(_short(rpc.request), known, typed)
                self._nested(fields, known)

    def _message(self, descriptor: Descriptor, schema: dict[str, Any]) -> None:
        if descriptor.full_name in OPAQUE:
            return
        for each in alternatives(self._spec, schema):
            for inner in alternatives(self._spec, resolve(self._spec, each.get("items", each))):
                if (descriptor.full_name, id(inner)) not in self._seen:
                    self._seen.add((descriptor.full_name, id(inner)))
                    known = inner.get("properties", {})
                    sent = [each for each in descriptor.fields if not field_option(each, annotations_pb2.proxy_only)]
                    self._add(_short(descriptor), known, map(json_key, sent))
                    self._nested(sent, known)

    def _nested(self, fields: Iterable[FieldDescriptor], known: Mapping[str, Any]) -> None:
        for each in fields:
            schema = known.get(json_key(each))
            if schema is None:
                continue
            if each.full_name in WRAPPED:
                schema = resolve(self._spec, resolve(self._spec, schema)["items"])["properties"][
                    WRAPPED[each.full_name]
                ]
            if each.message_type is not None and not each.message_type.GetOptions().map_entry:
                self._message(each.message_type, schema)
            elif each.enum_type is not None:
                offset = enum_offset(each)
                values = {f"={number}" for number in _constants(self._spec, schema)}
                typed = {f"={number + offset}" for number in each.enum_type.values_by_number}
                self._add_raw(each.enum_type.full_name.partition(".")[2], values, typed)

    def _add(self, name: str, described: Iterable[str], typed: Iterable[str]) -> None:
        self._add_raw(name, {f".{key}" for key in described}, {f".{key}" for key in typed})

    def _add_raw(self, name: str, described: set[str], typed: set[str]) -> None:
        self._described.setdefault(name, set()).update(described)
        self._typed.setdefault(name, set()).update(typed)


def _constants(spec: dict[str, Any], schema: dict[str, Any]) -> Iterator[int]:
    """Yield the numbers of an enum in the description."""
    schema = resolve(spec, schema)
    schema = resolve(spec, schema.get("items", schema))
    yield from (value for value in schema.get("enum", ()) if isinstance(value, int))
    for each in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
        if isinstance(each.get("const"), int):
            yield each["const"]
        elif "const" not in each:
            yield from _constants(spec, each)


def _short(descriptor: Descriptor) -> str:
    return str(descriptor.full_name).partition(".")[2]
