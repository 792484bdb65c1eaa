"""Routes: the identity of the limits that apply to a request. Pure; the time is an argument.

A limit belongs to a credential, a bucket and a major parameter (Discord's documentation, topic "Rate limits"). Only a
response names the bucket; the route (method and template) is known before the request.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote

DISCORD_EPOCH_MS = 1_420_070_400_000
YOUNG_MS = 10_000
OLD_MS = 14 * 24 * 3600 * 1000

PARAMETER_AFTER = {
    "activity-instances": "instance_id",
    "answers": "answer_id",
    "applications": "application_id",
    "bans": "user_id",
    "channels": "channel_id",
    "commands": "command_id",
    "dms": "user_id_1",
    "emojis": "emoji_id",
    "entitlements": "entitlement_id",
    "exceptions": "exception_id",
    "guilds": "guild_id",
    "integrations": "integration_id",
    "interactions": "interaction_id",
    "invites": "code",
    "lobbies": "lobby_id",
    "members": "user_id",
    "messages": "message_id",
    "permissions": "overwrite_id",
    "pins": "message_id",
    "polls": "message_id",
    "reactions": "emoji_name",
    "recipients": "user_id",
    "requests": "request_id",
    "roles": "role_id",
    "rules": "rule_id",
    "scheduled-events": "guild_scheduled_event_id",
    "skus": "sku_id",
    "soundboard-sounds": "sound_id",
    "stage-instances": "channel_id",
    "sticker-packs": "pack_id",
    "stickers": "sticker_id",
    "subscriptions": "subscription_id",
    "templates": "code",
    "thread-members": "user_id",
    "users": "user_id",
    "voice-states": "user_id",
    "webhooks": "webhook_id",
}
"""Collection -> the parameter that may follow it, by Discord's own names."""

PARAMETER_AFTER_PARAMETER = {
    "webhook_id": "webhook_token",
    "interaction_id": "interaction_token",
    "user_id_1": "user_id_2",
    "emoji_name": "user_id",
    "guild_scheduled_event_id": "guild_scheduled_event_exception_id",
}
USER_ROUTES = (
    *("/oauth2/@me", "/oauth2/userinfo", "/users/@me/connections", "/users/@me/applications/"),
    *("/users/@me/guilds/{guild_id}/member", "/channels/{channel_id}/recipients/"),
)
"""Beginnings of the templates that require a user's OAuth2 token: Discord answers a bot's token with 401."""

FREE_TEXT = {"webhook_token", "interaction_token"}
WORDS = {
    "@me",
    "@original",
    "active",
    "archived",
    "bulk",
    "bulk-delete",
    "counts",
    "member-counts",
    "permissions",
    "pins",
    "search",
}
"""Words of the path at the position of a parameter."""

MAX_CACHED = 100
"""Characters of a template or an id; routes with longer ones are not cached."""

MAJORS = ("channel_id", "guild_id", "webhook_id", "interaction_id")

_PARAMETER = re.compile(r"\{(\w+)\}")
_TOP_LEVEL = re.compile(r"/\w+/\{(\w+)\}(/\{webhook_token\})?")
_LONG_ID = re.compile(r"(?=.*\d)[0-9a-fA-F-]{16,}")
_INTERACTION = re.compile(rb"interaction:(\d{1,20}):")


@dataclass(frozen=True, slots=True)
class Route:
    """The identity of a call's limits.

    Attributes:
        name: method and template; `#kind` is appended where Discord limits a part of a route separately.
        major: the major parameter, e.g. `channel_id=81384788765712384`; empty if the route has none.
        credential: `bot`, `ip` (no Authorization is sent) or `bearer:<fingerprint>`.
        exempt: outside the global limit (interaction responses).
        ordered: calls of one lane leave one at a time, so that they arrive in order.
        resource: fingerprint of method and concrete path; stored when Discord refuses it.
        lane: name of the queue in which the call waits.
        by_token: whether a token in the path authorizes the call, so that a refusal does not concern the bot.
        of_user: whether Discord requires a user's token, so that a 401 does not concern the bot's.
    """

    name: str
    major: str
    credential: str = "bot"
    exempt: bool = False
    ordered: bool = False
    resource: str = ""
    lane: str = field(init=False, repr=False, compare=False)
    by_token: bool = field(init=False, repr=False, compare=False)
    of_user: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lane", f"{self.name}|{self.major}")  # both are read many times a call
        object.__setattr__(self, "by_token", names_token(self.name))
        object.__setattr__(self, "of_user", requires_user(self.name.partition(" ")[2]))


def names_token(template: str) -> bool:
    """Return whether a token in the path authorizes the calls of a route, so that Discord requires no other."""
    return "_token}" in template


def requires_user(template: str) -> bool:
    """Return whether the calls of a route require a user's OAuth2 token."""
    return template.startswith(USER_ROUTES)


def fingerprint(text: str) -> str:
    """Return a short hash of a secret or a long text."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]


def _quoted(text: str, *, safe: str = "") -> str:
    if text.isalnum() and text.isascii():  # as nearly all are
        return text
    return quote(text, safe=safe, errors="replace")


def _plain(text: str) -> str:
    """Return a part of a name without the separators of lanes and buckets."""
    return _quoted(text, safe="@:%")


def template_of(path: str) -> tuple[str, dict[str, str]]:
    """Return the template of a concrete path, and its parameters as they are in the path.

    Parameters are recognized by position and by the names of Discord's collections, also in routes that are newer than
    this code: an unknown segment that looks like an id becomes `{id}`.
    """
    template: list[str] = []
    parameters: dict[str, str] = {}
    for segment in path.strip("/").split("/"):
        name = _parameter(template, segment, parameters)
        if name is None:
            template.append(_plain(segment))
        else:
            template.append(f"{{{name}}}")
            parameters.setdefault(name, segment)
    return "/" + "/".join(template), parameters


def _parameter(template: list[str], segment: str, parameters: Mapping[str, str]) -> str | None:
    before = template[-1] if template else ""
    numeric = segment.isdigit()
    if before.startswith("{"):
        follower = PARAMETER_AFTER_PARAMETER.get(before[1:-1])
        if follower and (numeric or (follower in FREE_TEXT and follower not in parameters)):
            return follower
    elif before in PARAMETER_AFTER and segment not in WORDS and not (before == "guilds" and segment == "templates"):
        return PARAMETER_AFTER[before]
    if numeric or len(segment) > 40 or _LONG_ID.fullmatch(segment):  # noqa: PLR2004 - longer than each word of Discord's paths
        return "id"
    return None


def route_of(
    method: str,
    template: str,
    parameters: Mapping[str, str],
    *,
    body_keys: Collection[str] = (),
    now_ms: int = 0,
    no_bot_auth: bool = False,
    bearer: str = "",
) -> Route:
    """Return the route of a call whose template is known.

    Args:
        method: HTTP method, upper case.
        template: path with `{parameters}`.
        parameters: every parameter's value, not percent-encoded.
        body_keys: top-level keys of the JSON body; some limits depend on the edited fields.
        now_ms: Unix time; some limits depend on a message's age. 0 = unknown.
        no_bot_auth: the bot's token is not sent.
        bearer: the OAuth2 token sent instead of the bot's.
    """
    kind = _kind(method, template, parameters, body_keys, now_ms)
    if len(parameters) == 1 and not bearer and len(template) < MAX_CACHED:
        ((name, value),) = parameters.items()
        if value.isdecimal() and len(value) < MAX_CACHED:
            return _route_of_resource(method, template, name, value, kind, no_bot_auth)
    return _route_of(method, template, parameters, kind, bearer, no_bot_auth=no_bot_auth)


@lru_cache(maxsize=2048)
def _route_of_resource(method: str, template: str, name: str, value: str, kind: str, no_bot_auth: bool) -> Route:  # noqa: FBT001 - a key of the cache
    return _route_of(method, template, {name: value}, kind, "", no_bot_auth=no_bot_auth)


def _route_of(
    method: str, template: str, parameters: Mapping[str, str], kind: str, bearer: str, *, no_bot_auth: bool
) -> Route:
    interaction = _interaction(parameters)
    path = _PARAMETER.sub(lambda found: _quoted(parameters.get(found[1], "")), template)
    return Route(
        name=f"{method} {template}{kind}",
        major=f"interaction={interaction}" if interaction else _major(template, parameters),
        credential=f"bearer:{fingerprint(bearer)}" if bearer else "ip" if no_bot_auth or interaction else "bot",
        exempt=bool(interaction),
        ordered=(method, template) == ("POST", "/channels/{channel_id}/messages"),
        resource=fingerprint(f"{method} {path}"),
    )


def route_of_path(
    method: str,
    path: str,
    *,
    body_keys: Collection[str] = (),
    now_ms: int = 0,
    no_bot_auth: bool = False,
    bearer: str = "",
) -> Route:
    """Return the route of a call by its concrete path."""
    template, parameters = template_of(path)
    return route_of(
        method, template, parameters, body_keys=body_keys, now_ms=now_ms, no_bot_auth=no_bot_auth, bearer=bearer
    )


def _major(template: str, parameters: Mapping[str, str]) -> str:
    """Return the major parameter: the id of the top-level resource, not one further down the path."""
    match = _TOP_LEVEL.match(template)
    if not match or match[1] not in MAJORS:
        return ""
    token = f":{fingerprint(parameters.get('webhook_token', ''))}" if match[2] else ""
    return f"{match[1]}={_plain(parameters.get(match[1], ''))}{token}"


def _interaction(parameters: Mapping[str, str]) -> str:
    """Return the interaction's id: follow-ups use a webhook's path, but the interaction's limit (observed)."""
    if "interaction_id" in parameters:
        return _plain(parameters["interaction_id"])
    token = parameters.get("webhook_token", "")
    if not token:
        return ""
    try:
        text = base64.urlsafe_b64decode(token[:128] + "=" * (-len(token[:128]) % 4))
    except (ValueError, binascii.Error):
        return ""
    match = _INTERACTION.match(text)
    return match[1].decode() if match else ""


def _kind(method: str, template: str, parameters: Mapping[str, str], body_keys: Collection[str], now_ms: int) -> str:
    """Return the suffix of a route that Discord limits separately without headers (observed; see the README)."""
    if (method, template) == ("PATCH", "/channels/{channel_id}") and {"name", "topic"} & set(body_keys):
        return "#name_topic"
    if (method, template) == ("DELETE", "/channels/{channel_id}/messages/{message_id}") and now_ms:
        message_id = parameters.get("message_id", "")
        if re.fullmatch("[0-9]{1,20}", message_id):
            age_ms = now_ms - ((int(message_id) >> 22) + DISCORD_EPOCH_MS)
            return "#young" if age_ms < YOUNG_MS else "#old" if age_ms > OLD_MS else ""
    return ""
