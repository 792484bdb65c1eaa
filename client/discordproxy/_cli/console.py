"""Calls the gRPC service `discordproxy.Console`, which returns JSON in protobuf's wrapper messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import StringValue

from discordproxy.exceptions import DiscordProxyGrpcError, to_discord_proxy_exception

if TYPE_CHECKING:
    from discordproxy.client import DiscordClient


def call_console(client: DiscordClient, rpc: str, timeout: float | None) -> Any | None:
    """Return the response of `Status` (a document) or `Doctor` (a list of findings); None if the proxy has no such RPC.

    Args:
        client: Provides the channel and the API key.
        rpc: Name of the RPC.
        timeout: Seconds to wait; None: no limit.

    Raises:
        DiscordProxyException: the call failed.
    """
    method = client.channel.unary_unary(
        f"/discordproxy.Console/{rpc}",
        request_serializer=Empty.SerializeToString,
        response_deserializer=StringValue.FromString,
    )
    try:
        answer: StringValue = method(Empty(), timeout=timeout, metadata=client._metadata)  # noqa: SLF001 -- the same package
    except grpc.RpcError as ex:
        if ex.code() is grpc.StatusCode.UNIMPLEMENTED:
            return None
        raise to_discord_proxy_exception(ex) from ex
    try:
        return json.loads(answer.value)
    except (ValueError, RecursionError) as error:
        raise DiscordProxyGrpcError(grpc.StatusCode.INTERNAL, f"the response to {rpc} is not JSON: {error}") from error
