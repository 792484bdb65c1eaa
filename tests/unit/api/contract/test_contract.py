import pytest
from google.protobuf import descriptor_pb2

from discordproxy import annotations_pb2
from discordproxy import discord_api_pb2 as pb
from discordproxy_api.contract.contract import ContractError, load_contract, request_parts
from discordproxy_ratelimit.route import names_token

FieldProto = descriptor_pb2.FieldDescriptorProto


def test_routed_rpc():
    rpc = load_contract()["DeleteMessage"]
    assert (rpc.method, rpc.template) == ("DELETE", "/channels/{channel_id}/messages/{message_id}")
    assert rpc.path == "/discord_api.DiscordApi/DeleteMessage"
    assert (rpc.request_type, rpc.response_type) == (pb.MessageId, pb.Empty)
    assert rpc.parameters == ("channel_id", "message_id")
    assert rpc.reason
    assert (rpc.files, rpc.result, rpc.no_bot_auth, rpc.streaming) == (False, "", False, False)


def test_composites_have_no_route():
    rpc = load_contract()["SendDirectMessage"]
    assert (rpc.method, rpc.template, rpc.parameters) == (None, None, ())


def test_token_in_the_path_replaces_the_bots():
    routed = [rpc for rpc in load_contract().values() if rpc.template]
    assert {rpc.name for rpc in routed if names_token(rpc.template)} == {rpc.name for rpc in routed if rpc.no_bot_auth}
    assert load_contract()["ExecuteWebhook"].no_bot_auth


def test_where_the_fields_of_a_request_go():
    parts = request_parts(load_contract()["ExecuteWebhook"])
    assert set(parts.path) == {"webhook_id", "webhook_token"}
    assert [field.name for field in parts.query] == ["thread_id", "wait", "with_components"]
    body = {field.name for field in parts.body}
    assert {"content", "embeds", "username"} <= body
    assert not body & {"webhook_id", "options", "files", "overflow", "components_json", "wait"}


def test_a_field_may_fill_a_parameter_of_another_name():
    parts = request_parts(load_contract()["AddReaction"])
    assert parts.path["emoji_name"].name == "emoji"


def service(name, fields, **route):
    """Return a service with one RPC whose request has these fields."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"tests/{name}.proto",
        package=f"tests_{name}",
        syntax="proto3",
        dependency=["discordproxy/annotations.proto"],
    )
    request = file.message_type.add(name="Request")
    for number, (field, kind, label) in enumerate(fields, start=1):
        request.field.add(name=field, number=number, type=kind, label=label)
    file.message_type.add(name="Response")
    rpc = file.service.add(name="Api").method.add(name="Call", input_type=f".tests_{name}.Request")
    rpc.output_type = f".tests_{name}.Response"
    rpc.options.Extensions[annotations_pb2.route].CopyFrom(annotations_pb2.Route(**route))
    pool = annotations_pb2.DESCRIPTOR.pool
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindFileByName(file.name).services_by_name["Api"]


ID = ("channel_id", FieldProto.TYPE_UINT64, FieldProto.LABEL_OPTIONAL)


@pytest.mark.parametrize(
    ("name", "fields", "route", "complaint"),
    [
        ("absent", [], {"get": "/channels/{channel_id}"}, "{channel_id} of its route is no field of Request"),
        (
            "repeated",
            [("channel_id", FieldProto.TYPE_UINT64, FieldProto.LABEL_REPEATED)],
            {"get": "/channels/{channel_id}"},
            "a single id, number or text is needed",
        ),
        (
            "truth",
            [("channel_id", FieldProto.TYPE_BOOL, FieldProto.LABEL_OPTIONAL)],
            {"get": "/channels/{channel_id}"},
            "a single id, number or text is needed",
        ),
        ("result", [ID], {"get": "/channels/{channel_id}", "result": "channel"}, "result 'channel' is no field"),
        ("files", [ID], {"post": "/channels/{channel_id}", "files": True}, "has no field files"),
        ("reason", [ID], {"post": "/channels/{channel_id}", "reason": True}, "has no field reason"),
    ],
)
def test_a_wrong_annotation_stops_the_start(name, fields, route, complaint):
    with pytest.raises(ContractError, match="Call: ") as caught:
        load_contract(service(name, fields, **route))
    assert complaint in str(caught.value)


def test_a_right_annotation_passes():
    (rpc,) = load_contract(service("right", [ID], delete="/channels/{channel_id}")).values()
    assert (rpc.method, rpc.parameters) == ("DELETE", ("channel_id",))


@pytest.mark.parametrize("rpc", [rpc for rpc in load_contract().values() if rpc.method], ids=lambda rpc: rpc.name)
def test_which_documents_a_response_can_be_made_of(rpc):
    if not rpc.response.fields:
        assert all(map(rpc.fits, (None, {}, [], "text")))
        return
    assert not any(map(rpc.fits, ("text", 5, True)))
    assert rpc.fits({"id": "1"}) != rpc.fits([])
    assert not (rpc.result == "message" and rpc.fits({}))
