"""Discord's response to a read of an empty collection: usually an object, in few cases [].

Keys that are also path parameters are filled from the path.
"""

from copy import deepcopy

from discordproxy_sandbox.errors import Json
from discordproxy_sandbox.resources.exchange import ApiRequest

_GUILD = "/guilds/{guild_id}"
_AUDIT_LOG = (
    "application_commands",
    "audit_log_entries",
    "auto_moderation_rules",
    "guild_scheduled_events",
    "integrations",
    "threads",
    "users",
    "webhooks",
)
_WRAPPED: dict[str, Json] = {
    "/applications/{application_id}/emojis": {"items": []},
    f"{_GUILD}/audit-logs": {key: [] for key in _AUDIT_LOG},
    f"{_GUILD}/new-member-welcome": {
        "guild_id": "",
        "enabled": False,
        "new_member_actions": [],
        "resource_channels": [],
    },
    f"{_GUILD}/onboarding": {"guild_id": "", "prompts": [], "default_channel_ids": [], "enabled": False, "mode": 0},
    f"{_GUILD}/incident-actions": {"invites_disabled_until": None, "dms_disabled_until": None},
    f"{_GUILD}/prune": {"pruned": 0},
    f"{_GUILD}/requests": {"guild_join_requests": [], "total": 0, "limit": 100},
    f"{_GUILD}/scheduled-events/{{guild_scheduled_event_id}}/users/counts": {
        "guild_scheduled_event_count": 0,
        "guild_scheduled_event_exception_counts": {},
    },
    f"{_GUILD}/soundboard-sounds": {"items": []},
    f"{_GUILD}/vanity-url": {"code": None, "uses": 0},
    f"{_GUILD}/welcome-screen": {"description": None, "welcome_channels": []},
    "/invites/{code}/target-users/job-status": {
        "status": 2,
        "total_users": 0,
        "processed_users": 0,
        "created_at": None,
        "completed_at": None,
        "error_message": None,
    },
    "/oauth2/keys": {"keys": []},
    "/sticker-packs": {"sticker_packs": []},
    "/users/@me/applications/{application_id}/role-connection": {},
}


_REGION: Json = {"id": "rotterdam", "name": "Rotterdam", "optimal": True, "deprecated": False, "custom": False}


def empty(request: ApiRequest) -> Json | list[Json]:
    """Return the response for an empty collection."""
    if request.template.endswith("/regions"):
        return [dict(_REGION)]
    wrapped = _WRAPPED.get(request.template)
    if wrapped is None:
        return []
    return deepcopy(wrapped) | {key: value for key, value in request.params.items() if key in wrapped}
