"""Translation between the contract's messages and Discord's requests and answers, from plans compiled at start.

Pure: the servicer sends what `outgoing` returns and hands the answer's JSON to `incoming`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as hidden
from typing import Any
from urllib.parse import quote

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from discordproxy import annotations_pb2
from discordproxy_api.contract.contract import Rpc, field_option, is_list, json_key, request_parts
from discordproxy_api.contract.decode import Readers, build
from discordproxy_api.contract.encode import Json, Writers

_WRITERS, _READERS = Writers(), Readers()
_NO_PARAMETERS: Mapping[str, str] = {}


@dataclass(slots=True)
class OutgoingFile:
    """One part of a multipart request; `field` is its name there, `files[0]`."""

    field: str
    filename: str
    content: bytes = hidden(repr=False)
    content_type: str = ""


@dataclass(slots=True)
class Outgoing:
    """What to send to Discord. The repr shows the route only: the rest may be secret.

    Attributes:
        parameters: by name, as they were given; `path` percent-encodes them.
        query: pairs, not yet encoded.
        body: JSON object; None when the route takes none.
        reason: for X-Audit-Log-Reason, not yet encoded; "" for none.
        own_nonce: the caller's, for which the one in `body` stands; "" for none.
        tolerated: Discord's JSON error codes that mean the aim is reached: such an answer counts as success.
        otherwise: by JSON error code, what to send instead when Discord refuses with it.
    """

    method: str
    template: str
    parameters: dict[str, str] = hidden(default_factory=dict, repr=False)
    query: list[tuple[str, str]] = hidden(default_factory=list, repr=False)
    body: Json | None = hidden(default=None, repr=False)
    files: list[OutgoingFile] = hidden(default_factory=list, repr=False)
    reason: str = hidden(default="", repr=False)
    no_bot_auth: bool = False
    own_nonce: str = hidden(default="", repr=False)
    tolerated: frozenset[int] = frozenset()
    otherwise: Mapping[int, Callable[[], "list[Outgoing]"]] = hidden(default_factory=dict, repr=False)

    @property
    def path(self) -> str:
        """The template with its parameters filled in, percent-encoded: an emoji is fine, a slash stays inside."""
        return self.template.format_map({name: quote(value, safe="") for name, value in self.parameters.items()})


class Translator:
    """Translates the requests and answers of one RPC with a route."""

    def __init__(self, rpc: Rpc) -> None:
        request, response, parts = rpc.request, rpc.response, request_parts(rpc)
        self._rpc = rpc
        self._parameters = [(parameter, each.name) for parameter, each in parts.path.items()]
        self._query = [_query_entry(each) for each in parts.query]
        self._body = _WRITERS.body_writer(request, parts.body) if parts.body or rpc.files else None
        self._clear = {each.name: (json_key(each), is_list(each)) for each in parts.body}
        self._clearable = "clear" in request.fields_by_name
        self._result = response.fields_by_name[rpc.result] if rpc.result else None
        self._read = _READERS.convert(self._result) if self._result else _READERS.reader(response).read
        self._of_guild = self._result is not None and _lacks_guild(self._result)

    def outgoing(self, message: Any) -> Outgoing:
        """Return the request that Discord expects for this message."""
        rpc = self._rpc
        body = None if self._body is None else self._body(message)
        if body is not None and self._clearable:
            for name in message.clear[:]:
                key, is_list_field = self._clear[name]
                body[key] = [] if is_list_field else None
        return Outgoing(
            rpc.method or "",
            rpc.template or "",
            {parameter: str(getattr(message, name)) for parameter, name in self._parameters},
            self._query_of(message) if self._query else [],
            body,
            _files(message.files) if rpc.files and message.files else [],
            message.reason if rpc.reason else "",
            rpc.no_bot_auth,
        )

    def _query_of(self, message: Any) -> list[tuple[str, str]]:
        return [(key, text(getattr(message, name))) for key, name, text, is_set in self._query if is_set(message)]

    def incoming(self, document: Any, parameters: Mapping[str, str] = _NO_PARAMETERS) -> Any:
        """Return the response for Discord's JSON; what does not fit is left out, nothing raises.

        Args:
            document: the decoded JSON of the answer, None when it had no body.
            parameters: those of the request; they tell the guild of members and roles, which Discord omits.
        """
        if not isinstance(document, dict | list):
            return self._rpc.response_type()
        return build(self._rpc.response_type, lambda whole: self._values(whole, parameters), document)

    def _values(self, document: Any, parameters: Mapping[str, str]) -> Json:
        if self._result is None:
            return self._read(document, 0) if isinstance(document, dict) else {}
        value = self._read(document, 0)
        if value is None:
            return {}
        if self._of_guild and (guild_id := parameters.get("guild_id")):
            for element in value if isinstance(value, list) else (value,):
                element["guild_id"] = int(guild_id)
        return {self._rpc.result: value}


def compile_message(descriptor: Descriptor) -> tuple[Callable[[Any], Json], Callable[[Mapping[str, Any]], Any]]:
    """Return `to_json(message) -> dict` and `from_json(dict) -> message` for one message type."""
    make, read = GetMessageClass(descriptor), _READERS.reader(descriptor).read
    return _WRITERS.writer(descriptor), lambda document: build(make, read, document)


def _query_entry(each: FieldDescriptor) -> tuple[str, str, Callable[[Any], str], Callable[[Message], bool]]:
    name = each.name
    convert: Callable[[Any], str] = {True: "true", False: "false"}.__getitem__ if _is_bool(each) else str
    if each.has_presence:
        return json_key(each), name, convert, lambda message: message.HasField(name)
    return json_key(each), name, convert, lambda message: bool(getattr(message, name))


def _is_bool(each: FieldDescriptor) -> bool:
    return each.type == FieldDescriptor.TYPE_BOOL


def _lacks_guild(result: FieldDescriptor) -> bool:
    """Members and roles carry a guild id of the proxy's own."""
    inner = result.message_type.fields_by_name.get("guild_id") if result.message_type else None
    return inner is not None and bool(field_option(inner, annotations_pb2.proxy_only))


def _files(files: Any) -> list[OutgoingFile]:
    return [
        OutgoingFile(f"files[{index}]", file.filename, file.content, file.content_type)
        for index, file in enumerate(files)
    ]
