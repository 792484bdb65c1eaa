"""Discord's schemas validate the request bodies strictly: an unknown key is an error."""

import copy
import json
from functools import cache

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.contract.contract import load_contract
from discordproxy_api.contract.steps import Circumstances, prepare
from discordproxy_api.contract.translate import Translator
from strategies.discord_spec import body_schema, openapi
from strategies.examples import examples
from strategies.valid_requests import valid_requests

SPEC = openapi("the request bodies of all routes against Discord's schemas")
CONTRACT = load_contract()
ROUTED = [rpc for rpc in CONTRACT.values() if rpc.method]
CIRCUMSTANCES = Circumstances(seed="seed", now_ms=1_780_000_000_000)
DIGITS = {"type": ["string", "integer", "null"], "pattern": "^[0-9]+$"}


def _corrected():
    """Return the schemas, corrected by Discord's documentation, without unknown keys."""
    schemas = copy.deepcopy(SPEC["components"]["schemas"])
    for name in ("MessageCreateRequest", "MessageEditRequestPartial", "BaseCreateMessageCreateRequest"):
        schemas[name]["properties"]["content"]["maxLength"] = 2000
    schemas["MessageReferenceType"]["oneOf"].append({"const": 1})
    schemas["ChannelTypes"]["oneOf"].append({"const": 16})
    schemas["ComponentEmojiForRequest"]["properties"]["animated"] = {"type": ["boolean", "null"]}
    schemas["ApplicationFormPartial"]["properties"]["description"] = {"type": ["string", "null"], "maxLength": 400}
    schemas["ApplicationOAuth2InstallParams"]["properties"]["permissions"] = DIGITS
    for schema in list(_objects(schemas)):
        schema["unevaluatedProperties"] = False
        for key in {"allow", "deny", "permissions"} & set(schema["properties"]):
            schema["properties"][key] = DIGITS
        if 13 in schema["properties"].get("type", {}).get("oneOf", [{}])[-1].get("enum", ()):
            schema["properties"]["type"]["oneOf"][-1]["enum"].append(16)
    return schemas


def _objects(value):
    if isinstance(value, dict):
        if isinstance(value.get("properties"), dict):
            yield value
        for inner in value.values():
            yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)


SCHEMAS = _corrected()


@cache
def validator_of(method, template):
    """Return the validator of an operation's body; None if it has none."""
    schema = body_schema({**SPEC, "components": {"schemas": SCHEMAS}}, method, template)
    if schema is None:
        return None
    schema = copy.deepcopy(schema)
    for inline in list(_objects(schema)):
        inline["unevaluatedProperties"] = False
        for each in inline["properties"].values():
            if each.get("enum") == []:
                del each["enum"]  # the values are in `allOf`
        for key in {"allow", "deny", "permissions"} & set(inline["properties"]):
            inline["properties"][key] = DIGITS
    whole = {**schema, "components": {"schemas": SCHEMAS}}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def errors_of(outgoing):
    """Return the validator's errors of a request; an upload's payload_json is the same body."""
    validator = validator_of(outgoing.method, outgoing.template)
    document = outgoing.document
    if outgoing.files and not all(file.field.startswith("files[") for file in outgoing.files):
        own = [file.field for file in outgoing.files if _is_described(outgoing, file.field)]
        document = {**(document or {}), **dict.fromkeys(own, "")}  # a form with a file of its own
    if document is None:
        return []
    if validator is None:
        return [f"{outgoing.method} {outgoing.template} takes no body"]
    return [f"{error.instance_path}: {error.message[:200]}" for error in validator.iter_errors(document)]


def _is_described(outgoing, field):
    """Return whether the schema that is compared has the field: of a route with JSON, the one of its form has more."""
    return f'"{field}"' in json.dumps(body_schema(SPEC, outgoing.method, outgoing.template))


@pytest.mark.parametrize("rpc", ROUTED, ids=lambda rpc: rpc.name)
@given(data=st.data())
@examples(6, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
def test_every_request_fits(rpc, data):
    request = data.draw(valid_requests(rpc))
    for outgoing in prepare(rpc.name, request, Translator(rpc).outgoing(request), CIRCUMSTANCES):
        assert errors_of(outgoing) == []
        assert "{" not in outgoing.path
        assert all(isinstance(key, str) and isinstance(value, str) for key, value in outgoing.query)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"contents": "x"}, "contents"),
        ({"content": "x" * 2001}, "content"),
        ({"embeds": [{"titel": "x"}]}, "titel"),
        ({"sticker_ids": [1]}, "sticker_ids"),
    ],
)
def test_the_validator_is_strict(change, error):
    outgoing = Translator(CONTRACT["SendChannelMessage"]).outgoing(pb.SendChannelMessageRequest(channel_id=1))
    outgoing.body = change
    assert error in "".join(errors_of(outgoing))
