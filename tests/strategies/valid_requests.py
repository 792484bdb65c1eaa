"""Random valid requests, drawn from the contract and the table of limits."""

import json
from datetime import UTC, datetime
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import assume
from hypothesis import strategies as st

from discordproxy import annotations_pb2
from discordproxy import discord_api_pb2 as pb
from discordproxy_api.contract.contract import Rpc, field_option, is_list, is_map, request_parts
from discordproxy_api.contract.rules.limits import INT32, NEVER_RESET, PATH_FORMS, Form, Limit, limits_of
from discordproxy_api.contract.rules.message_request import COMPONENTS_V2
from discordproxy_api.contract.rules.request_rules import OWN_FIELDS
from discordproxy_api.contract.validation import InvalidRequestError, validate

IDS = st.integers(1, 2**63 - 1)
WORDS = st.characters(categories=["L", "N", "Ps", "So"], exclude_characters="\u0000")
FORMS: dict[Form, st.SearchStrategy[str]] = {
    Form.WEB: st.sampled_from(["https://example.com/a.png", "http://example.com/?b=1"]),
    Form.LINK: st.just("https://example.com/"),
    Form.MEDIA: st.just("https://example.com/icon.png"),
    Form.TIME: st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
        datetime.isoformat
    ),
    Form.IMAGE: st.just("data:image/png;base64,iVBORw0KGgo="),
    Form.SOUND: st.just("data:audio/ogg;base64,T2dnUw=="),
    Form.FILENAME: st.sampled_from(["a.png", "report 1.txt", "ä.bin"]),
    Form.TOKEN: st.from_regex(r"[A-Za-z0-9_-]{5,20}", fullmatch=True),
    Form.EMOJI: st.sampled_from(["👍", "party:123456789012345678"]),
}


def _text(limit: Limit) -> st.SearchStrategy[str]:
    if limit.form is not None:
        return FORMS[limit.form]
    return st.text(WORDS, min_size=max(limit.least, 1), max_size=min(limit.most, 30))


BY_TYPE: dict[int, Any] = {
    FieldDescriptor.TYPE_UINT64: lambda _limit: IDS,
    FieldDescriptor.TYPE_STRING: _text,
    FieldDescriptor.TYPE_BYTES: lambda _limit: st.binary(max_size=9),
    FieldDescriptor.TYPE_BOOL: lambda _limit: st.booleans(),
    FieldDescriptor.TYPE_DOUBLE: lambda limit: st.floats(0.5, min(limit.most, 60)),
    FieldDescriptor.TYPE_INT32: lambda limit: st.integers(limit.least, min(limit.most, INT32)),
    FieldDescriptor.TYPE_INT64: lambda limit: st.integers(limit.least, limit.most),
}


def _scalar(field: FieldDescriptor, limit: Limit) -> st.SearchStrategy[Any]:
    if limit.choices:
        return st.sampled_from(limit.choices)
    if field.enum_type is not None:
        offset = field.enum_type.GetOptions().Extensions[annotations_pb2.json_offset]
        return st.sampled_from([number for number in field.enum_type.values_by_number if number or not offset])
    return BY_TYPE[field.type](limit)


@cache
@st.composite
def filled(draw: Any, descriptor: Descriptor) -> Any:
    """Draw a message whose required fields are set and any other may be."""
    if descriptor.full_name == "discord_api.Component":
        return draw(st.sampled_from(ROWS).map(component))
    if descriptor.full_name == "discord_api.CommandOption":
        return draw(st.sampled_from(COMMAND_OPTIONS))
    message = GetMessageClass(descriptor)()
    limits = limits_of(descriptor.full_name.partition(".")[2])
    for field in descriptor.fields:
        limit = limits.get(field.name, Limit())
        if not field_option(field, annotations_pb2.answer_only) and (limit.required or draw(st.booleans())):
            _fill(draw, message, field, limit)
    return message


ELEMENTS: dict[str, st.SearchStrategy[Any]] = {
    "discord_api.RecurrenceRule.by_month_day": st.integers(1, 31),
    "discord_api.RecurrenceRule.by_year_day": st.integers(1, 364),
    "discord_api.SharedClientTheme.colors": st.from_regex(r"[0-9a-f]{6}", fullmatch=True),
}
"""By field: elements that the table of limits does not describe."""


def _fill(draw: Any, message: Any, field: FieldDescriptor, limit: Limit) -> None:
    if field.full_name in ELEMENTS:
        one = ELEMENTS[field.full_name]
    elif is_map(field):
        getattr(message, field.name).update(draw(st.dictionaries(st.sampled_from(["de", "fr"]), _text(Limit(1)))))
        return
    else:
        one = _value(field, limit)
    _fill_field(draw, message, field, limit, one)


@cache
def _value(field: FieldDescriptor, limit: Limit) -> Any:
    return _scalar(field, limit) if field.message_type is None else filled(field.message_type)


@cache
def _values(field: FieldDescriptor, limit: Limit, one: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    unique = None if field.message_type is not None else (lambda value: value)
    return st.lists(one, min_size=1, max_size=min(limit.most, 3), unique_by=unique)


def _fill_field(draw: Any, message: Any, field: FieldDescriptor, limit: Limit, one: Any) -> None:
    if is_list(field):
        getattr(message, field.name).extend(draw(_values(field, limit, one)))
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(draw(one))
    else:
        setattr(message, field.name, draw(one))


_ITEM = pb.CommandOption(type="STRING", name="item", description="What", name_localizations={"de": "ware"})
COMMAND_OPTIONS = [
    _ITEM,
    pb.CommandOption(type="SUB_COMMAND", name="buy", description="Buys", options=[_ITEM]),
    pb.CommandOption(type="INTEGER", name="n", description="Number", min_value=1, max_value=5, required=True),
    pb.CommandOption(type="CHANNEL", name="c", description="Channel", channel_types=[0, 5]),
]

Component = pb.Component
BUTTON = {"type": Component.BUTTON, "style": Component.PRIMARY, "label": "Press", "custom_id": "press"}
ROWS: list[dict[str, Any]] = [
    {"type": Component.ACTION_ROW, "components": [BUTTON, {**BUTTON, "custom_id": "other", "disabled": True}]},
    {
        "type": Component.ACTION_ROW,
        "components": [
            {"type": Component.BUTTON, "style": Component.LINK, "url": "https://example.com", "emoji": {"name": "👍"}}
        ],
    },
    {
        "type": Component.ACTION_ROW,
        "components": [
            {
                "type": Component.STRING_SELECT,
                "custom_id": "pick",
                "placeholder": "Pick",
                "min_values": 0,
                "max_values": 2,
                "options": [
                    {"label": "One", "value": "1", "description": "first", "default": True},
                    {"label": "Two", "value": "2", "emoji": {"id": 5, "name": "two", "animated": True}},
                ],
            }
        ],
    },
    {
        "type": Component.ACTION_ROW,
        "components": [
            {
                "type": Component.CHANNEL_SELECT,
                "custom_id": "channel",
                "channel_types": [pb.Channel.GUILD_TEXT, pb.Channel.GUILD_FORUM],
                "default_values": [{"id": 9, "type": "channel"}],
            }
        ],
    },
]
MEDIA = {"url": "https://example.com/a.png"}
V2: list[dict[str, Any]] = [
    {"type": Component.TEXT_DISPLAY, "content": "# Title", "id": 0},
    {
        "type": Component.SECTION,
        "components": [{"type": Component.TEXT_DISPLAY, "content": "text"}],
        "accessory": {"type": Component.THUMBNAIL, "media": MEDIA, "description": "alt", "spoiler": True},
    },
    {"type": Component.MEDIA_GALLERY, "items": [{"media": MEDIA, "description": "alt"}]},
    {"type": Component.SEPARATOR, "divider": False, "spacing": 2},
    {
        "type": Component.CONTAINER,
        "accent_color": 0,
        "components": [{"type": Component.TEXT_DISPLAY, "content": "inside"}, ROWS[0]],
    },
]


def component(described: dict[str, Any]) -> Any:
    return Component(**described)


EXTERNAL = 3
THREAD_ONLY = ("archived", "locked", "invitable", "auto_archive_duration", "applied_tags")
CHANNEL_ONLY = tuple(
    field.name
    for field in pb.EditChannelRequest.DESCRIPTOR.fields
    if field.name
    not in {*THREAD_ONLY, "name", "rate_limit_per_user", "flags", "channel_id", "clear", "reason", "options"}
)
NOT_MIXED = {
    "EditChannel": (*THREAD_ONLY, *CHANNEL_ONLY),
    "EditScheduledEvent": ("entity_type", "entity_metadata", "channel_id", "scheduled_end_time"),
}
"""Fields that are not reset at random, because it depends on other fields whether Discord allows it."""


@st.composite
def valid_requests(draw: Any, rpc: Rpc) -> Any:
    """Draw a request that passes validation, without fields that exclude each other."""
    request = draw(filled(rpc.request))
    for field in request_parts(rpc).path.values():
        single = FORMS[PATH_FORMS[field.name]] if field.name in PATH_FORMS else IDS
        setattr(request, field.name, draw(st.integers(1, 10) if field.type == FieldDescriptor.TYPE_INT32 else single))
    _tame(draw, request, rpc)
    try:
        validate(rpc, request)
    except InvalidRequestError:
        assume(condition=False)
    return request


def _tame(draw: Any, request: Any, rpc: Rpc) -> None:
    names = set(request.DESCRIPTOR.fields_by_name)
    for name in names & {"options", "flags", "components_json", "overflow"}:
        request.ClearField(name)
    if "allowed_mentions" in names:
        _tame_message(draw, request)
    if rpc.name in TAMERS:
        TAMERS[rpc.name](draw, request)
    if "clear" in names:
        present = {field.name for field, _value in request.ListFields()}
        kept = NEVER_RESET.get(rpc.request.name, frozenset()) | set(NOT_MIXED.get(rpc.name, ()))
        free = [field.name for field in request_parts(rpc).body if field.name not in present | kept]
        del request.clear[:]
        request.clear.extend(draw(st.lists(st.sampled_from(free), unique=True, max_size=2)) if free else [])


def _tame_message(draw: Any, request: Any) -> None:
    if "message_reference" in request.DESCRIPTOR.fields_by_name and request.HasField("message_reference"):
        request.message_reference.type = pb.Message.Reference.REPLY
    if request.allowed_mentions.parse:
        request.allowed_mentions.ClearField("users")
        request.allowed_mentions.ClearField("roles")
    _choose_components(draw, request)


def _one_page(_draw: Any, request: Any) -> None:
    for name in {"around", "before"} & set(request.DESCRIPTOR.fields_by_name):
        request.ClearField(name)


def _channel_or_thread(draw: Any, request: Any) -> None:
    for name in draw(st.sampled_from([THREAD_ONLY, CHANNEL_ONLY])):
        request.ClearField(name)


def _new_tags(_draw: Any, request: Any) -> None:
    for tag in request.available_tags:
        tag.ClearField("id")


def _place(draw: Any, request: Any) -> None:
    request.entity_type = draw(st.sampled_from([1, 2, 3]))
    if request.entity_type == EXTERNAL:
        request.ClearField("channel_id")
        request.entity_metadata.location = "Town hall"
        request.scheduled_end_time = "2030-01-01T00:00:00+00:00"
    else:
        request.ClearField("entity_metadata")
        request.channel_id = 5


def _choose_components(draw: Any, request: Any) -> None:
    kind = draw(st.sampled_from(["none", "rows", "v2", "json"]))
    request.ClearField("components")
    if kind == "rows":
        request.components.extend(component(row) for row in ROWS)
    elif kind == "json":
        request.components_json = json.dumps([{"type": 1, "components": [{**BUTTON, "label": "JSON"}]}])
    elif kind == "v2" and "flags" in request.DESCRIPTOR.fields_by_name:
        for name in {"content", "embed", "embeds", "sticker_ids", "poll"} & set(request.DESCRIPTOR.fields_by_name):
            request.ClearField(name)
        request.flags = COMPONENTS_V2
        request.components.extend(component(each) for each in V2)


ACTIONS = (
    {"type": 1, "metadata": {"custom_message": "No"}},
    {"type": 2, "metadata": {"channel_id": 5}},
    {"type": 3, "metadata": {"duration_seconds": 60}},
    {"type": 4},
)
TRIGGERS: dict[int, dict[str, Any]] = {
    1: {"keyword_filter": ["cat*"], "regex_patterns": ["d[ao]g"], "allow_list": ["catalogue"]},
    3: {},
    4: {"presets": [1, 3], "allow_list": ["ok"]},
    5: {"mention_total_limit": 5, "mention_raid_protection_enabled": False},
    6: {"keyword_filter": ["cat*"]},
}


def _auto_moderation_rule(draw: Any, request: Any) -> None:
    trigger = draw(st.sampled_from(sorted(TRIGGERS)))
    if "trigger_type" in request.DESCRIPTOR.fields_by_name:
        request.trigger_type = trigger
    request.ClearField("trigger_metadata")
    request.trigger_metadata.MergeFrom(pb.AutoModerationRule.TriggerMetadata(**TRIGGERS[trigger]))
    request.ClearField("actions")
    request.actions.extend(pb.AutoModerationRule.Action(**each) for each in draw(st.permutations(ACTIONS)))


def _installations(_draw: Any, request: Any) -> None:
    if request.HasField("integration_types_config"):
        request.integration_types_config.guild_install.SetInParent()


def _response(draw: Any, request: Any) -> None:
    kind = draw(st.sampled_from(["MESSAGE", "DEFERRED_MESSAGE", "AUTOCOMPLETE", "MODAL", "LAUNCH_ACTIVITY"]))
    own = OWN_FIELDS.get(request.Type.Value(kind))
    for field in request.DESCRIPTOR.fields:
        others = {"choices", "title", "custom_id"} if own is None else MESSAGE_FIELDS - own
        if field.name in others:
            request.ClearField(field.name)
    request.type = kind
    if kind == "MODAL":
        request.title, request.custom_id = "title", "id"
        del request.components[:]
        request.ClearField("components_json")
        request.components.append(component({"type": Component.TEXT_DISPLAY, "content": "x"}))


MESSAGE_FIELDS = {field.name for field in pb.CreateInteractionResponseRequest.DESCRIPTOR.fields} - {
    *("interaction_id", "interaction_token", "type", "with_response", "options")
}


def _target(_draw: Any, request: Any) -> None:
    for name in ("target_user_id", "target_application_id"):
        setattr(request, name, 5)


TAMERS = {
    "CreateInteractionResponse": _response,
    "CreateInvite": _target,
    "EditCurrentApplication": _installations,
    "CreateAutoModerationRule": _auto_moderation_rule,
    "EditAutoModerationRule": _auto_moderation_rule,
    "GetAuditLog": _one_page,
    "ListEntitlements": _one_page,
    "ListScheduledEventExceptionUsers": _one_page,
    "ListScheduledEventUsers": _one_page,
    "ListSubscriptions": _one_page,
    "ListJoinRequests": _one_page,
    "GetMessages": _one_page,
    "ListBans": _one_page,
    "ListGuilds": _one_page,
    "EditChannel": _channel_or_thread,
    "CreateChannel": _new_tags,
    "CreateScheduledEvent": _place,
    "EditScheduledEvent": _place,
}
"""By RPC: takes combinations apart that exclude each other."""
