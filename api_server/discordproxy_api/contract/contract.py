"""The RPCs of the service with their Discord routes, read from the annotations of the proto.

An error in an annotation is raised at the start of the server.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from discordproxy import annotations_pb2, discord_api_pb2

_PARAMETER = re.compile(r"\{(\w+)\}")
_PATH_TYPES = frozenset({FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_STRING})

SERVICE = "/discord_api.DiscordApi/"
"""Prefix of the service's methods on the wire."""


class ContractError(Exception):
    """An annotation contradicts its message; the text names the RPC and the error."""


@dataclass(frozen=True, slots=True, eq=False)
class Rpc:
    """One RPC. Compared by identity, so that compiled functions are found without hashing its fields.

    Attributes:
        path: gRPC's name, `/discord_api.DiscordApi/SendChannelMessage`.
        method: HTTP method; None for the composites, which have no route of their own.
        template: path template of the route; None like `method`.
        reason: Discord accepts X-Audit-Log-Reason.
        files: Discord accepts multipart files.
        result: response field for Discord's JSON document; "" if the document is the whole response.
        no_bot_auth: a token in the path authorizes the call.
        may_be_empty: Discord's response may have no document.
        body: request field whose elements are the JSON body; "" if the body is an object.
        streaming: the response is a stream.
    """

    name: str
    path: str
    request_type: type[Message]
    response_type: type[Message]
    method: str | None = None
    template: str | None = None
    reason: bool = False
    files: bool = False
    result: str = ""
    no_bot_auth: bool = False
    may_be_empty: bool = False
    body: str = ""
    streaming: bool = False

    @property
    def request(self) -> Descriptor:
        """The request's descriptor."""
        return cast("Descriptor", self.request_type.DESCRIPTOR)

    @property
    def response(self) -> Descriptor:
        """The response's descriptor."""
        return cast("Descriptor", self.response_type.DESCRIPTOR)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names in the template's braces, in order."""
        return parameter_names(self.template or "")

    def fits(self, document: Any) -> bool:
        """Return whether Discord's JSON has the type of the response; None for a response without a document."""
        expected = _document_type(self)
        if document is None:
            return expected is None or self.may_be_empty
        if self.result == "message" and not (isinstance(document, dict) and document.get("id")):
            return False
        return expected is None or isinstance(document, expected)


@cache
def _document_type(rpc: Rpc) -> type | None:
    """Return the type of Discord's JSON for a response; None if any is fine."""
    if not rpc.response.fields:
        return None
    result = rpc.response.fields_by_name[rpc.result] if rpc.result else None
    return list if result is not None and is_list(result) and not is_map(result) else dict


def parameter_names(template: str) -> tuple[str, ...]:
    """Return the names in a template's braces, in order."""
    return tuple(_PARAMETER.findall(template))


def field_option(field: FieldDescriptor, extension: Any) -> Any:
    """Return the value of a field's annotation, or its default."""
    return field.GetOptions().Extensions[extension]


def is_list(field: FieldDescriptor) -> bool:
    """Return whether the field is repeated. protobuf 5 has no `is_repeated`, protobuf 7 warns about `label`."""
    if hasattr(field, "is_repeated"):
        return bool(field.is_repeated)
    return bool(getattr(field, "label", None) == FieldDescriptor.LABEL_REPEATED)


def is_map(field: FieldDescriptor) -> bool:
    """Return whether the field is a map, which is a JSON object."""
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def is_json(field: FieldDescriptor) -> bool:
    """Return whether the field holds any JSON, a google.protobuf.Value."""
    return field.message_type is not None and field.message_type.full_name == "google.protobuf.Value"


def is_sent(field: FieldDescriptor) -> bool:
    """Return whether the field is part of a request to Discord."""
    return not (field_option(field, annotations_pb2.proxy_only) or field_option(field, annotations_pb2.answer_only))


def is_id_in_query(field: FieldDescriptor) -> bool:
    """Return whether the field of a query is one id, whose 0 is valid: the start of a list."""
    return field.type == FieldDescriptor.TYPE_UINT64 and not is_list(field)


def json_key(field: FieldDescriptor) -> str:
    """Return the field's name in Discord's JSON."""
    return str(field_option(field, annotations_pb2.json_key) or field.name)


def path_field(request: Descriptor, parameter: str) -> FieldDescriptor | None:
    """Return the request's field for this path parameter."""
    for field in request.fields:
        if (field_option(field, annotations_pb2.path_param) or field.name) == parameter:
            return field
    return None


@dataclass(frozen=True, slots=True)
class RequestParts:
    """The fields of a request by their place in the HTTP request, without those for the proxy alone.

    Attributes:
        path: by parameter of the template.
    """

    path: Mapping[str, FieldDescriptor]
    query: tuple[FieldDescriptor, ...]
    body: tuple[FieldDescriptor, ...]


@cache
def request_parts(rpc: Rpc) -> RequestParts:
    """Return the fields of an RPC's request by their place in the HTTP request."""
    path = {name: field for name in rpc.parameters if (field := path_field(rpc.request, name)) is not None}
    taken = {field.name for field in path.values()}
    rest = [field for field in rpc.request.fields if is_sent(field) and field.name not in taken]
    query = tuple(field for field in rest if field_option(field, annotations_pb2.in_query))
    return RequestParts(path, query, tuple(field for field in rest if field not in query))


@cache
def load_contract(service: ServiceDescriptor | None = None) -> Mapping[str, Rpc]:
    """Return every RPC by name; by default those of `discord_api.DiscordApi`. Built once in a process.

    Raises:
        ContractError: a route names a parameter, result or file list that is missing in its messages.
    """
    service = service or discord_api_pb2.DESCRIPTOR.services_by_name["DiscordApi"]
    contract = {method.name: _rpc(service, method) for method in service.methods}
    for rpc in contract.values():
        for problem in _problems(rpc):
            raise ContractError(f"{rpc.name}: {problem}")
    return MappingProxyType(contract)


def _rpc(service: ServiceDescriptor, method: MethodDescriptor) -> Rpc:
    route = method.GetOptions().Extensions[annotations_pb2.route]
    pattern = route.WhichOneof("pattern")
    return Rpc(
        name=method.name,
        path=f"/{service.full_name}/{method.name}",
        request_type=GetMessageClass(method.input_type),
        response_type=GetMessageClass(method.output_type),
        method=pattern.upper() if pattern else None,
        template=getattr(route, pattern) if pattern else None,
        reason=route.reason,
        files=route.files,
        result=route.result,
        no_bot_auth=route.no_bot_auth,
        may_be_empty=route.may_be_empty,
        body=route.body,
        streaming=method.server_streaming,
    )


def _problems(rpc: Rpc) -> Iterator[str]:
    request, response = rpc.request, rpc.response
    for parameter in rpc.parameters:
        field = path_field(request, parameter)
        if field is None:
            yield f"{{{parameter}}} of its route is no field of {request.name}"
        elif is_list(field) or field.type not in _PATH_TYPES:
            yield f"{request.name}.{field.name} cannot fill {{{parameter}}}: a single id, number or text is needed"
    if rpc.result and rpc.result not in response.fields_by_name:
        yield f"result {rpc.result!r} is no field of {response.name}"
    if rpc.body and not (rpc.body in request.fields_by_name and is_list(request.fields_by_name[rpc.body])):
        yield f"body {rpc.body!r} is no list of {request.name}"
    if rpc.files and "files" not in request.fields_by_name:
        yield f"its route takes files, but {request.name} has no field files"
    if rpc.reason and "reason" not in request.fields_by_name:
        yield f"its route takes a reason, but {request.name} has no field reason"
