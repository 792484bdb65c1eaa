"""Services and messages as tools see them by reflection, in both protocols."""

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

SERVICES = {
    "discord_api.DiscordApi",
    "discordproxy.Console",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
}


async def ask(served, protocol, **question):
    method = served.channel.stream_stream(
        f"/grpc.reflection.{protocol}.ServerReflection/ServerReflectionInfo",
        ServerReflectionRequest.SerializeToString,
        ServerReflectionResponse.FromString,
    )
    return await method(iter([ServerReflectionRequest(**question)])).read()


@pytest.mark.parametrize("protocol", ["v1", "v1alpha"])
async def test_all_services_are_listed_and_described(served, protocol):
    listed = await ask(served, protocol, list_services="")
    assert {service.name for service in listed.list_services_response.service} == SERVICES
    pool, wanted = DescriptorPool(), []
    for name in SERVICES:
        described = await ask(served, protocol, file_containing_symbol=name)
        assert not described.HasField("error_response"), name
        wanted += described.file_descriptor_response.file_descriptor_proto
    known = set()
    while wanted:  # as a tool does: each file after those that it imports
        file = FileDescriptorProto.FromString(wanted.pop())
        missing = [name for name in file.dependency if name not in known]
        if missing:
            wanted.append(file.SerializeToString())
            for name in missing:
                described = await ask(served, protocol, file_by_filename=name)
                wanted += described.file_descriptor_response.file_descriptor_proto
        elif file.name not in known:
            pool.Add(file)
            known.add(file.name)
    for name in SERVICES:
        assert pool.FindServiceByName(name).methods


async def test_an_unknown_symbol_is_not_found(served):
    answer = await ask(served, "v1", file_containing_symbol="discord_api.Nothing")
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
