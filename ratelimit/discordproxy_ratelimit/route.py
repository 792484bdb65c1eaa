"""From a call to the identity of the limits it falls under. Pure: no clock, no I/O; time comes in as an argument.

A limit belongs to a credential, a bucket and a major parameter (Discord's documentation, topic "Rate limits"). The
bucket is Discord's secret until it answers; the route (method and template) is what we know beforehand.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
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
"""What stands in a parameter's position but is a word of the path."""

MAJORS = ("channel_id", "guild_id", "webhook_id", "interaction_id")

_PARAMETER = re.compile(r"\{(\w+)\}")
_MAJOR = re.compile(r"/\w+/\{(\w+)\}(/\{webhook_token\})?")


@dataclass(frozen=True, slots=True)
class Route:
    """The identity of a call's limits.

    Attributes:
        name: method and template, with `#kind` behind it where Discord limits a part of a route on its own.
        major: the major parameter, e.g. `channel_id=81384788765712384`; empty when the route has none.
        credential: whose limits: `bot`, `ip` (no Authorization is sent) or `bearer:<fingerprint>`.
        exempt: outside the global limit (interaction responses).
        ordered: calls of one lane leave one at a time, so that they arrive in order.
        resource: fingerprint of method and concrete path; remembered when Discord refuses it.
        lane: the queue this call waits in.
    """

    name: str
    major: str
    credential: str = "bot"
    exempt: bool = False
    ordered: bool = False
    resource: str = ""
    lane: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lane", f"{self.name}|{self.major}")  # read many times a call

    @property
    def by_token(self) -> bool:
        """Whether a token in the path authorises the call, so that a refusal says nothing about the bot."""
        return names_token(self.name)


def names_token(template: str) -> bool:
    """Tell whether a token in the path authorises the calls of a route, so that Discord wants no other."""
    return "_token}" in template


def fingerprint(text: str) -> str:
    """Return a short one-way name for a secret or a long text."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]


def _plain(text: str) -> str:
    """Return a part of a name: nothing in it can be taken for the separators of lanes and buckets."""
    return quote(text, safe="@:%", errors="replace")


def template_of(path: str) -> tuple[str, dict[str, str]]:
    """Return the template of a concrete path and its parameters, as they stand in the path.

    Works by position and by Discord's collection names, so that routes newer than this code are recognised, too: an
    unknown segment that looks like an id becomes `{id}`.
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
    if numeric or len(segment) > 40 or re.fullmatch(r"(?=.*\d)[0-9a-fA-F-]{16,}", segment):  # noqa: PLR2004 - no word of Discord's is as long
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
        body_keys: top-level keys of the JSON body; some limits depend on what is edited.
        now_ms: Unix time; some limits depend on a message's age. 0 = unknown.
        no_bot_auth: the bot's token is not sent.
        bearer: the OAuth2 token sent instead of the bot's.
    """
    interaction = _interaction(parameters)
    path = _PARAMETER.sub(lambda found: quote(parameters.get(found[1], ""), safe="", errors="replace"), template)
    kind = _kind(method, template, parameters, body_keys, now_ms)
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
    """Return the route of a call that is known by its concrete path only."""
    template, parameters = template_of(path)
    return route_of(
        method, template, parameters, body_keys=body_keys, now_ms=now_ms, no_bot_auth=no_bot_auth, bearer=bearer
    )


def _major(template: str, parameters: Mapping[str, str]) -> str:
    """The top-level resource alone is major: an id further down the path is not."""
    match = _MAJOR.match(template)
    if not match or match[1] not in MAJORS:
        return ""
    token = f":{fingerprint(parameters.get('webhook_token', ''))}" if match[2] else ""
    return f"{match[1]}={_plain(parameters.get(match[1], ''))}{token}"


def _interaction(parameters: Mapping[str, str]) -> str:
    """Follow-ups live under /webhooks/{application_id}/{token}, but their limit is the interaction's (observed)."""
    if "interaction_id" in parameters:
        return _plain(parameters["interaction_id"])
    token = parameters.get("webhook_token")
    if not token:
        return ""
    try:
        text = base64.urlsafe_b64decode(token[:128] + "=" * (-len(token[:128]) % 4))
    except (ValueError, binascii.Error):
        return ""
    match = re.match(rb"interaction:(\d{1,20}):", text)
    return match[1].decode() if match else ""


def _kind(method: str, template: str, parameters: Mapping[str, str], body_keys: Collection[str], now_ms: int) -> str:
    """Limits that no header shows, told apart by what the call does (observed; see the README)."""
    if (method, template) == ("PATCH", "/channels/{channel_id}") and {"name", "topic"} & set(body_keys):
        return "#name_topic"
    if (method, template) == ("DELETE", "/channels/{channel_id}/messages/{message_id}") and now_ms:
        message_id = parameters.get("message_id", "")
        if re.fullmatch("[0-9]{1,20}", message_id):
            age_ms = now_ms - ((int(message_id) >> 22) + DISCORD_EPOCH_MS)
            return "#young" if age_ms < YOUNG_MS else "#old" if age_ms > OLD_MS else ""
    return ""
