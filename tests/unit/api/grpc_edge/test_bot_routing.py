"""Each call goes to the service of its caller's bot, whichever kind of method it is."""

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import StringValue

from discordproxy_api.calls.call import CURRENT, Call
from discordproxy_api.calls.principal import Principal
from discordproxy_api.grpc_edge.bot_routing import BotRouting


class Details:
    def __init__(self, method: str) -> None:
        self.method = method


def handlers(bot: str) -> grpc.GenericRpcHandler:
    async def unary(_requests, _context):
        return f"{bot} answers"

    async def stream(_request, context):
        context.append(f"{bot} streams")

    methods = {
        "Unary": grpc.stream_unary_rpc_method_handler(unary, Empty.FromString, StringValue.SerializeToString),
        "Stream": grpc.unary_stream_rpc_method_handler(stream),
    }
    return grpc.method_handlers_generic_handler("service", methods)


@pytest.mark.parametrize(("bot", "served_by"), [("", "first"), ("first", "first"), ("second", "second")])
async def test_the_callers_bot_serves(bot: str, served_by: str):
    by_bot = BotRouting({name: handlers(name) for name in ("first", "second")})
    unary, stream = by_bot.service(Details("/service/Unary")), by_bot.service(Details("/service/Stream"))
    CURRENT.set(Call("Unary", "id", principal=Principal("srp", bot=bot)))
    assert await unary.stream_unary(None, None) == f"{served_by} answers"
    assert unary.request_streaming
    assert unary.response_serializer is StringValue.SerializeToString
    written: list[str] = []
    await stream.unary_stream(None, written)
    assert written == [f"{served_by} streams"]


def test_a_method_is_found_once_and_an_unknown_one_never():
    by_bot = BotRouting({"first": handlers("first")})
    assert by_bot.service(Details("/service/None")) is None
    assert by_bot.service(Details("/service/Unary")) is by_bot.service(Details("/service/Unary"))
