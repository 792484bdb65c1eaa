"""The limits agree with Discord's OpenAPI description, except where its documentation is more precise."""

from discordproxy_api.contract.contract import is_list, is_sent, json_key, load_contract, request_parts
from discordproxy_api.contract.rules import limits
from fakes.every_case import every_case
from strategies.discord_spec import alternatives, body_places, body_schema, openapi, resolve

SPEC = openapi("about 150 limits of request fields")
ROUTED = [rpc for rpc in load_contract().values() if rpc.method]

MEANINGLESS = {1521, 152133, 2**31 - 1, 2**54 - 1, 2**63 - 1}
"""Upper bounds without a meaning of their own."""

KNOWN_BETTER = {
    "SendChannelMessageRequest.content": 2000,
    "EditMessageRequest.content": 2000,
    "CreateForumPostRequest.content": 2000,
    "EditChannelRequest.user_limit": 10000,  # of a stage
    "AutoModerationRule.TriggerMetadata.allow_list": 1000,
    "AutoModerationRule.Action.Metadata.custom_message": 150,
    "BulkDeleteMessagesRequest.message_ids": limits.INT32,  # any number: they are sent in chunks
}
"""Limits of Discord's documentation, or of the contract, that differ from the description."""


def _bounds(schema):
    """Return the bounds of a schema in the form of our table; None without bounds."""
    found = {"least": None, "most": None}
    for each in alternatives(SPEC, schema):
        for word, start in (("least", "min"), ("most", "max")):
            for end in ("Length", "imum", "Items"):
                found[word] = each.get(start + end, found[word])
    return found


def _pairs():
    """Yield each limited field of each request with the bounds of Discord's description."""
    for rpc in ROUTED:
        schema = body_schema(SPEC, rpc.method, rpc.template)
        if schema is not None:
            message = rpc.request.name
            fields = request_parts(rpc).body
            if rpc.body:
                fields = rpc.request.fields_by_name[rpc.body].message_type.fields
                message = rpc.request.fields_by_name[rpc.body].message_type.name
            places = body_places(SPEC, rpc.method, rpc.template)
            if rpc.name == "CreateForumPost":
                places = [*places, *alternatives(SPEC, places[0]["properties"]["message"])]
            yield from _compare(message, fields, places, set())
        declared = {each["name"]: each["schema"] for each in _query(rpc)}
        for field in request_parts(rpc).query:
            yield rpc.request.name, field, declared[json_key(field)]


def _query(rpc):
    operation = SPEC["paths"][rpc.template][rpc.method.lower()]
    return [each for each in operation.get("parameters", ()) if each["in"] == "query"]


def _compare(message, fields, places, seen):
    for field in fields:
        for place in places if is_sent(field) else ():
            schema = place.get("properties", {}).get(json_key(field))
            if schema is None:
                continue
            yield message, field, schema
            inner = field.message_type
            if inner is not None and inner.name != "Component" and inner.full_name not in seen:
                nested = [resolve(SPEC, each.get("items", each)) for each in alternatives(SPEC, schema)]
                nested = [deep for each in nested for deep in alternatives(SPEC, each)]
                yield from _compare(inner.full_name.partition(".")[2], inner.fields, nested, {*seen, inner.full_name})


PAIRS = {}
for _message, _field, _schema in _pairs():
    PAIRS.setdefault(f"{_message}.{_field.name}", (_message, _field, []))[2].append(_schema)


def test_the_comparison_covers_most_of_the_table():
    assert len(PAIRS) > 200


@every_case("name", PAIRS)
def test_bounds(name):
    message, field, schemas = PAIRS[name]
    limit, bounds = limits.limits_of(message).get(field.name), _bounds({"anyOf": schemas})
    if bounds["most"] not in {None, *MEANINGLESS} or name in KNOWN_BETTER:
        assert limit is not None
        assert limit.most == KNOWN_BETTER.get(name, bounds["most"])
    if bounds["least"] is not None and limit is not None and name not in KNOWN_BETTER:
        assert limit.least >= bounds["least"]


@every_case("name", [name for name, (_message, field, _schemas) in PAIRS.items() if not field.enum_type])
def test_choices(name):
    message, field, schemas = PAIRS[name]
    limit = limits.limits_of(message).get(field.name)
    choices = set(_choices({"anyOf": schemas})) if field.message_type is None else set()
    if choices:
        assert limit is not None
        assert set(limit.choices) == choices


def _choices(schema):
    schema = resolve(SPEC, schema)
    schema = resolve(SPEC, schema.get("items", schema))
    yield from schema.get("enum", ())
    for each in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
        yield from [each["const"]] if "const" in each else _choices(each)


def test_fields_that_discord_requires_cannot_be_reset():
    never = {
        rpc.request.name: {
            field.name
            for field in request_parts(rpc).body
            if not is_list(field) and not any(_nullable(schema) for schema in _schemas(rpc, field))
        }
        for rpc in ROUTED
        if "clear" in rpc.request.fields_by_name
    }
    never["EditChannelRequest"].add("name")  # null for direct messages only, which a bot cannot edit
    assert {name: frozenset(fields) for name, fields in never.items() if fields} == limits.NEVER_RESET


def _schemas(rpc, field):
    places = alternatives(SPEC, body_schema(SPEC, rpc.method, rpc.template))
    return [place["properties"][json_key(field)] for place in places if json_key(field) in place.get("properties", {})]


def _nullable(schema):
    schema = resolve(SPEC, schema)
    inner = (*schema.get("oneOf", ()), *schema.get("anyOf", ()))
    return "null" in schema.get("type", ()) or any(_nullable(each) for each in inner)
