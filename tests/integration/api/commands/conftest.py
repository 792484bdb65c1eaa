"""Applications that declare commands, and the commands that Discord has then."""

import json
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy.discord_api_pb2_grpc import DiscordApiStub
from discordproxy_sandbox.sandbox import Sandbox
from discordproxy_sandbox.world.population import GUILD_ID

GUILD = int(GUILD_ID)
Action = pb.SyncCommandsResponse.Change.Action


def command(name: str, description: str = "A command", **fields: Any) -> pb.Command:
    return pb.Command(name=name, description=description, **fields)


def commands(count: int, prefix: str = "c", description: str = "A command") -> list[pb.Command]:
    return [command(f"{prefix}{number}", description) for number in range(count)]


@dataclass
class App:
    """An application."""

    stub: DiscordApiStub
    name: str

    async def sync(self, *declared: pb.Command, **fields: Any) -> dict[str, str]:
        """Declare commands; return the action for each name."""
        answer = await self.answer(*declared, **fields)
        return {change.command.name: Action.Name(change.action) for change in answer.changes}

    async def answer(self, *declared: pb.Command, timeout: float = 30.0, **fields: Any) -> pb.SyncCommandsResponse:
        request = pb.SyncCommandsRequest(commands=declared, **fields)
        return await self.stub.SyncCommands(request, metadata=self.metadata, timeout=timeout)

    async def fails(self, *declared: pb.Command, **fields: Any) -> "Refusal":
        """Declare commands; return the error."""
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await self.answer(*declared, **fields)
        return Refusal(failed.value.code().name, json.loads(failed.value.details()))

    async def owners(self, guild_id: int = 0) -> dict[str, str]:
        answer = await self.stub.ListCommands(pb.ListCommandsRequest(guild_id=guild_id), metadata=self.metadata)
        return {each.name: each.owner for each in answer.commands}

    async def replace(self, documents: list[dict[str, Any]]) -> pb.ApiResponse:
        """Replace the whole list by Discord's own route."""
        path = "/applications/100000000000000001/commands"
        request = pb.ApiRequest(method="PUT", path=path, json=json.dumps(documents))
        return await self.stub.Request(request, metadata=self.metadata)

    @property
    def metadata(self) -> list[tuple[str, str]]:
        return [("x-discordproxy-app", self.name)]


@dataclass
class Refusal:
    status: str
    details: dict[str, Any]

    @property
    def text(self) -> str:
        return self.details["text"]

    @property
    def reason(self) -> str:
        return self.details.get("reason", "")


@dataclass
class Commands:
    """The commands at Discord, and the requests about them."""

    discord: Sandbox

    def __getitem__(self, name: str) -> dict[str, Any]:
        return next(each for each in self.of(0) if each["name"] == name)

    def of(self, guild_id: int) -> list[dict[str, Any]]:
        return list(self.discord.world.commands.get(str(guild_id or ""), {}).values())

    @property
    def names(self) -> set[str]:
        return {each["name"] for each in self.of(0)}

    @property
    def requests(self) -> list[str]:
        """Methods of the requests about commands, in order."""
        return [each.method for each in self.discord.ledger.records if "/commands" in each.path]

    @property
    def changes(self) -> list[str]:
        return [method for method in self.requests if method != "GET"]

    def clear_requests(self) -> None:
        self.discord.ledger.clear()

    def add(self, name: str, guild_id: int = 0, **fields: Any) -> dict[str, Any]:
        """Add a command without the proxy."""
        world = self.discord.world
        made = {
            "id": world.new_id(),
            "application_id": world.bot_id,
            "version": world.new_id(),
            "type": 1,
            "name": name,
            "name_localizations": None,
            "description": "A command",
            "nsfw": False,
            "description_localizations": None,
            "default_member_permissions": None,
            **({"guild_id": str(guild_id)} if guild_id else {"contexts": None, "integration_types": [0]}),
            **fields,
        }
        world.commands.setdefault(str(guild_id or ""), {})[made["id"]] = made
        return made


@pytest.fixture
def shop(served):
    return App(served.stub, "shop")


@pytest.fixture
def bank(served):
    return App(served.stub, "bank")


@pytest.fixture
def at_discord(served):
    return Commands(served.discord)
