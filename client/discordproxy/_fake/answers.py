"""Responses of the in-memory Discord: a function per stateful RPC, and a generic one for the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from discordproxy._fake import guilds, members, messages
from discordproxy._fake.objects import echo
from discordproxy._fake.procedures import commands
from discordproxy.discord_api_pb2 import ApiResponse

if TYPE_CHECKING:
    from google.protobuf.message import Message as AnyMessage

    from discordproxy._fake.objects import Handler
    from discordproxy._fake.world import FakeWorld


def respond(world: FakeWorld, rpc: str, request: Any) -> AnyMessage:
    """Return the response of an RPC.

    Raises:
        HttpRefusalError: Discord would return an error.
    """
    handler = _HANDLERS.get(rpc)
    return handler(world, request) if handler else echo(world, rpc, request)


def request_anything(_world: FakeWorld, _request: Any) -> AnyMessage:
    return ApiResponse(status=200, body=b"{}", content_type="application/json")


_HANDLERS: dict[str, Handler] = {
    **messages.HANDLERS,
    **guilds.HANDLERS,
    **members.HANDLERS,
    **commands.HANDLERS,
    "Request": request_anything,
}
