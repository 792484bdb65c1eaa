"""The client's method for each RPC, with valid arguments."""

import inspect
import re

from discordproxy.discord_api_pb2 import (
    DESCRIPTOR,
    AuditLogEntry,
    AutoModerationRule,
    Channel,
    ChannelPosition,
    Command,
    Embed,
    PermissionOverwrite,
    RoleConnectionMetadata,
)

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
    "role_ids": [4, 5],
    "target_application_id": 21,
    "target_type": 1,
    "target_user_id": 22,
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
    "action": "APPROVED",
    "action_type": AuditLogEntry.MEMBER_KICK,
    "days": 7,
    "description": "text",
    "owner_type": 1,
    "original_scheduled_start_time": "2026-11-23T12:00:00Z",
    "guild_scheduled_event_exception_ids": [5],
    "privacy_level": 2,
    "scheduled_end_time": "2026-11-23T13:00:00Z",
    "sku_ids": [5],
    "topic": "topic",
    "username": "name",
    "emoji_name": "👍",
    "event_type": 1,
    "image": "data:",
    "include_roles": [4],
    "rejection_reason": "no",
    "sound": "data:",
    "status": "text",
    "tags": "tag",
    "trigger_type": 1,
    "volume": 0.5,
}
IDS = {"guild_id": 11, "channel_id": 12, "message_id": 13, "user_id": 14, "role_id": 15, "webhook_id": 16}
IDS |= {"overwrite_id": 17, "thread_id": 18, "event_id": 19, "before": 99, "after": 2, "interaction_id": 20}
IDS |= {"application_id": 21, "command_id": 22, "emoji_id": 23, "guild_scheduled_event_id": 24, "integration_id": 25}
IDS |= {"pack_id": 26, "request_id": 27, "rule_id": 28, "sku_id": 29, "sound_id": 30, "source_guild_id": 31}
IDS |= {"sticker_id": 32, "target_id": 33, "webhook_channel_id": 34, "exception_id": 35, "entitlement_id": 36}
IDS |= {"guild_scheduled_event_exception_id": 37, "owner_id": 38, "subscription_id": 39}
FLAGS = {"mute", "deaf", "temporary", "unique", "invitable", "with_counts", "crosspost", "suppress_embeds", "ephemeral"}
FLAGS |= {"compute_prune_count", "with_member", "exclude_ended", "exclude_deleted", "is_canceled", "suppress"}
FLAGS |= {"send_start_notification", "with_user_count"}
OTHER = {
    "overwrite": PermissionOverwrite(id=17, allow=3),
    "embed": Embed(title="t"),
    "files": [("a", b"b")],
    "json": {},
    "actions": [AutoModerationRule.Action(type=4)],
    "channels": [ChannelPosition(id=12, position=1)],
    "file": ("a.png", b"b"),
    "metadata": [RoleConnectionMetadata(key="key")],
    "commands": [Command(name="shop", description="Opens the shop")],
    "dry_run": True,
    "take_over": True,
    "names": ["shop", "bank"],
    "owner": "other",
}
OF_METHOD = {
    "edit_role_positions": {"roles": {15: 1}},
    "list_public_archived_threads": {"before": "2026-11-23T12:00:00Z"},
    "list_private_archived_threads": {"before": "2026-11-23T12:00:00Z"},
    "request": {"query": {"a": "b"}},
    "create_interaction_response": {"type": "update_message"},
}
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
