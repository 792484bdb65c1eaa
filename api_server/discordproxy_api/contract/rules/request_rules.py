"""Rules between the fields of requests that write no message."""

import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from discordproxy.interactions_pb2 import CreateInteractionResponseRequest as InteractionResponse
from discordproxy_api.calls.field_errors import FieldErrors
from discordproxy_api.contract.rules.limits import (
    POLL_ANSWER,
    POLL_ANSWERS,
    POLL_TEXT,
    ROLE_MEMBERS,
    ROLES,
    THEME_COLORS,
)
from discordproxy_api.contract.rules.message_request import has
from discordproxy_api.contract.rules.message_rules import check_mentions

Rule = Callable[[Any, str, FieldErrors], None]  # message, path prefix ("" or "embeds[0]."), where to record problems

_EXTERNAL = 3  # entity type of an event that happens outside of Discord
_COLOR = re.compile(r"[0-9A-Fa-f]{6}")
_TARGETS = {1: "target_user_id", 2: "target_application_id"}
"""By target type of an invite: the field it requires."""

OWN_FIELDS: Mapping[int, frozenset[str]] = {
    InteractionResponse.AUTOCOMPLETE: frozenset({"choices"}),
    InteractionResponse.MODAL: frozenset({"title", "custom_id", "components", "components_json"}),
    InteractionResponse.LAUNCH_ACTIVITY: frozenset(),
}
"""By type of response that is no message: the only fields it has."""
_NO_MESSAGE = frozenset({"choices", "title", "custom_id"})
_ANY_RESPONSE = frozenset({"interaction_id", "interaction_token", "type", "with_response", "options"})

_LAST_DAYS = {"by_month_day": 31, "by_year_day": 365}

_NO_CHANNEL = "An external event has a location, no channel."


def _pages(request: Any, _prefix: str, problems: FieldErrors) -> None:
    names = [name for name in ("around", "before", "after") if has(request, name) and request.HasField(name)]
    for name in names[1:]:
        problems.conflict(name, f"Give {names[0]} or {name}, not both.")


def _new_tags(request: Any, _prefix: str, problems: FieldErrors) -> None:
    for index, tag in enumerate(request.available_tags):
        if tag.id:
            problems.conflict(f"available_tags[{index}].id", "A new channel's tags have no ids yet.")


def _new_event(request: Any, _prefix: str, problems: FieldErrors) -> None:
    if request.entity_type == _EXTERNAL:
        _external_event(request, problems)
    elif not request.channel_id:
        problems.required("channel_id")
    _place(request, problems)


def _edited_event(request: Any, _prefix: str, problems: FieldErrors) -> None:
    if request.entity_type == _EXTERNAL and request.channel_id:
        problems.conflict("channel_id", _NO_CHANNEL)  # location and end may be those of the existing event
    if request.entity_type:
        _place(request, problems)


def _external_event(request: Any, problems: FieldErrors) -> None:
    if not request.entity_metadata.location:
        problems.required("entity_metadata.location")
    if not request.scheduled_end_time:
        problems.required("scheduled_end_time")
    if request.channel_id:
        problems.conflict("channel_id", _NO_CHANNEL)


def _place(request: Any, problems: FieldErrors) -> None:
    if request.entity_type != _EXTERNAL and request.entity_metadata.location:
        problems.conflict("entity_metadata.location", "Only an external event has a location.")


_KEYWORDS = frozenset({"keyword_filter", "regex_patterns", "allow_list"})
_METADATA_OF_TRIGGER: Mapping[int, frozenset[str]] = {
    1: _KEYWORDS,
    3: frozenset(),
    4: frozenset({"presets", "allow_list"}),
    5: frozenset({"mention_total_limit", "mention_raid_protection_enabled"}),
    6: _KEYWORDS,
}
_TRIGGERS_WITH_METADATA = frozenset({4, 6})
_METADATA_OF_ACTION: Mapping[int, frozenset[str]] = {
    1: frozenset({"custom_message"}),
    2: frozenset({"channel_id"}),
    3: frozenset({"duration_seconds"}),
    4: frozenset(),
}
_ALERT = 2


def _new_rule(request: Any, _prefix: str, problems: FieldErrors) -> None:
    given = {field.name for field, _value in request.trigger_metadata.ListFields()}
    for name in sorted(given - _METADATA_OF_TRIGGER.get(request.trigger_type, given)):
        problems.conflict(f"trigger_metadata.{name}", "A rule with this trigger_type has no such metadata.")
    if request.trigger_type in _TRIGGERS_WITH_METADATA and not request.HasField("trigger_metadata"):
        problems.required("trigger_metadata")


def _edited_rule(request: Any, _prefix: str, problems: FieldErrors) -> None:
    given = {field.name for field, _value in request.trigger_metadata.ListFields()}
    if not any(given <= known for known in _METADATA_OF_TRIGGER.values()):
        problems.conflict("trigger_metadata", "No trigger_type has all of these fields.")


def _action(action: Any, prefix: str, problems: FieldErrors) -> None:
    given = {field.name for field, _value in action.metadata.ListFields()}
    for name in sorted(given - _METADATA_OF_ACTION.get(action.type, given)):
        problems.conflict(f"{prefix}metadata.{name}", "An action of this type has no such metadata.")
    if action.type == _ALERT and not action.metadata.channel_id:
        problems.required(f"{prefix}metadata.channel_id")


def _poll(poll: Any, prefix: str, problems: FieldErrors) -> None:
    if poll.HasField("question") and not poll.question.text:
        problems.required(f"{prefix}question.text")
    for index, answer in enumerate(poll.answers[:POLL_ANSWERS]):
        text = answer.poll_media.text
        if POLL_ANSWER < len(text) <= POLL_TEXT:  # longer texts were reported by the table of limits
            problems.length(f"{prefix}answers[{index}].poll_media.text", len(text), 1, POLL_ANSWER)


def _role_members(request: Any, _prefix: str, problems: FieldErrors) -> None:
    roles = request.roles[:ROLES]
    seen: set[int] = set()
    for index, role in enumerate(roles):
        if role.role_id in seen:
            problems.conflict(f"roles[{index}].role_id", "This role is listed above; list all of its users there.")
        seen.add(role.role_id)
    if sum(len(role.user_ids) for role in roles) > ROLE_MEMBERS:
        text = f"All roles together have more than {ROLE_MEMBERS} users; synchronize some of the roles at a time."
        problems.add("roles", "BASE_TYPE_MAX_LENGTH", text)


def _interaction_response(request: Any, _prefix: str, problems: FieldErrors) -> None:
    allowed = OWN_FIELDS.get(request.type)
    for field, _value in request.ListFields():
        if field.name not in _ANY_RESPONSE and (
            field.name in _NO_MESSAGE if allowed is None else field.name not in allowed
        ):
            problems.conflict(field.name, "This type of response does not have this field.")
    if request.type == InteractionResponse.MODAL:
        for name in ("title", "custom_id"):
            if not getattr(request, name):
                problems.required(name)
        if not request.components and not request.components_json:
            problems.required("components")


def _choice(choice: Any, prefix: str, problems: FieldErrors) -> None:
    if choice.WhichOneof("value") is None:
        problems.required(f"{prefix}value")
    elif not isfinite(choice.number_value):
        problems.add(f"{prefix}number_value", "NUMBER_TYPE_COERCE", "Must be a finite number.")


def _invite(request: Any, _prefix: str, problems: FieldErrors) -> None:
    if request.target_type in _TARGETS and not getattr(request, _TARGETS[request.target_type]):
        problems.required(_TARGETS[request.target_type])


def _recurrence(rule: Any, prefix: str, problems: FieldErrors) -> None:
    for name, last in _LAST_DAYS.items():
        for index, day in enumerate(getattr(rule, name)[: _LAST_DAYS["by_year_day"]]):
            if not -1 <= day <= last:
                problems.add(f"{prefix}{name}[{index}]", "NUMBER_TYPE_MAX", f"Must be between -1 and {last}.")


def _theme(theme: Any, prefix: str, problems: FieldErrors) -> None:
    for index, color in enumerate(theme.colors[:THEME_COLORS]):
        if not _COLOR.fullmatch(color):
            problems.add(f"{prefix}colors[{index}]", "COLOR_INVALID", "Must be six hexadecimal digits.")


RULES: Mapping[str, Rule] = {
    "AllowedMentions": check_mentions,
    "AutoModerationRule.Action": _action,
    "CreateAutoModerationRuleRequest": _new_rule,
    "EditAutoModerationRuleRequest": _edited_rule,
    "GetAuditLogRequest": _pages,
    "ListEntitlementsRequest": _pages,
    "ListScheduledEventExceptionUsersRequest": _pages,
    "ListScheduledEventUsersRequest": _pages,
    "ListSubscriptionsRequest": _pages,
    "ListJoinRequestsRequest": _pages,
    "CreateChannelRequest": _new_tags,
    "CreateInteractionResponseRequest": _interaction_response,
    "CreateInteractionResponseRequest.Choice": _choice,
    "CreateInviteRequest": _invite,
    "CreateScheduledEventRequest": _new_event,
    "EditScheduledEventRequest": _edited_event,
    "GetMessagesRequest": _pages,
    "ListGuildsRequest": _pages,
    "Poll": _poll,
    "SyncGuildRolesRequest": _role_members,
    "RecurrenceRule": _recurrence,
    "SharedClientTheme": _theme,
}
"""By message name, the rules between the fields of that message."""
