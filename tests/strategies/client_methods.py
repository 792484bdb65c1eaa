"""The client's method for each RPC, with valid arguments."""

import inspect
import re

from discordproxy.discord_api_pb2 import DESCRIPTOR, Channel, Command, Embed, PermissionOverwrite

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


VALUES = {
    "access_token": "token",
    "answer_id": 3,
    "authorization": "Bearer x",
    "auto_archive_duration": 60,
    "avatar": "data:",
    "code": "invite",
    "content": "text",
    "delete_message_seconds": 60,
    "emoji": "👍",
    "file_field": "file",
    "fresh": True,
    "limit": 5,
    "managed": [4, 5],
    "method": "POST",
    "name": "name",
    "nick": "nick",
    "path": "/path",
    "query": "Bru",
    "reason": "because",
    "roles": [4],
    "scheduled_start_time": "2026-11-23T12:00:00Z",
    "entity_type": 3,
    "type": Channel.PUBLIC_THREAD,
    "user_ids": [8, 9],
    "message_ids": [8, 9],
    "webhook_token": "secret",
    "interaction_token": "secret",
    "max_age": 60,
    "max_uses": 3,
    "rate_limit_per_user": 10,
}
IDS = {"guild_id": 11, "channel_id": 12, "message_id": 13, "user_id": 14, "role_id": 15, "webhook_id": 16}
IDS |= {"overwrite_id": 17, "thread_id": 18, "event_id": 19, "before": 99, "after": 2, "interaction_id": 20}
FLAGS = {"mute", "deaf", "temporary", "unique", "invitable", "with_counts", "crosspost", "suppress_embeds", "ephemeral"}
OTHER = {
    "overwrite": PermissionOverwrite(id=17, allow=3),
    "embed": Embed(title="t"),
    "files": [("a", b"b")],
    "json": {},
    "commands": [Command(name="shop", description="Opens the shop")],
    "dry_run": True,
    "take_over": True,
    "names": ["shop", "bank"],
    "owner": "other",
}
OF_METHOD = {"request": {"query": {"a": "b"}}, "create_interaction_response": {"type": "update_message"}}
RENAMED = {"event_id": "guild_scheduled_event_id"}


def arguments_of(method):
    """Return a value for each named argument."""
    known = {**VALUES, **IDS, **dict.fromkeys(FLAGS, True), **OTHER}
    named = [
        parameter.name
        for parameter in list(inspect.signature(method).parameters.values())[1:]
        if parameter.kind is not parameter.VAR_KEYWORD
    ]
    values = {name: known[name] for name in named}
    return {**values, **OF_METHOD.get(method.__name__, {})}
