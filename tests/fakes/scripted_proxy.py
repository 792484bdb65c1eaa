"""A real gRPC server with scripted responses, for the client's tests."""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message as AnyMessage
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.wrappers_pb2 import StringValue
from grpc_health.v1 import health, health_pb2_grpc

from discordproxy.discord_api_pb2 import DESCRIPTOR

SERVICE = DESCRIPTOR.services_by_name["DiscordApi"]


@dataclass
class Received:
    rpc: str
    request: Any
    metadata: dict[str, str]
    time_left: float | None


def fail(code: grpc.StatusCode, details: str | dict[str, Any]) -> Callable[[Any, grpc.ServicerContext], NoReturn]:
    """Return a scripted answer that aborts the call."""

    def answer(_request: Any, context: grpc.ServicerContext) -> NoReturn:
        context.abort(code, details if isinstance(details, str) else json.dumps(details))

    return answer


@dataclass
class ScriptedProxy:
    """Answers each RPC with the next scripted answer, then with an empty response."""

    address: str = ""
    received: list[Received] = field(default_factory=list)
    answers: dict[str, deque[Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def script(self, rpc: str, *answers: Any) -> None:
        """Set the next answers of an RPC: responses, or functions of request and context."""
        self.answers.setdefault(rpc, deque()).extend(answers)

    def _behaviour(self, rpc: str) -> Callable[[Any, grpc.ServicerContext], Any]:
        response = GetMessageClass(SERVICE.methods_by_name[rpc].output_type)

        def behave(request: Any, context: grpc.ServicerContext) -> Any:
            left = context.time_remaining()
            with self.lock:
                self.received.append(Received(rpc, request, dict(context.invocation_metadata()), left))
                script = self.answers.get(rpc)
                answer = script.popleft() if script else response()
            return answer if isinstance(answer, AnyMessage) else answer(request, context)

        return behave

    def handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        return {
            method.name: grpc.unary_unary_rpc_method_handler(
                self._behaviour(method.name),
                request_deserializer=GetMessageClass(method.input_type).FromString,
                response_serializer=GetMessageClass(method.output_type).SerializeToString,
            )
            for method in SERVICE.methods
            if not method.server_streaming
        }


@contextmanager
def scripted_proxy(address: str = "127.0.0.1:0", workers: int = 16, **server: Any) -> Iterator[ScriptedProxy]:
    """Serve until the block ends; the address is in the object."""
    proxy = ScriptedProxy()
    grpc_server = grpc.server(futures.ThreadPoolExecutor(workers), options=[("grpc.so_reuseport", 0)])
    grpc_server.add_registered_method_handlers(SERVICE.full_name, proxy.handlers())
    if "console" in server:
        answers = {name: StringValue(value=json.dumps(answer)) for name, answer in server["console"].items()}
        console = {
            name: grpc.unary_unary_rpc_method_handler(
                lambda _request, _context, answer=answer: answer,
                request_deserializer=Empty.FromString,
                response_serializer=StringValue.SerializeToString,
            )
            for name, answer in answers.items()
        }
        grpc_server.add_registered_method_handlers("discordproxy.Console", console)
    if "health" in server:
        servicer = health.HealthServicer()
        for service, status in server["health"].items():
            servicer.set(service, status)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, grpc_server)
    credentials = server.get("credentials")
    port = grpc_server.add_secure_port(address, credentials) if credentials else grpc_server.add_insecure_port(address)
    proxy.address = address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"
    grpc_server.start()
    try:
        yield proxy
    finally:
        grpc_server.stop(None).wait()
