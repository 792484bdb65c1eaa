"""Both clients have a method for each RPC of the contract."""

import ast
import inspect
import re
import sys
import textwrap
from pathlib import Path

import pytest
from google.protobuf.message_factory import GetMessageClass

import discordproxy
from discordproxy._grpc.routes import is_read
from discordproxy._requests import arguments as call_arguments
from discordproxy._requests import settings as call_settings
from discordproxy.aio import AsyncDiscordClient
from discordproxy.client import DiscordClient
from fakes.every_case import every_case
from strategies.client_methods import METHODS, RPCS, method_name

CLIENTS = (DiscordClient, AsyncDiscordClient)
STREAMS = {
    "SubscribeEvents": ("events", {"batch"}, {"on_gap"}),
    "SyncGuildRoles": ("sync_guild_roles", set(), {"timeout"}),
}
"""The method of each RPC with a stream, the fields that are no arguments, the arguments that are no fields."""
PACKAGE = Path(discordproxy.__file__).parent


def calls_of(method):
    """Return pairs of `_read` or `_write` and the RPC, as a method's source uses them."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(method)))
    aliases = {
        node.targets[0].id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and node.targets
        if isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.IfExp)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.args[0]).startswith("self.stub."):
            doors = aliases.get(getattr(node.func, "id", ""), node.func)
            yield ast.unparse(doors), node.args[0].attr


@every_case("client", [DiscordClient, AsyncDiscordClient])
@every_case("rpc", RPCS)
def test_every_rpc_has_a_method(client, rpc):
    method = getattr(client, method_name(rpc))
    found = list(calls_of(method))
    assert [name for _, name in found] == [rpc]
    expected = "self._read" if is_read(rpc) else "self._write"
    if rpc == "Request":
        expected = "self._read if request.method == 'GET' else self._write"
    assert found[0][0] == expected
    assert inspect.getdoc(method)


def test_both_clients_have_the_same_methods_and_arguments():
    for rpc in RPCS:
        name = method_name(rpc)
        sync, asynchronous = getattr(DiscordClient, name), getattr(AsyncDiscordClient, name)
        arguments = [
            re.sub(r"\bAsync", "", str(list(inspect.signature(method).parameters.values())))
            for method in (sync, asynchronous)
        ]
        assert arguments[0] == arguments[1], name


def test_the_streams():
    assert METHODS.keys() - RPCS.keys() == STREAMS.keys()


@pytest.mark.parametrize("rpc", STREAMS)
def test_a_stream_has_an_argument_for_each_field(rpc):
    name, not_arguments, not_fields = STREAMS[rpc]
    sync, asynchronous = (inspect.signature(getattr(client, name)).parameters for client in CLIENTS)
    assert list(sync) == list(asynchronous)
    fields = {field.name for field in METHODS[rpc].input_type.fields}
    assert fields - not_arguments == set(sync) - {"self"} - not_fields


@pytest.mark.parametrize(
    ("arguments", "request_name"),
    [
        ("ChannelSettings", "CreateChannelRequest"),
        ("ChannelChanges", "EditChannelRequest"),
        ("RoleSettings", "CreateRoleRequest"),
        ("RoleSettings", "EditRoleRequest"),
        ("MemberChanges", "EditGuildMemberRequest"),
        ("ScheduledEventSettings", "CreateScheduledEventRequest"),
        ("ScheduledEventChanges", "EditScheduledEventRequest"),
        ("GuildChanges", "EditGuildRequest"),
        ("OnboardingChanges", "SetOnboardingRequest"),
        ("WelcomeScreenChanges", "EditWelcomeScreenRequest"),
        ("WidgetChanges", "EditWidgetSettingsRequest"),
        ("IncidentActions", "SetIncidentActionsRequest"),
        ("CurrentMemberChanges", "EditCurrentMemberRequest"),
        ("AutoModerationRuleSettings", "CreateAutoModerationRuleRequest"),
        ("AutoModerationRuleChanges", "EditAutoModerationRuleRequest"),
        ("WebhookChanges", "EditWebhookRequest"),
        ("WebhookChangesWithToken", "EditWebhookWithTokenRequest"),
        ("EmojiChanges", "EditGuildEmojiRequest"),
        ("StickerChanges", "EditGuildStickerRequest"),
        ("SoundChanges", "EditGuildSoundboardSoundRequest"),
        ("ApplicationChanges", "EditCurrentApplicationRequest"),
        ("EventExceptionChanges", "EditScheduledEventExceptionRequest"),
        ("VoiceStateChanges", "EditCurrentVoiceStateRequest"),
        ("TemplateChanges", "EditGuildTemplateRequest"),
        ("UserChanges", "EditCurrentUserRequest"),
        ("MessageSearch", "SearchMessagesRequest"),
        ("ThreadSearch", "SearchThreadsRequest"),
    ],
)
def test_arguments_are_the_fields_of_the_request(arguments, request_name):
    kind = getattr(call_arguments, arguments, None) or getattr(call_settings, arguments)
    own = set(kind.__annotations__) - set(call_arguments.CallArguments.__annotations__)
    request = next(rpc.input_type for rpc in RPCS.values() if rpc.input_type.name == request_name)
    positional = {"guild_id", "user_id", "role_id", "guild_scheduled_event_id", "rule_id", "webhook_id"}
    positional |= {"webhook_token", "emoji_id", "sticker_id", "sound_id", "exception_id", "code", "username"}
    positional |= {"channel_id"} if "Channel" in request_name or "Thread" in request_name else set()
    required = {"name", "type", "scheduled_start_time", "entity_type"} if "Create" in request_name else set()
    required |= {"event_type", "trigger_type", "actions"} if request_name.startswith("CreateAuto") else set()
    required |= {"content"} if "SearchMessages" in request_name else set()
    required |= {"name"} if "SearchThreads" in request_name else set()
    missing = set(request.fields_by_name) - own - positional - required - {"clear", "options"}
    assert not missing
    assert own <= set(request.fields_by_name)


def test_every_request_takes_options():
    assert all("options" in rpc.input_type.fields_by_name for rpc in RPCS.values())
    assert all(GetMessageClass(rpc.input_type)().options is not None for rpc in RPCS.values())


def test_synchronous_calls_are_up_to_date(tmp_path):
    sys.path.insert(0, str(PACKAGE.parent))
    try:
        import generate_sync
    finally:
        sys.path.remove(str(PACKAGE.parent))
    generate_sync.generate(tmp_path)
    assert _modules(tmp_path) == _modules(PACKAGE / "_sync")


def _modules(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.py")}
