"""The owner table of one scope: which application owns which command. Pure.

Field `<type>:<name>` holds an owner; field `gone:<id>` is a command that the proxy has deleted, since Discord's list
may contain it for a while. An owner is recorded before the request that creates its command, so that a worker that
dies in between leaves a *pending* record, which identifies the command by its content.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from discordproxy_api.commands.documents import (
    Document,
    equal,
    fingerprint,
    id_of,
    is_as_restricted,
    key_of,
    possible_declarations,
)
from discordproxy_ratelimit.shared.tables import RecordChange

PENDING_S = 600.0
"""A pending record without a command is kept for this long: Discord's list may be older than the command."""

GONE_S = 3600.0
"""Time for which Discord's list may contain a deleted command."""

CLOCK_TOLERANCE_S = 60.0
_DISCORD_EPOCH_S = 1_420_070_400.0
_GONE = "gone:"


@dataclass(frozen=True, slots=True)
class OwnedCommand:
    """One record.

    Attributes:
        app: the owner.
        id: of the command at Discord; "" while its creation is pending.
        declared: fingerprint of the declaration.
        listed: fingerprint of Discord's version, which can differ from the declaration; "" if unknown.
        at: Unix time of the record.
    """

    app: str
    id: str = ""
    declared: str = ""
    listed: str = ""
    at: float = 0.0

    def encode(self) -> bytes:
        """Return the value of the field."""
        return orjson.dumps([self.app, self.id, self.declared, self.listed, int(self.at)])

    @classmethod
    def decode(cls, value: bytes) -> "OwnedCommand | None":
        """Return the record of a field; None if a later release has written it in another form."""
        try:
            app, command_id, declared, listed, at = orjson.loads(value)[:5]
            return cls(str(app), str(command_id), str(declared), str(listed), float(at))
        except (ValueError, TypeError):
            return None


@dataclass(frozen=True, slots=True)
class Ownership:
    """The table of one scope as it was read.

    Attributes:
        fields: as they are stored.
        in_guild: whether the scope is a guild.
        owners: records by key of the command.
    """

    fields: Mapping[str, bytes]
    in_guild: bool
    owners: Mapping[str, OwnedCommand] = field(init=False)
    _by_id: Mapping[str, OwnedCommand] = field(init=False)

    def __post_init__(self) -> None:
        owners = {
            name: owner
            for name, value in self.fields.items()
            if not name.startswith(_GONE) and (owner := OwnedCommand.decode(value)) is not None
        }
        object.__setattr__(self, "owners", owners)  # the class is frozen
        object.__setattr__(self, "_by_id", {owner.id: owner for owner in owners.values() if owner.id})

    def is_gone(self, command: Mapping[str, Any]) -> bool:
        """Return whether the proxy has deleted a listed command."""
        return _GONE + id_of(command) in self.fields

    def app_of(self, command: Mapping[str, Any]) -> str:
        """Return the application whose ownership of a listed command is proved; "" for none."""
        owner = self._by_id.get(id_of(command))
        if owner is not None:
            return owner.app
        owner = self.owners.get(key_of(command))
        if owner is None or owner.id:
            return ""
        if owner.declared not in possible_declarations(command, in_guild=self.in_guild):
            return ""
        return owner.app

    def is_probably_pending(self, command: Mapping[str, Any], app: str) -> bool:
        """Return whether a listed command was created after an application's pending record of it.

        This does not prove that the application created it: enough to update it, too little to delete it.
        """
        owner = self.owners.get(key_of(command))
        if owner is None or owner.id or owner.app != app:
            return False
        return created_at(command) >= owner.at - CLOCK_TOLERANCE_S

    def is_as_declared(self, declared: Mapping[str, Any], command: Mapping[str, Any]) -> bool:
        """Return whether a listed command requires no change: it is as declared, or as Discord made the declaration."""
        if equal(declared, command, in_guild=self.in_guild):
            return True
        if not is_as_restricted(declared, command, in_guild=self.in_guild):
            return False
        owner = self._by_id.get(id_of(command))
        return owner is not None and (owner.declared, owner.listed) == (
            fingerprint(declared, in_guild=self.in_guild),
            fingerprint(command, in_guild=self.in_guild),
        )

    def agrees_with(self, listed: Iterable[Mapping[str, Any]], app: str) -> bool:
        """Return whether a list contains the commands of all other applications as they were last written.

        A list that does not is older than they are, or somebody else has changed them. It must not be written back.
        """
        by_id = {id_of(command): command for command in listed}
        for owner in self.owners.values():
            if owner.app == app:
                continue
            command = by_id.get(owner.id)
            if command is None or fingerprint(command, in_guild=self.in_guild) != owner.listed:
                return False
        return True

    def written(self, key: str, owner: OwnedCommand | None) -> RecordChange:
        """Return the change that records an owner, or that removes a record."""
        return RecordChange(key, self.fields.get(key, b""), b"" if owner is None else owner.encode())

    def deleted(self, command_id: str, now: float) -> RecordChange:
        """Return the change that records a deleted command."""
        return RecordChange(_GONE + command_id, self.fields.get(_GONE + command_id, b""), str(int(now)).encode())

    def expired(self, now: float) -> list[RecordChange]:
        """Return the changes that remove records of commands deleted long ago."""
        return [
            RecordChange(name, value, b"")
            for name, value in self.fields.items()
            if name.startswith(_GONE) and (not value.isdigit() or int(value) < now - GONE_S)
        ]

    def after(self, changes: Iterable[RecordChange]) -> "Ownership":
        """Return the table after changes."""
        fields = {**self.fields, **{change.field: change.after for change in changes}}
        return Ownership({name: value for name, value in fields.items() if value}, self.in_guild)

    def pending(self, app: str, declared: Mapping[str, Any], now: float, command_id: str = "") -> OwnedCommand:
        """Return the record that precedes the request that creates a command, or takes over the one with this id."""
        return OwnedCommand(app, command_id, fingerprint(declared, in_guild=self.in_guild), at=now)

    def record_of(self, app: str, declared: Mapping[str, Any], command: Document, now: float) -> OwnedCommand:
        """Return the record of a command that an application has declared, in Discord's version."""
        record = OwnedCommand(app, id_of(command), fingerprint(declared, in_guild=self.in_guild), at=now)
        return replace(record, listed=fingerprint(command, in_guild=self.in_guild))


def created_at(command: Mapping[str, Any]) -> float:
    """Return the Unix time at which a command was created, from its id; 0.0 without one."""
    command_id = id_of(command)
    return (int(command_id) >> 22) / 1000 + _DISCORD_EPOCH_S if command_id.isdigit() else 0.0
