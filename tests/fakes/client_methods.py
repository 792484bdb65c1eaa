"""Which method of the client makes which call of the contract."""

import re

from discordproxy.discord_api_pb2 import DESCRIPTOR

METHODS = DESCRIPTOR.services_by_name["DiscordApi"].methods_by_name
RPCS = {name: method for name, method in METHODS.items() if not method.server_streaming}
# The names of 1.5.1 and of the applications; all other methods are named like their RPC.
HISTORICAL_NAMES = {
    "SendChannelMessage": "create_channel_message",
    "SendDirectMessage": "create_direct_message",
    "EditMessage": "edit_channel_message",
    "GetMessage": "get_channel_message",
    "GetMessages": "get_channel_messages",
    "DeleteMessage": "delete_channel_message",
    "BulkDeleteMessages": "bulk_delete_channel_messages",
}


def method_name(rpc):
    return HISTORICAL_NAMES.get(rpc) or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", rpc).lower()
