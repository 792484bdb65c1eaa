"""gRPC reflection: services and message types for tools such as grpcurl.

Two protocols with the same messages are in use: `v1alpha`, which grpcio-reflection implements, and `v1`, which newer
tools try first.
"""

from collections.abc import Sequence
from functools import cache

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.json_format import MessageToJson, Parse
from grpc_reflection.v1alpha import reflection, reflection_pb2

from discordproxy import console_pb2

CONSOLE = console_pb2.DESCRIPTOR.services_by_name["Console"].full_name
V1ALPHA = reflection.SERVICE_NAME
V1 = "grpc.reflection.v1.ServerReflection"


def reflection_handlers(services: Sequence[str]) -> tuple[grpc.GenericRpcHandler, ...]:
    """Return handlers of both protocols that list these services, and reflection itself."""
    servicer = reflection.aio.ReflectionServicer((*services, V1, V1ALPHA), pool=_pool())
    method = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    methods = {"ServerReflectionInfo": method}
    return tuple(grpc.method_handlers_generic_handler(name, methods) for name in (V1, V1ALPHA))


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    """Return the pool of all messages; those of `v1` are those of `v1alpha` under another name."""
    pool, file = descriptor_pool.Default(), FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    text = MessageToJson(file).replace(V1ALPHA.rpartition(".")[0], V1.rpartition(".")[0])
    file = Parse(text, FileDescriptorProto())
    file.name = "grpc/reflection/v1/reflection.proto"
    pool.AddSerializedFile(file.SerializeToString())
    return pool
