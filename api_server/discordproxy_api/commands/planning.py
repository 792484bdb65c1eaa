"""Plans a synchronization: compares declared commands, Discord's list and the owner table. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from discordproxy_api.commands.documents import Document, id_of, key_of
from discordproxy_api.commands.ownership import PENDING_S, Ownership
from discordproxy_api.commands.validation import MAX_BY_TYPE, counts
from discordproxy_ratelimit.shared.tables import RecordChange

MAX_SINGLE_CHANGES = 5
"""More changes are made by one request that replaces the whole list."""


class Action(Enum):
    """What happens to a command; the values are those of the contract."""

    UNCHANGED = 0
    CREATED = 1
    UPDATED = 2
    DELETED = 3
    ADOPTED = 4


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One command of a synchronization.

    Attributes:
        declared: the declaration; empty for a deletion.
        listed: Discord's version; empty if Discord's list does not contain the command.
        command_id: of a command to update or delete.
    """

    action: Action
    key: str
    declared: Document = field(default_factory=dict, repr=False)
    listed: Document = field(default_factory=dict, repr=False)
    command_id: str = ""

    @property
    def is_request(self) -> bool:
        """Whether Discord's list must change."""
        return self.action in {Action.CREATED, Action.UPDATED, Action.DELETED}


@dataclass(frozen=True, slots=True)
class NameConflict:
    """A declared name that another application owns, or none, with another content.

    Attributes:
        owner: "" for a command that no application owns.
    """

    key: str
    owner: str


@dataclass(frozen=True, slots=True)
class TooManyCommands:
    """The commands of all applications together exceed a limit of Discord."""

    type: int
    declared: int
    others: int


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """The changes of a synchronization.

    Attributes:
        changes: of the declared commands, in their order, then deletions.
        others: listed commands of other applications and of none, which stay.
        replaces_all: one request replaces the list.
        forgotten: keys of records without a command.
    """

    app: str
    changes: Sequence[PlannedChange]
    others: Sequence[Document]
    conflicts: Sequence[NameConflict] = ()
    excess: TooManyCommands | None = None
    replaces_all: bool = False
    forgotten: Sequence[str] = ()

    @property
    def requests(self) -> list[PlannedChange]:
        """Changes that require a request: deletions first, since they make room."""
        order = (Action.DELETED, Action.UPDATED, Action.CREATED)
        return sorted((each for each in self.changes if each.is_request), key=lambda each: order.index(each.action))


def plan_sync(
    app: str,
    declared: Sequence[Document],
    listed: Sequence[Document],
    table: Ownership,
    *,
    now: float,
    take_over: bool = False,
    deletes: bool = True,
) -> SyncPlan:
    """Return the plan that makes an application's commands those that it declares.

    Args:
        app: the application.
        declared: its valid commands.
        listed: commands of the scope at Discord.
        table: owners of the scope.
        now: Unix time.
        take_over: also replace commands that no application owns.
        deletes: whether the application's other commands are deleted.
    """
    present = [command for command in listed if not table.is_gone(command)]
    by_key = {key_of(command): command for command in present}
    wanted = {key_of(document): document for document in declared}
    changes: list[PlannedChange] = []
    conflicts: list[NameConflict] = []
    for key, document in wanted.items():
        planned = _plan_declared(app, key, document, by_key.get(key, {}), table, take_over=take_over)
        (changes if isinstance(planned, PlannedChange) else conflicts).append(planned)  # type: ignore[arg-type] # by type
    deletions, forgotten = _plan_deletions(app, wanted, present, table, now) if deletes else ([], [])
    changes += deletions
    touched = {id_of(change.listed) for change in changes if change.listed}
    others = [command for command in present if id_of(command) not in touched]
    excess = _excess(declared, others)
    return SyncPlan(
        app,
        changes,
        others,
        conflicts,
        excess,
        replaces_all=_may_replace_all(changes, present, table, app, deletes=deletes),
        forgotten=forgotten,
    )


def _plan_declared(
    app: str, key: str, document: Document, listed: Document, table: Ownership, *, take_over: bool
) -> PlannedChange | NameConflict:
    owner = table.owners.get(key)
    if owner is not None and owner.app != app:
        return NameConflict(key, owner.app)
    if not listed:
        return PlannedChange(Action.CREATED, key, document)
    proved = table.app_of(listed)
    if proved not in {"", app}:  # renamed at Discord by somebody else
        return NameConflict(key, proved)
    if table.is_as_declared(document, listed):
        return PlannedChange(Action.UNCHANGED if proved else Action.ADOPTED, key, document, listed, id_of(listed))
    if proved or take_over or table.is_probably_pending(listed, app):
        return PlannedChange(Action.UPDATED, key, document, listed, id_of(listed))
    return NameConflict(key, "")


def _plan_deletions(
    app: str, wanted: Mapping[str, Document], present: Sequence[Document], table: Ownership, now: float
) -> tuple[list[PlannedChange], list[str]]:
    """Return the deletions, and the records to forget.

    A command with a proved owner is deleted by its id, even if Discord's list does not contain it: the list may be old.
    """
    by_id = {id_of(command): command for command in present}
    deletions: list[PlannedChange] = []
    forgotten: list[str] = []
    kept = {id_of(command) for command in present if key_of(command) in wanted}
    for key, owner in table.owners.items():
        if owner.app != app or key in wanted:
            continue
        found = by_id.get(owner.id) or _pending_command(key, app, present, table)
        if found and id_of(found) not in kept:
            deletions.append(PlannedChange(Action.DELETED, key, listed=found, command_id=id_of(found)))
        elif owner.id and owner.id not in kept:
            deletions.append(PlannedChange(Action.DELETED, key, command_id=owner.id))
        elif owner.id or owner.at < now - PENDING_S:
            forgotten.append(key)
    return deletions, forgotten


def _pending_command(key: str, app: str, present: Sequence[Document], table: Ownership) -> Document:
    """Return the listed command that a pending record has created."""
    return next((command for command in present if key_of(command) == key and table.app_of(command) == app), {})


def _excess(declared: Sequence[Document], others: Sequence[Document]) -> TooManyCommands | None:
    wanted, present = counts(declared), counts(others)
    for kind, limit in MAX_BY_TYPE.items():
        if wanted[kind] and wanted[kind] + present[kind] > limit:
            return TooManyCommands(kind, wanted[kind], present[kind])
    return None


def _may_replace_all(
    changes: Iterable[PlannedChange], present: Sequence[Document], table: Ownership, app: str, *, deletes: bool
) -> bool:
    if not deletes or sum(change.is_request for change in changes) <= MAX_SINGLE_CHANGES:
        return False
    return table.agrees_with(present, app)


def reservations(plan: SyncPlan, table: Ownership, now: float) -> list[RecordChange]:
    """Return the records to write before the first request: owners of names that the application does not own yet."""
    found = []
    for change in plan.requests:
        owner = table.owners.get(change.key)
        if change.action is Action.DELETED or (change.action is Action.UPDATED and owner is not None and owner.id):
            continue
        command_id = change.command_id if change.action is Action.UPDATED else ""
        found.append(table.written(change.key, table.pending(plan.app, change.declared, now, command_id)))
    return found
