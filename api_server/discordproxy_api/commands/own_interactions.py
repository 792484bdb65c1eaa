"""The filter `mine` of event streams: interactions with the commands and components of one application."""

from collections.abc import Sequence
from typing import Any

import orjson

from discordproxy_api.commands.documents import id_of, key_of
from discordproxy_api.commands.owner_tables import OwnerTables
from discordproxy_gateway.events import StreamEntry

INTERACTION = "INTERACTION_CREATE"
_COMMAND, _COMPONENT, _AUTOCOMPLETE, _MODAL = 2, 3, 4, 5


class OwnInteractions:
    """Selects the interactions of one application; all other events pass.

    Args:
        app: the application.
        prefixes: starts of the `custom_id` of its components and modals.
    """

    def __init__(self, owners: OwnerTables, app: str, prefixes: Sequence[str]) -> None:
        self._owners = owners
        self._app = app
        self._prefixes = tuple(prefixes)

    async def includes(self, entry: StreamEntry) -> bool:
        """Return whether an event passes. Raises ApiError while Redis is unavailable."""
        if entry.type != INTERACTION:
            return True
        kind, data = _interaction(entry.json)
        if kind in {_COMPONENT, _MODAL}:
            return bool(self._prefixes) and str(data.get("custom_id") or "").startswith(self._prefixes)
        return kind in {_COMMAND, _AUTOCOMPLETE} and await self._owns(data)

    async def _owns(self, command: dict[str, Any]) -> bool:
        """Return whether the application owns the command of an interaction.

        While the creation of a command is pending, its name is enough: nobody else can have created it.
        """
        guild_id = str(command.get("guild_id") or "0")
        owner = await self._owners.owner_of(int(guild_id) if guild_id.isdigit() else 0, key_of(command))
        return owner is not None and owner.app == self._app and owner.id in {"", id_of(command)}


def _interaction(text: str) -> tuple[int, dict[str, Any]]:
    """Return type and data of an interaction."""
    try:
        interaction = orjson.loads(text)
        kind, data = interaction["type"], interaction["data"]
    except (ValueError, LookupError, TypeError):
        return 0, {}
    return (kind, data) if isinstance(kind, int) and isinstance(data, dict) else (0, {})
