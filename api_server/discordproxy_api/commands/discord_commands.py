"""Requests to Discord about the commands of one scope: all guilds, or one guild."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.commands.documents import Document
from discordproxy_api.discord.request import Reply, RestRequest
from discordproxy_api.discord.rest import Rest
from discordproxy_ratelimit.errors import BrokerError
from discordproxy_ratelimit.route import route_of_path
from discordproxy_ratelimit.shared.claims import Claims

UNKNOWN_COMMAND = 10063
_APPLICATION = "/applications/@me"
_KEY = "application_id"
_KEPT_S = 30 * 24 * 3600.0


class CommandScope(NamedTuple):
    """The commands of all guilds, or those of one.

    Attributes:
        guild_id: 0 for all guilds.
    """

    application_id: str
    guild_id: int = 0

    @property
    def path(self) -> str:
        """Path of the list."""
        guild = f"/guilds/{self.guild_id}" if self.guild_id else ""
        return f"/applications/{self.application_id}{guild}/commands"


class DiscordCommands:
    """Reads and changes the commands of the bot.

    Requests for one command may be repeated while their worker has the lease of the scope: creating a command with the
    type and name of an existing one replaces that one.
    """

    def __init__(self, rest: Rest, records: Claims) -> None:
        self._rest = rest
        self._records = records
        self._application_id = ""

    async def application_id(self, call: Call) -> str:
        """Return the id of the bot's application, which never changes. Raises ApiError."""
        if not self._application_id:
            self._application_id = await self._known_application() or await self._read_application(call)
        return self._application_id

    async def _known_application(self) -> str:
        try:
            return (await self._records.get(_KEY) or b"").decode()
        except BrokerError:
            return ""

    async def _read_application(self, call: Call) -> str:
        document = _json(await self._send("GET", _APPLICATION, None, call, effect=False))
        if not isinstance(document, dict) or not str(document.get("id")).isdigit():
            raise errors.unexpected_answer()
        found = str(document["id"])
        try:
            await self._records.set(_KEY, found.encode(), ttl_s=_KEPT_S)
        except BrokerError:
            return found  # the next worker reads it again
        return found

    async def read_list(self, scope: CommandScope, call: Call) -> list[Document]:
        """Return all commands with their translations. Raises ApiError."""
        query = [("with_localizations", "true")]
        return _documents(await self._send("GET", scope.path, None, call, effect=False, query=query))

    async def create(self, scope: CommandScope, body: Document, call: Call) -> Document:
        """Create a command; return Discord's version. Raises ApiError."""
        return _document(await self._send("POST", scope.path, body, call))

    async def edit(self, scope: CommandScope, command_id: str, body: Document, call: Call) -> Document | None:
        """Change a command; return Discord's version, None if the command does not exist. Raises ApiError."""
        try:
            return _document(await self._send("PATCH", f"{scope.path}/{command_id}", body, call))
        except ApiError as error:
            if error.code != UNKNOWN_COMMAND or call.in_doubt:
                raise
            return None

    async def delete(self, scope: CommandScope, command_id: str, call: Call) -> None:
        """Delete a command, unless it does not exist. Raises ApiError."""
        try:
            await self._send("DELETE", f"{scope.path}/{command_id}", None, call)
        except ApiError as error:
            if error.code != UNKNOWN_COMMAND:
                raise

    async def replace_all(self, scope: CommandScope, body: Sequence[Document], call: Call) -> list[Document]:
        """Replace the list; commands of a known type and name keep their ids. Raises ApiError.

        A request with an unknown outcome is not repeated: the list may have changed since it was read.
        """
        return _documents(await self._send("PUT", scope.path, body, call, repeat=Repeat.NEVER))

    async def pause(self, attempt: int, call: Call) -> bool:
        """Wait before a request with an unknown outcome is made anew; see `Rest.pause`."""
        return await self._rest.pause(attempt, call)

    async def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | Sequence[Document] | None,
        call: Call,
        *,
        effect: bool = True,
        query: Sequence[tuple[str, str]] = (),
        repeat: Repeat = Repeat.ALWAYS,
    ) -> Reply:
        request = RestRequest(
            method=method,
            path=path,
            route=route_of_path(method, path),
            query=query,
            body=None if body is None else orjson.dumps(body),
            repeat=repeat,
            effect=effect,
        )
        return await self._rest.send(request, call)


def _json(reply: Reply) -> Any:
    try:
        return reply.document()
    except orjson.JSONDecodeError:
        raise errors.unexpected_answer() from None


def _document(reply: Reply) -> Document:
    document = _json(reply)
    if not isinstance(document, dict):
        raise errors.unexpected_answer()
    return document


def _documents(reply: Reply) -> list[Document]:
    documents = _json(reply)
    if not isinstance(documents, list) or not all(isinstance(each, dict) for each in documents):
        raise errors.unexpected_answer()
    return documents
