"""Translates the contract's messages to Discord's requests, and Discord's responses to messages.

Pure: `outgoing` returns the request, `incoming` decodes the response. The function that writes a request's body is
generated at the first call: those of all RPCs would take 2 MB and 50 ms of each start.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as hidden
from functools import cached_property
from typing import Any
from urllib.parse import quote

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from discordproxy import annotations_pb2
from discordproxy_api.contract.contract import Rpc, field_option, is_list, json_key, request_parts
from discordproxy_api.contract.decode import Convert, Readers, build
from discordproxy_api.contract.encode import Json, Write, Writers
from discordproxy_api.contract.quick_decode import UNEXPECTED, QuickReaders

_WRITERS, _READERS = Writers(), Readers()
_QUICK_READERS = QuickReaders(_READERS)
Pairs = list[tuple[str, str]]
_NO_PARAMETERS: Mapping[str, str] = {}


@dataclass(slots=True)
class OutgoingFile:
    """One file of a multipart request; `field` is its name there, such as `files[0]`."""

    field: str
    filename: str
    content: bytes = hidden(repr=False)
    content_type: str = ""


@dataclass(slots=True)
class Outgoing:
    """A request to Discord. The repr shows only the route, since the rest may be secret.

    Attributes:
        parameters: by name, unencoded; `path` percent-encodes them.
        query: pairs, unencoded.
        body: JSON object; None if the route has no body.
        elements: JSON array in place of `body`.
        reason: value of X-Audit-Log-Reason, unencoded; "" for none.
        own_nonce: the caller's nonce, which the one in `body` replaces; "" for none.
        tolerated: Discord's JSON error codes that count as success.
        otherwise: by JSON error code, the requests to send instead.
    """

    method: str
    template: str
    parameters: dict[str, str] = hidden(default_factory=dict, repr=False)
    query: list[tuple[str, str]] = hidden(default_factory=list, repr=False)
    body: Json | None = hidden(default=None, repr=False)
    elements: list[Any] | None = hidden(default=None, repr=False)
    files: list[OutgoingFile] = hidden(default_factory=list, repr=False)
    reason: str = hidden(default="", repr=False)
    no_bot_auth: bool = False
    own_nonce: str = hidden(default="", repr=False)
    tolerated: frozenset[int] = frozenset()
    otherwise: Mapping[int, Callable[[], "list[Outgoing]"]] = hidden(default_factory=dict, repr=False)

    @property
    def document(self) -> Json | list[Any] | None:
        """The JSON body, object or array."""
        return self.body if self.elements is None else self.elements

    @property
    def path(self) -> str:
        """The template with its percent-encoded parameters."""
        return self.template.format_map({name: quote(value, safe="") for name, value in self.parameters.items()})


class Translator:
    """Translates the requests and responses of one RPC with a route."""

    def __init__(self, rpc: Rpc) -> None:
        request, response, parts = rpc.request, rpc.response, request_parts(rpc)
        self._rpc = rpc
        self._parameters = [(parameter, each.name) for parameter, each in parts.path.items()]
        self._query = [_query_entry(each) for each in parts.query]
        self._body_fields = parts.body
        self._array = json_key(request.fields_by_name[rpc.body]) if rpc.body else ""
        self._clear = {each.name: (json_key(each), is_list(each)) for each in parts.body}
        self._clearable = "clear" in request.fields_by_name
        self._result = response.fields_by_name[rpc.result] if rpc.result else None
        self._read = _READERS.convert(self._result) if self._result else _READERS.reader(response).read
        quick = _QUICK_READERS
        self._read_quickly = quick.convert(self._result) if self._result else quick.reader(response).read
        self._of_guild = self._result is not None and _lacks_guild(self._result)

    @cached_property
    def _write_body(self) -> Write | None:
        """The function that writes the body, None if requests have none."""
        if not (self._body_fields or self._rpc.files):
            return None
        return _WRITERS.body_writer(self._rpc.request, self._body_fields)

    def outgoing(self, message: Any) -> Outgoing:
        """Return the request for this message."""
        rpc, write_body = self._rpc, self._write_body
        body = None if write_body is None else write_body(message)
        if body is not None and self._clearable:
            for name in message.clear[:]:
                key, is_list_field = self._clear[name]
                body[key] = [] if is_list_field else None
        return Outgoing(
            rpc.method or "",
            rpc.template or "",
            {parameter: str(getattr(message, name)) for parameter, name in self._parameters},
            self._query_of(message) if self._query else [],
            None if self._array else body,
            body.get(self._array, []) if self._array and body is not None else None,
            _files(message.files) if rpc.files and message.files else [],
            message.reason if rpc.reason else "",
            rpc.no_bot_auth,
        )

    def _query_of(self, message: Any) -> list[tuple[str, str]]:
        return [pair for pairs_of in self._query for pair in pairs_of(message)]

    def incoming(self, document: Any, parameters: Mapping[str, str] = _NO_PARAMETERS) -> Any:
        """Return the response for Discord's JSON. Values of the wrong type are omitted; nothing is raised.

        Args:
            document: the decoded JSON, None without a body.
            parameters: path parameters of the request, for the guild id of members and roles, which Discord omits.
        """
        if not isinstance(document, dict | list):
            return self._rpc.response_type()
        make = self._rpc.response_type
        try:
            return make(**self._values(self._read_quickly, document, parameters))
        except UNEXPECTED:
            return build(make, lambda whole: self._values(self._read, whole, parameters), document)

    def _values(self, read: Convert, document: Any, parameters: Mapping[str, str]) -> Json:
        if self._result is None:
            return read(document, 0) if isinstance(document, dict) else {}
        value = read(document, 0)
        if value is None:
            return {}
        if self._of_guild and (guild_id := parameters.get("guild_id")):
            for element in value if isinstance(value, list) else (value,):
                element["guild_id"] = int(guild_id)
        return {self._rpc.result: value}


def message_writer(descriptor: Descriptor) -> Write:
    """Return a function from a message of one type to Discord's JSON."""
    return _WRITERS.writer(descriptor)


def message_reader(descriptor: Descriptor) -> Callable[[Any], Any]:
    """Return a function from Discord's JSON to a message of one type. Values of the wrong type are omitted."""
    make, read = GetMessageClass(descriptor), _READERS.reader(descriptor).read
    read_quickly = _QUICK_READERS.reader(descriptor).read

    def read_message(document: Any) -> Any:
        try:
            return make(**read_quickly(document))
        except UNEXPECTED:
            return build(make, read, document)

    return read_message


def _query_entry(each: FieldDescriptor) -> Callable[[Any], Pairs]:
    """Return a function from a request to the pairs for one of its fields."""
    key, name = json_key(each), each.name
    convert: Callable[[Any], str] = {True: "true", False: "false"}.__getitem__ if _is_bool(each) else str
    if is_list(each) and field_option(each, annotations_pb2.comma_separated):
        return lambda message: _pair_if(getattr(message, name), key, ",".join(map(convert, getattr(message, name))))
    if is_list(each):
        return lambda message: [(key, convert(value)) for value in getattr(message, name)]
    if each.has_presence:
        return lambda message: _pair_if(message.HasField(name), key, convert(getattr(message, name)))
    return lambda message: _pair_if(getattr(message, name), key, convert(getattr(message, name)))


def _pair_if(condition: Any, key: str, value: str) -> Pairs:
    return [(key, value)] if condition else []


def _is_bool(each: FieldDescriptor) -> bool:
    return each.type == FieldDescriptor.TYPE_BOOL


def _lacks_guild(result: FieldDescriptor) -> bool:
    """Return whether the message has a guild id that Discord omits, as members and roles."""
    inner = result.message_type.fields_by_name.get("guild_id") if result.message_type else None
    return inner is not None and bool(field_option(inner, annotations_pb2.proxy_only))


def _files(files: Any) -> list[OutgoingFile]:
    return [
        OutgoingFile(f"files[{index}]", file.filename, file.content, file.content_type)
        for index, file in enumerate(files)
    ]
