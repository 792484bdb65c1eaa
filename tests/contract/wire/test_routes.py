"""The route annotations agree with Discord's description: path, parameters, flags, place of each field."""

from discordproxy import annotations_pb2
from discordproxy_api.contract.contract import (
    field_option,
    is_json,
    is_list,
    is_map,
    json_key,
    load_contract,
    request_parts,
)
from fakes.every_case import every_case
from strategies.discord_spec import alternatives, answer_schema, body_places, body_schema, openapi, resolve, routes

CHECKS = "The RPCs against Discord's 242 operations"
SPEC = openapi(CHECKS)
ROUTES = routes(CHECKS)
CONTRACT = load_contract()
ROUTED = [rpc for rpc in CONTRACT.values() if rpc.method]

SHARED_MULTIPART = {"CreateThread", "CreateInvite", "CreateForumPost"}
"""Operations with two request bodies, one of which has files; Discord lists them as one."""

FORUM_MESSAGE = range(2, 30)
"""Field numbers of a forum post that are sent in its object `message`."""


COMPOSITES = (
    "SendDirectMessage",
    "SyncMemberRoles",
    "CreateInteractionResponse",
    "Request",
    "GetVoiceStates",
    "ComputePermissions",
    "SyncCommands",
    "ListCommands",
    "ReleaseCommands",
)
"""RPCs without a route; each has a class of its own in `rpcs/` or `cached/composite_reads.py`."""

FILE_OF_A_FORM = {"CreateGuildSticker": "file", "SetInviteTargetUsers": "target_users_file"}
"""RPCs whose body is a form with one file that the proxy adds in a step."""


def _parameters(rpc, where):
    item = SPEC["paths"][rpc.template]
    declared = [*item.get("parameters", ()), *item[rpc.method.lower()].get("parameters", ())]
    return {parameter["name"]: parameter for parameter in declared if parameter["in"] == where}


def _properties(schema):
    return {key: value for each in alternatives(SPEC, schema) for key, value in each.get("properties", {}).items()}


def test_the_number_of_rpcs():
    assert len(ROUTES) == 242
    assert len(CONTRACT) == 194
    assert len(ROUTED) == 183


@every_case("name", CONTRACT)
def test_each_rpc_is_a_route_or_a_composite_or_a_stream(name):
    kinds = (CONTRACT[name].method is not None, name in COMPOSITES, CONTRACT[name].streaming)
    assert kinds.count(True) == 1


def test_only_threads_and_forum_posts_share_a_route():
    seen = {}
    for rpc in ROUTED:
        seen.setdefault((rpc.method, rpc.template), []).append(rpc.name)
    twice = [names for names in seen.values() if len(names) > 1]
    assert twice == [["CreateThread", "CreateForumPost"]]


@every_case("rpc", ROUTED, ids=lambda rpc: rpc.name)
def test_route(rpc):
    row = ROUTES[rpc.method, rpc.template]
    assert rpc.reason == (row["has_audit_reason"] == "yes")
    if rpc.name in FILE_OF_A_FORM:
        assert FILE_OF_A_FORM[rpc.name] == row["has_files"]
    elif rpc.name not in SHARED_MULTIPART:
        assert rpc.files == (row["has_files"] != "no")
    if rpc.no_bot_auth:
        assert {} in SPEC["paths"][rpc.template][rpc.method.lower()]["security"]


@every_case("rpc", ROUTED, ids=lambda rpc: rpc.name)
def test_path_and_query_parameters(rpc):
    parts = request_parts(rpc)
    assert set(parts.path) == set(_parameters(rpc, "path"))
    assert {json_key(field) for field in parts.query} <= set(_parameters(rpc, "query"))
    required = {name for name, parameter in _parameters(rpc, "query").items() if parameter.get("required")}
    assert required <= {json_key(field) for field in parts.query}


@every_case("rpc", ROUTED, ids=lambda rpc: rpc.name)
def test_body_fields(rpc):
    fields = request_parts(rpc).body
    schema = body_schema(SPEC, rpc.method, rpc.template)
    if schema is None:
        assert not fields
        return
    known = _properties(schema)
    if rpc.body:
        (field,) = fields
        fields = field.message_type.fields
        known = {
            key: each
            for place in body_places(SPEC, rpc.method, rpc.template)
            for key, each in place["properties"].items()
        }
    if rpc.name == "CreateForumPost":
        inner = _properties(known["message"])
        assert {json_key(field) for field in fields if field.number in FORUM_MESSAGE} <= set(inner)
        fields = [field for field in fields if field.number not in FORUM_MESSAGE]
    legacy = {"embed"}  # of 1.5.1, merged into `embeds`
    assert {json_key(field) for field in fields} - legacy <= set(known)


@every_case("rpc", [rpc for rpc in ROUTED if rpc.result], ids=lambda rpc: rpc.name)
def test_the_result_is_a_list_exactly_if_discords_response_is_one(rpc):
    schema = resolve(SPEC, answer_schema(SPEC, rpc.method, rpc.template))
    field = rpc.response.fields_by_name[rpc.result]
    assert field.message_type is not None
    kinds = schema.get("type", "object")
    assert (is_list(field) and not is_map(field)) == ("array" in kinds)


@every_case("rpc", [rpc for rpc in ROUTED if rpc.response.fields], ids=lambda rpc: rpc.name)
def test_a_response_may_be_empty_exactly_if_discords_may(rpc):
    answers = SPEC["paths"][rpc.template][rpc.method.lower()]["responses"]
    assert rpc.may_be_empty == ("204" in answers)
    assert rpc.fits(None) == rpc.may_be_empty


@every_case("rpc", [rpc for rpc in ROUTED if not rpc.result], ids=lambda rpc: rpc.name)
def test_rpcs_without_a_result_field_return_discords_keys(rpc):
    schema = answer_schema(SPEC, rpc.method, rpc.template)
    fields = _sent_by_discord(rpc.response)
    assert fields <= (set(_properties(schema)) if schema else set())


NOT_IN_ANSWERS = {
    "Channel.app_permissions",  # interactions only, like the next two
    "ResolvedData.attachments",
    "ResolvedData.messages",
    "Component.values",  # submitted modals only
    "Component.file_types",  # requests only: parts of a modal
    "Guild.IncidentsData.dm_spam_detected_at",  # documented, like the next three, but not described
    "Guild.IncidentsData.raid_detected_at",
    "Guild.icon_hash",
    "Guild.welcome_screen",
    "Channel.status",  # gateway events only, like the next three
    "Message.guild_id",
    "Message.member",
    "Component.component",  # requests only: parts of a modal
    "Component.default",
    "Message.Reference.fail_if_not_exists",
    "Poll.duration",
    "Message.Sticker.asset",  # of 1.5.1; Discord documents it as deprecated
    "Message.Sticker.preview_asset",
    "Application.IntegrationTypesConfig.0",  # keys of an object whose keys are not described
    "Application.IntegrationTypesConfig.1",
    "OnboardingPrompt.Option.emoji_id",  # requests only, like the next two
    "OnboardingPrompt.Option.emoji_name",
    "OnboardingPrompt.Option.emoji_animated",
}
"""Fields that Discord documents, but not for the responses of our RPCs."""


def _collect(descriptor, schema, keys, seen):
    """Add to `keys` the keys that Discord may send for each message type, over all its occurrences."""
    for each in alternatives(SPEC, schema):
        for inner in alternatives(SPEC, resolve(SPEC, each.get("items", each))):
            if (descriptor.full_name, id(inner)) in seen:
                continue
            seen.add((descriptor.full_name, id(inner)))
            known = inner.get("properties", {})
            keys.setdefault(descriptor.full_name, set()).update(known)
            for field in descriptor.fields:
                nested = field.message_type is not None and not is_map(field) and not is_json(field)
                if nested and json_key(field) in known:
                    _collect(field.message_type, known[json_key(field)], keys, seen)


def _sent_by_discord(descriptor):
    return {json_key(field) for field in descriptor.fields if not field_option(field, annotations_pb2.proxy_only)}


def test_every_field_of_a_response_is_one_of_discords():
    keys, seen, descriptors = {}, set(), {}
    for rpc in ROUTED:
        schema = answer_schema(SPEC, rpc.method, rpc.template)
        is_counted = rpc.result and is_map(rpc.response.fields_by_name[rpc.result])
        if schema is not None and rpc.response.fields and not is_counted:
            descriptor = rpc.response.fields_by_name[rpc.result].message_type if rpc.result else rpc.response
            _collect(descriptor, schema, keys, seen)
    for name in keys:
        descriptors[name] = annotations_pb2.DESCRIPTOR.pool.FindMessageTypeByName(name)
    strangers = {
        f"{name.removeprefix('discord_api.')}.{key}"
        for name, descriptor in descriptors.items()
        for key in _sent_by_discord(descriptor) - keys[name]
    }
    assert len(descriptors) > 30
    assert strangers == NOT_IN_ANSWERS
