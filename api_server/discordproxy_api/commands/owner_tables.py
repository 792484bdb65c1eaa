"""The owner tables of the bot's scopes in Redis, with the errors of calls."""

from collections.abc import Sequence

from discordproxy_api.calls import errors
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.commands.ownership import OwnedCommand, Ownership
from discordproxy_ratelimit.errors import BrokerError
from discordproxy_ratelimit.shared.tables import RecordChange, Tables


class OwnerTables:
    """Reads and changes owner tables."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def read(self, guild_id: int) -> Ownership:
        """Return the table of a scope; raises ApiError while Redis is unavailable: then nothing may be changed."""
        try:
            return Ownership(await self._tables.read(_name(guild_id)), in_guild=bool(guild_id))
        except BrokerError as error:
            raise errors.from_broker(error) from None

    async def owner_of(self, guild_id: int, key: str) -> OwnedCommand | None:
        """Return the record of one command. Raises ApiError while Redis is unavailable."""
        try:
            value = await self._tables.record(_name(guild_id), key)
        except BrokerError as error:
            raise errors.from_broker(error) from None
        return OwnedCommand.decode(value) if value else None

    async def change(self, guild_id: int, changes: Sequence[RecordChange]) -> bool:
        """Make changes; return False if another worker was earlier. Raises ApiError while Redis is unavailable."""
        if not changes:
            return True
        try:
            return await self._tables.change(_name(guild_id), changes)
        except BrokerError as error:
            raise errors.from_broker(error) from None


def commands_changed() -> ApiError:
    """Return the error for a scope whose table another worker keeps changing."""
    text = "Another worker changes the commands of this scope at the same time; try again."
    return errors.refusal("ABORTED", "COMMANDS_CHANGED", text, retry_after_s=1.0)


def _name(guild_id: int) -> str:
    return f"commands:{guild_id}"
