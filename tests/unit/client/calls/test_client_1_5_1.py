"""Programs and tests written for discordproxy 1.5.1 keep working."""

import json
import pickle
from unittest.mock import create_autospec, patch

import grpc
import pytest

from discordproxy.client import (
    Channel,
    DiscordClient,
    DiscordProxyException,
    DiscordProxyGrpcError,
    DiscordProxyHttpError,
    DiscordProxyTimeoutError,
    Embed,
    to_discord_proxy_exception,
)
from discordproxy.discord_api_pb2 import (
    GetGuildChannelsResponse,
    Message,
    SendChannelMessageResponse,
    SendDirectMessageRequest,
    SendDirectMessageResponse,
)
from discordproxy.discord_api_pb2_grpc import DiscordApiStub
from discordproxy.helpers import GrpcErrorDetails, parse_error_details
from discordproxy.tests.factories import create_discordproxy_channel, create_rpc_error
from fakes.scripted_proxy import fail, scripted_proxy

UNKNOWN_USER = {"type": "HTTPException", "status": 404, "code": 10013, "text": "Unknown User"}


@pytest.fixture
def proxy():
    with scripted_proxy() as server:
        yield server


@pytest.fixture
def client(proxy):
    with DiscordClient(proxy.address, timeout=10) as made:
        yield made


@pytest.fixture
def stub():
    with (
        patch("discordproxy.client.grpc.insecure_channel", spec=True),
        patch("discordproxy.client.DiscordApiStub") as stub_class,
    ):
        yield stub_class.return_value


class TestGuidePrograms:
    def test_text(self, proxy, client):
        answer = Message(id=7, content="Hello, world!")
        proxy.script("SendDirectMessage", SendDirectMessageResponse(message=answer))
        assert client.create_direct_message(user_id=123456789, content="Hello, world!") == answer
        request = proxy.received[0].request
        assert (request.user_id, request.content) == (123456789, "Hello, world!")
        assert not request.HasField("embed")

    def test_embed(self, proxy, client):
        client.create_direct_message(user_id=1, embed=Embed(description="Hello, world!"))
        assert proxy.received[0].request.embed.description == "Hello, world!"

    def test_error_text(self, proxy, client):
        proxy.script("SendDirectMessage", fail(grpc.StatusCode.NOT_FOUND, UNKNOWN_USER))
        with pytest.raises(DiscordProxyException) as caught:
            client.create_direct_message(user_id=1, content="Hello, world!")
        assert str(caught.value) == (
            "HTTP error from the Discord API. HTTP status code: 404 - JSON error code: 10013 - "
            "Error message: Unknown User"
        )
        assert isinstance(caught.value.__cause__, grpc.RpcError)
        assert isinstance(caught.value, DiscordProxyHttpError)

    def test_timeout(self, proxy, client):
        proxy.script("SendDirectMessage", fail(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))
        with pytest.raises(DiscordProxyTimeoutError):
            client.create_direct_message(user_id=1, content="x")

    def test_plain_grpc(self, proxy):
        proxy.script("SendDirectMessage", fail(grpc.StatusCode.NOT_FOUND, UNKNOWN_USER))
        with grpc.insecure_channel(proxy.address) as channel:
            with pytest.raises(grpc.RpcError) as caught:
                DiscordApiStub(channel).SendDirectMessage(
                    SendDirectMessageRequest(user_id=1, content="Hello, world!"), timeout=10
                )
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
            assert parse_error_details(caught.value) == GrpcErrorDetails("HTTPException", 404, 10013, "Unknown User")


class TestConstruction:
    def test_defaults(self, monkeypatch):
        monkeypatch.delenv("DISCORDPROXY_TARGET", raising=False)
        client = DiscordClient()
        assert (client.target, client.options, client.timeout) == ("localhost:50051", None, None)

    def test_by_position(self):
        options = [("grpc.max_send_message_length", 1)]
        client = DiscordClient("example:1", options, 30)
        assert (client.target, client.options, client.timeout) == ("example:1", options, 30)

    def test_properties_are_read_only(self):
        with pytest.raises(AttributeError):
            DiscordClient().target = "elsewhere"

    @pytest.mark.parametrize("configured", [None, 0])
    def test_no_deadline_without_timeout(self, stub, configured):
        DiscordClient(timeout=configured).get_guild_channels(1)
        assert stub.GetGuildChannels.call_args.kwargs["timeout"] is None

    def test_timeout_is_passed_as_configured(self, stub):
        DiscordClient(timeout=30).get_guild_channels(1)
        assert stub.GetGuildChannels.call_args.kwargs["timeout"] == 30


class TestPatchedByApplications:
    def test_channel_and_stub(self):
        with (
            patch("discordproxy.client.grpc.insecure_channel", spec=True) as open_channel,
            patch("discordproxy.client.DiscordApiStub") as stub_class,
        ):
            method = stub_class.return_value.SendDirectMessage
            method.return_value = SendDirectMessageResponse(message=Message(id=5))
            assert DiscordClient("here:1").create_direct_message(user_id=3, content="x", embed=None).id == 5
            assert open_channel.call_args.kwargs["target"] == "here:1"
            assert method.call_args.args[0].user_id == 3

    def test_replaced_channel_does_not_outlive_the_test(self, proxy):
        with patch("discordproxy.client.DiscordApiStub"):
            DiscordClient(proxy.address).create_channel_message(1, "x")
        with DiscordClient(proxy.address) as client:
            client.create_channel_message(1, "x")
        assert [received.rpc for received in proxy.received] == ["SendChannelMessage"]

    def test_grpc_error_is_converted(self, stub):
        stub.SendDirectMessage.side_effect = create_rpc_error()
        with pytest.raises(DiscordProxyHttpError) as caught:
            DiscordClient().create_direct_message(1, "x")
        assert (caught.value.status, caught.value.code, caught.value.text) == (404, 50001, "User not found")

    def test_other_errors_pass_unchanged(self, stub):
        stub.SendDirectMessage.side_effect = RuntimeError("mine")
        with pytest.raises(RuntimeError, match="mine"):
            DiscordClient().create_direct_message(1, "x")

    def test_class_with_autospec(self):
        with patch("discordproxy.client.DiscordClient", autospec=True) as mocked:
            mocked(target="there:1", timeout=30).create_direct_message(1, "x", suppress_mentions=True)
            assert mocked.call_args.kwargs["target"] == "there:1"
        with pytest.raises(TypeError):
            create_autospec(DiscordClient)(no_such_argument=1)


class TestCalls:
    def test_channels_iterate_twice(self, stub):
        channels = [create_discordproxy_channel(), create_discordproxy_channel(name="general")]
        stub.GetGuildChannels.return_value = GetGuildChannelsResponse(channels=channels)
        found = DiscordClient().get_guild_channels(guild_id=9)
        assert list(found) == list(found) == channels
        assert stub.GetGuildChannels.call_args.args[0].guild_id == 9

    def test_channel_message(self, stub):
        stub.SendChannelMessage.return_value = SendChannelMessageResponse(message=Message(id=2))
        assert DiscordClient().create_channel_message(1, "text", Embed(title="t")).id == 2
        request = stub.SendChannelMessage.call_args.args[0]
        assert (request.channel_id, request.content, request.embed.title) == (1, "text", "t")

    @pytest.mark.parametrize("method", ["create_direct_message", "create_channel_message"])
    def test_empty_message_is_refused_before_any_io(self, stub, method):
        with pytest.raises(ValueError, match=r"^Either content or embed need to be specified\.$"):
            getattr(DiscordClient(), method)(1)
        assert not stub.mock_calls

    def test_empty_embed_passes(self, stub):
        DiscordClient().create_direct_message(1, embed=Embed())
        assert stub.SendDirectMessage.call_args.args[0].HasField("embed")


class TestExceptions:
    def test_grpc_error(self):
        error = DiscordProxyGrpcError(grpc.StatusCode.UNAVAILABLE, "gone")
        assert str(error) == "gRPC error. Status code: UNAVAILABLE - Error message: gone"
        assert (error.status, error.details) == (grpc.StatusCode.UNAVAILABLE, "gone")
        assert not isinstance(error, DiscordProxyTimeoutError)

    def test_a_refusal_of_the_proxy_is_shown_without_json(self):
        details = {"type": "ProxyException", "text": "Wait.", "sent": "no", "reason": "WAIT_EXCEEDS_DEADLINE"}
        details |= {"retry_after": 2.5, "request_id": "5b0c"}
        error = to_discord_proxy_exception(
            create_rpc_error(code=grpc.StatusCode.RESOURCE_EXHAUSTED, details=json.dumps(details))
        )
        shown = "Wait. (WAIT_EXCEEDS_DEADLINE, sent: no, retry after 2.5 s, request 5b0c)"
        assert str(error) == f"gRPC error. Status code: RESOURCE_EXHAUSTED - Error message: {shown}"

    def test_tree(self):
        assert issubclass(DiscordProxyHttpError, DiscordProxyException)
        assert issubclass(DiscordProxyGrpcError, DiscordProxyException)
        assert issubclass(DiscordProxyTimeoutError, DiscordProxyGrpcError)
        assert not issubclass(DiscordProxyHttpError, DiscordProxyGrpcError)

    def test_attributes_can_be_assigned(self):
        error = DiscordProxyGrpcError(grpc.StatusCode.UNAVAILABLE, "gone")
        error.details = "elsewhere"
        error.anything = 1
        assert str(error).endswith("elsewhere")

    def test_new_attributes_have_defaults(self):
        error = DiscordProxyHttpError(404, 10013, "Unknown User")
        assert (error.sent, error.retry_after, error.request_id) == ("unknown", None, "")

    @pytest.mark.parametrize(
        "error",
        [
            DiscordProxyHttpError(403, 50001, "Missing Access"),
            DiscordProxyTimeoutError(grpc.StatusCode.DEADLINE_EXCEEDED, "late"),
        ],
    )
    def test_survive_a_process_boundary(self, error):
        error.sent = "no"
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), copy.sent) == (type(error), str(error), "no")

    @pytest.mark.parametrize("form", [repr, str])
    def test_is_made_again_from_arguments_that_were_stored_as_texts(self, form):
        """Celery's JSON results do so."""
        error = DiscordProxyTimeoutError(grpc.StatusCode.DEADLINE_EXCEEDED, "late")
        copy = DiscordProxyTimeoutError(*(each if isinstance(each, str) else form(each) for each in error.args))
        assert (copy.status, copy.args, str(copy)) == (error.status, error.args, str(error))
        assert DiscordProxyGrpcError("<StatusCode.NEW: (99, 'new')>", "").status is grpc.StatusCode.UNKNOWN

    def test_without_details_is_returned_as_it_is(self):
        error = grpc.RpcError()
        assert to_discord_proxy_exception(error) is error

    def test_timeout(self):
        error = to_discord_proxy_exception(create_rpc_error(code=grpc.StatusCode.DEADLINE_EXCEEDED, details="late"))
        assert type(error) is DiscordProxyTimeoutError

    def test_504_of_discord_is_an_http_error(self):
        details = json.dumps({"type": "HTTPException", "status": 504, "code": 0, "text": "Gateway Timeout"})
        error = to_discord_proxy_exception(create_rpc_error(code=grpc.StatusCode.DEADLINE_EXCEEDED, details=details))
        assert type(error) is DiscordProxyHttpError


class TestParseErrorDetails:
    @pytest.mark.parametrize(
        ("details", "expected"),
        [
            (json.dumps(UNKNOWN_USER), ("HTTPException", 404, 10013, "Unknown User")),
            ("{}", ("Other", None, None, "")),
            ('{"text": "x"}', ("Other", None, None, "x")),
            ("no JSON", ("Other", None, None, "no JSON")),
            ("[1]", ("Other", None, None, "[1]")),
            ("12", ("Other", None, None, "12")),
            ("", ("Other", None, None, "")),
            (None, ("Other", None, None, "")),
        ],
    )
    def test_any_form(self, details, expected):
        assert tuple(parse_error_details(create_rpc_error(details=details))) == expected


class TestFactories:
    def test_channel(self):
        first, second = create_discordproxy_channel(), create_discordproxy_channel(name="x")
        assert second.id > first.id
        assert first.type == Channel.Type.GUILD_TEXT
        assert create_discordproxy_channel(id=3, type=Channel.Type.DM).type == Channel.Type.DM

    def test_rpc_error(self):
        error = create_rpc_error()
        assert isinstance(error, grpc.RpcError)
        assert error.code() is grpc.StatusCode.NOT_FOUND
        assert json.loads(error.details())["text"] == "User not found"
        changed = create_rpc_error(code=grpc.StatusCode.INTERNAL, details="x")
        assert (changed.code(), changed.details()) == (grpc.StatusCode.INTERNAL, "x")
