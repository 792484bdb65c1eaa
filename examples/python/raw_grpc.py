"""Calls the service with the generated stub, without the client."""

import os

import grpc

from discordproxy.discord_api_pb2 import GuildId, RequestOptions, SendChannelMessageRequest
from discordproxy.discord_api_pb2_grpc import DiscordApiStub
from discordproxy.helpers import parse_error_details

GUILD, CHANNEL = 300000000000000001, 500000000000000001
OPTIONS = [("grpc.max_receive_message_length", 64 * 1024 * 1024)]
METADATA = [("x-discordproxy-app", "raw-grpc")]  # with keys: ("authorization", "Bearer dpk_...")


def main():
    """Send a message with low priority, and read the roles of a guild."""
    target = os.environ.get("DISCORDPROXY_TARGET", "localhost:50051")
    with grpc.insecure_channel(target, OPTIONS) as channel:
        stub = DiscordApiStub(channel)
        request = SendChannelMessageRequest(channel_id=CHANNEL, content="Hello from gRPC")
        request.options.priority = RequestOptions.LOW
        try:
            response = stub.SendChannelMessage(request, timeout=30, metadata=METADATA)
            print(f"sent {response.message.id}")
            roles = stub.GetGuildRoles(GuildId(guild_id=GUILD), timeout=30, metadata=METADATA)
            print(", ".join(role.name for role in roles.roles))
        except grpc.RpcError as error:
            details = parse_error_details(error)
            print(error.code().name, details.status, details.code, details.text)
            raise


if __name__ == "__main__":
    main()
