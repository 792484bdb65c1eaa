"""A bare gRPC server, to compare with: `python -m bench.speed.echo PORT` answers with the message it gets."""

import sys
from typing import Any

import grpc
import uvloop

from bench.speed.messages import ANSWER
from discordproxy import discord_api_pb2 as pb

AUTHOR = pb.User(id=int(ANSWER["author"]["id"]), username=ANSWER["author"]["username"], bot=True)


async def echo(request: pb.SendChannelMessageRequest, _: Any) -> pb.SendChannelMessageResponse:
    message = pb.Message(
        id=int(ANSWER["id"]),
        channel_id=request.channel_id,
        author=AUTHOR,
        timestamp=ANSWER["timestamp"],
        content=request.content,
        embeds=request.embeds,
    )
    return pb.SendChannelMessageResponse(message=message)


async def main(port: int) -> None:
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        echo, pb.SendChannelMessageRequest.FromString, pb.SendChannelMessageResponse.SerializeToString
    )
    service = grpc.method_handlers_generic_handler("discord_api.DiscordApi", {"SendChannelMessage": handler})
    server.add_generic_rpc_handlers((service,))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
