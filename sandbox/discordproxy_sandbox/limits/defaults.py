"""The default limits: values that libraries and their users observed at Discord.

Discord does not document these values and changes them; a client must not rely on them.
Sources: discord-api-docs issues 182, 981, 1454, 2190, 3426, 4043, 5646, 7145, 7394, 7680, 8330 and eris 1173.
"""

from discordproxy_sandbox.limits.book import DELETE_MESSAGE, HiddenLimit, LimitBook, RouteLimit

_CHANNEL = "/channels/{channel_id}"
_MESSAGE = f"{_CHANNEL}/messages/{{message_id}}"
_REACTION = f"{_MESSAGE}/reactions/{{emoji_name}}"
_GUILD = "/guilds/{guild_id}"
_MEMBER = f"{_GUILD}/members/{{user_id}}"
_WEBHOOK = "/webhooks/{webhook_id}/{webhook_token}"

_REACT = RouteLimit(limit=1, window_s=0.25, group="reactions")

ROUTES: dict[str, RouteLimit | None] = {
    f"POST {_CHANNEL}/messages": RouteLimit(limit=5, window_s=5.0),
    f"PATCH {_MESSAGE}": RouteLimit(limit=5, window_s=5.0),
    DELETE_MESSAGE: RouteLimit(limit=3, window_s=1.0),
    f"{DELETE_MESSAGE}#younger-than-10s": RouteLimit(limit=5, window_s=5.0),
    f"{DELETE_MESSAGE}#older-than-14d": RouteLimit(limit=30, window_s=120.0),
    f"PUT {_REACTION}/@me": _REACT,
    f"DELETE {_REACTION}/@me": _REACT,
    f"DELETE {_REACTION}/{{user_id}}": _REACT,
    f"DELETE {_REACTION}": _REACT,
    f"DELETE {_MESSAGE}/reactions": _REACT,
    f"PATCH {_CHANNEL}": RouteLimit(limit=10, window_s=15.0, kind="fixed"),
    f"POST {_CHANNEL}/typing": RouteLimit(limit=5, window_s=5.0),
    f"POST {_CHANNEL}/messages/bulk-delete": RouteLimit(limit=1, window_s=1.0),
    f"PUT {_MEMBER}/roles/{{role_id}}": RouteLimit(limit=10, window_s=10.0, kind="fixed", group="member-roles"),
    f"DELETE {_MEMBER}/roles/{{role_id}}": RouteLimit(limit=10, window_s=10.0, kind="fixed", group="member-roles"),
    f"PATCH {_MEMBER}": RouteLimit(limit=10, window_s=10.0, kind="fixed"),
    f"POST {_WEBHOOK}": RouteLimit(limit=5, window_s=2.0),
    "GET /users/{user_id}": RouteLimit(limit=2000, window_s=600.0),
    "GET /gateway/bot": RouteLimit(limit=2, window_s=5.0),
    "GET /gateway": None,
    f"POST {_CHANNEL}/webhooks": None,
    f"POST {_GUILD}/emojis": None,
    "GET /invites/{code}": None,
    "POST /interactions/{interaction_id}/{interaction_token}/callback": None,
}

HIDDEN: dict[str, tuple[HiddenLimit, ...]] = {
    f"PATCH {_CHANNEL}": (
        HiddenLimit(name="channel-name", limit=2, window_s=600.0, body_key="name"),
        HiddenLimit(name="channel-topic", limit=2, window_s=600.0, body_key="topic"),
    ),
    f"POST {_WEBHOOK}": (
        HiddenLimit(name="webhooks-of-channel", limit=30, window_s=60.0, scope="shared", per="resource"),
    ),
    f"POST {_GUILD}/emojis": (HiddenLimit(name="emojis", limit=50, window_s=1800.0, scope="shared"),),
    "GET /invites/{code}": (HiddenLimit(name="invites", limit=250, window_s=600.0),),
}


def default_book() -> LimitBook:
    """Return a fresh book with the limits above."""
    return LimitBook(routes=dict(ROUTES), hidden=dict(HIDDEN))
