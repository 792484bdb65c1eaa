"""Every public name of discordproxy 1.5.1 exists and works as its users import it."""

import asyncio
import importlib
import inspect
import pkgutil
import re
import socket
import unittest
from unittest.mock import Mock, create_autospec

import grpc
import pytest

import discordproxy
from discordproxy.exceptions import DiscordProxyGrpcError, DiscordProxyHttpError
from discordproxy.tests.factories import create_discordproxy_channel, id_generator, unique_ids
from discordproxy.tests.helpers import NoSocketsTestCase, SocketAccessError
from discordproxy.tests.stubs import (
    CHANNELS,
    DiscordClientErrorStub,
    DiscordClientStub,
    Forbidden,
    NotFound,
    ServicerContextStub,
)

CLIENT = "DiscordClient.get_guild_channels create_channel_message create_direct_message target options timeout"
NAMES = {
    "discordproxy": "__title__ __version__",
    "discordproxy.client": f"{CLIENT} DiscordApiStub Channel Embed Message GetGuildChannelsRequest "
    "SendChannelMessageRequest SendDirectMessageRequest grpc to_discord_proxy_exception",
    "discordproxy.exceptions": "DiscordProxyException DiscordProxyTimeoutError DiscordProxyGrpcError.status details "
    "DiscordProxyHttpError.status code text GrpcStatusCode parse_error_details to_discord_proxy_exception",
    "discordproxy.helpers": "GrpcErrorDetails.type status code text parse_error_details",
    "discordproxy.discord_api_pb2_grpc": "DiscordApi.GetGuildChannels SendChannelMessage SendDirectMessage "
    "DiscordApiServicer.GetGuildChannels SendChannelMessage SendDirectMessage DiscordApiStub "
    "add_DiscordApiServicer_to_server GRPC_GENERATED_VERSION GRPC_VERSION grpc",
    "discordproxy.discord_api_pb2": "Channel Embed Emoji GuildMember Message Role User GetGuildChannelsRequest "
    "GetGuildChannelsResponse SendChannelMessageRequest SendChannelMessageResponse SendDirectMessageRequest "
    "SendDirectMessageResponse DESCRIPTOR",
    "discordproxy.tests.factories": "id_generator unique_ids create_discordproxy_channel create_rpc_error",
    "discordproxy.tests.helpers": "SocketAccessError NoSocketsTestCase.guard setUpClass tearDownClass",
    "discordproxy.tests.stubs": "mock_state CHANNEL_TYPE_GUILD_TEXT obj_list_2_dict obj_dict_by_id create_discord_role "
    "USERS_DATA USERS_DATA_BY_ID USERS USERS_FORBIDDEN GUILDS CHANNELS CHANNELS_FORBIDDEN ROLES MEMBERS_DATA "
    "MEMBERS_DATA_BY_ID MEMBERS_LIST MEMBERS my_get_member my_get_role Forbidden NotFound DiscordClientResponseStub "
    "DiscordChannel.send DiscordUser.create_dm DiscordGuild.fetch_channels "
    "DiscordClientStub.start logout close fetch_channel fetch_user fetch_guild DiscordClientErrorStub.fetch_user "
    "ServicerContextStub.set_code set_details",
}


@pytest.mark.parametrize("module", NAMES)
def test_names(module):
    """A word after a class and a dot is an attribute of that class, unless the module has it."""
    holder = found = importlib.import_module(module)
    for word in NAMES[module].split():
        name, _, attribute = word.partition(".")
        if hasattr(found, name):
            holder = getattr(found, name)
            assert hasattr(holder, attribute or "__class__"), word
        else:
            assert hasattr(holder, name), word


def documented_classes():
    for module in pkgutil.iter_modules(discordproxy.__path__, "discordproxy."):
        name = module.name.rpartition(".")[2]
        if name.startswith("_") or "_pb2" in name:
            continue
        for found in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(found) and found.__module__.startswith("discordproxy.") and found.__doc__:
                yield found


def test_documented_attributes_are_on_the_class():
    """Mock(spec=...) and create_autospec find nothing else."""
    looked_at = 0
    for found in set(documented_classes()):
        section = re.search(r"\nAttributes:\n(.*)", inspect.getdoc(found), re.DOTALL)
        lines = re.findall(r"^ {4}([a-z_, ]+): ", section[1], re.MULTILINE) if section else []
        for name in (name for line in lines for name in line.split(", ")):
            assert name in dir(found), (found, name)
            looked_at += 1
    assert looked_at > 10


def test_exceptions_as_a_specification():
    error = Mock(spec=DiscordProxyHttpError)
    error.status = 404
    assert (error.status, Mock(spec=DiscordProxyHttpError).text is not None) == (404, True)
    assert create_autospec(DiscordProxyGrpcError).details is not None
    assert DiscordProxyHttpError(status=1, code=2, text="x").status == 1


def test_ids_count_up():
    assert [next(ids) for ids in [id_generator()] * 3] == [1, 2, 3]
    assert next(unique_ids) < create_discordproxy_channel().id < next(unique_ids)


def test_no_sockets():
    class Case(NoSocketsTestCase):
        def test(self):
            with pytest.raises(SocketAccessError):
                socket.socket()

    opened = socket.socket
    result = unittest.TestResult()
    unittest.TestSuite([Case("test")]).run(result)
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])
    assert socket.socket is opened


def test_stubs():
    async def story():
        client = DiscordClientStub()
        message = await (await client.fetch_channel(2001)).send("text")
        assert (message.content, message.channel, message.author.id) == ("text", CHANNELS[2001], 1001)
        assert (await (await (await client.fetch_user(1002)).create_dm()).send("x")).guild is None
        assert [found.id for found in await (await client.fetch_guild(3001)).fetch_channels()] == [
            2001,
            2002,
            2051,
            2100,
        ]
        with pytest.raises(Forbidden):
            await client.fetch_channel(2100)
        with pytest.raises(Forbidden):
            await (await (await client.fetch_user(1100)).create_dm()).send("x")
        for fetch in (client.fetch_channel, client.fetch_user, client.fetch_guild):
            with pytest.raises(NotFound):
                await fetch(9)
        with pytest.raises(Exception, match="500"):
            await DiscordClientErrorStub(500).fetch_user(1)
        context = ServicerContextStub()
        context.set_code(grpc.StatusCode.OK)
        context.set_details("x")
        assert (context._code, context._details) == (grpc.StatusCode.OK, "x")

    asyncio.run(story())
