"""Synchronizes the commands of one application in one scope.

A worker that dies at any step leaves a state from which the next synchronization continues. The steps:

1. Read the owner table and Discord's list, and plan.
2. Record the names that the application is about to own. From now on no other application can have them.
3. Change the commands at Discord.
4. Record ids and contents, after each change.

The caller holds the lease of the scope, see `pipeline/in_order.py`. If the lease is lost, the next request of step 3 is
not sent, and all steps are repeated. A record is changed only if it still is as step 1 has read it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.field_errors import FieldError
from discordproxy_api.commands.discord_commands import CommandScope, DiscordCommands
from discordproxy_api.commands.documents import Document, creation_of, edit_of, key_of, title, unchanged_of
from discordproxy_api.commands.owner_tables import OwnerTables, commands_changed
from discordproxy_api.commands.ownership import Ownership
from discordproxy_api.commands.planning import Action, PlannedChange, SyncPlan, plan_sync, reservations
from discordproxy_api.commands.validation import MAX_BY_TYPE
from discordproxy_api.discord.clock import DiscordClock
from discordproxy_ratelimit.shared.tables import RecordChange

log = logging.getLogger("discordproxy_api.commands")

MAX_ATTEMPTS = 3
"""Plans of one call: a further one is made if another worker has changed the owner table, or an outcome is unknown."""


class _OutcomeUnknownError(Exception):
    """The list was replaced with an unknown outcome. It is read again, since others may have changed it meanwhile."""


@dataclass(slots=True)
class Declaration:
    """A request to synchronize.

    Attributes:
        path: field of the request that contains the commands, for errors.
        deletes: whether the application's other commands are deleted.
        made: changes that were made before the steps were repeated, by key of the command.
        tried: changes with an unknown outcome before the steps were repeated.
    """

    app: str
    scope: CommandScope
    commands: Sequence[Document] = field(repr=False)
    path: str = "commands"
    dry_run: bool = False
    take_over: bool = False
    deletes: bool = True
    made: dict[str, Action] = field(default_factory=dict)
    tried: dict[str, Action] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Synchronized:
    """The result: what happened to each command, with Discord's version of it, and the number of other commands."""

    changes: list[tuple[Action, Document]]
    others: int


class CommandSync:
    """Carries out declarations."""

    def __init__(self, commands: DiscordCommands, owners: OwnerTables, clock: DiscordClock) -> None:
        self._commands = commands
        self._owners = owners
        self._clock = clock

    async def run(self, declaration: Declaration, call: Call) -> Synchronized:
        """Carry out a declaration under the lease of its scope.

        Raises:
            ApiError: a conflict or a limit, and nothing was changed; or a request to Discord failed, and the text names
                the changes that were made before, and the command whose change is unknown.
        """
        for attempt in range(1, MAX_ATTEMPTS + 1):
            now = self._clock.now_ms() / 1000
            result = await _Steps(self._commands, self._owners, declaration, call, now=now, attempt=attempt).run()
            if result is not None:
                return result
        raise commands_changed()


class _Steps:
    """The steps of one attempt."""

    def __init__(
        self,
        commands: DiscordCommands,
        owners: OwnerTables,
        declaration: Declaration,
        call: Call,
        *,
        now: float,
        attempt: int,
    ) -> None:
        self._commands = commands
        self._owners = owners
        self._declaration = declaration
        self._scope = declaration.scope
        self._call = call
        self._now = now
        self._attempt = attempt
        self._table = Ownership({}, in_guild=bool(declaration.scope.guild_id))
        self._versions: dict[str, Document] = {}
        self._unused: dict[str, RecordChange] = {}
        """By key of the command: the changes that take back a reservation."""

    async def run(self) -> Synchronized | None:
        """Return the result; None if another worker has changed the owner table, or an outcome is unknown."""
        wanted, scope = self._declaration, self._scope
        self._table = await self._owners.read(scope.guild_id)
        listed = await self._commands.read_list(scope, self._call)
        plan = plan_sync(
            wanted.app,
            wanted.commands,
            listed,
            self._table,
            now=self._now,
            take_over=wanted.take_over,
            deletes=wanted.deletes,
        )
        _require_possible(plan, wanted)
        if wanted.dry_run:
            return self._result(plan)
        if not await self._reserve(plan):
            return None
        try:
            if not plan.replaces_all or not await self._replace_all(plan):
                await self._change_singly(plan)
        except _OutcomeUnknownError:
            return None
        await self._record_unchanged(plan)
        return self._result(plan)

    async def _reserve(self, plan: SyncPlan) -> bool:
        """Step 2."""
        changes = reservations(plan, self._table, self._now)
        if not await self._owners.change(self._scope.guild_id, changes):
            return False
        self._unused = {each.field: RecordChange(each.field, each.after, each.before) for each in changes}
        self._table = self._table.after(changes)
        return True

    async def _change_singly(self, plan: SyncPlan) -> None:
        for change in plan.requests:
            try:
                version = await self._make(change)
            except ApiError as error:
                raise await self._failed(error, [change]) from error
            except BaseException:
                await self._settle_failure([change])
                raise
            self._declaration.made[change.key] = change.action
            await self._record_change(change, version)

    async def _make(self, change: PlannedChange) -> Document:
        """Make one change; return Discord's version of the command."""
        if change.action is Action.DELETED:
            await self._commands.delete(self._scope, change.command_id, self._call)
            return {}
        if change.action is Action.UPDATED:
            body = edit_of(change.declared, in_guild=self._table.in_guild)
            version = await self._commands.edit(self._scope, change.command_id, body, self._call)
            if version is not None:
                return version
            pending = self._table.pending(self._declaration.app, change.declared, self._now)
            await self._record([self._table.written(change.key, pending)])  # the command was deleted at Discord
        return await self._commands.create(self._scope, creation_of(change.declared), self._call)

    async def _replace_all(self, plan: SyncPlan) -> bool:
        """Replace the list by the other commands as they are and the declared ones.

        Return False if Discord refuses commands of others, as they were created under other rules.
        """
        own = [_with_id(change) for change in plan.changes if change.declared]
        body = [*map(unchanged_of, plan.others), *own]
        try:
            versions = await self._commands.replace_all(self._scope, body, self._call)
        except ApiError as error:
            if not self._call.in_doubt and _is_about_others(error, len(plan.others)):
                log.info("Discord refuses the list because of other applications' commands; each change is sent alone")
                return False
            raise await self._not_replaced(error, plan) from error
        except BaseException:
            await self._settle_failure(plan.requests)
            raise
        await self._record_list(plan, {key_of(version): version for version in versions})
        return True

    async def _not_replaced(self, error: ApiError, plan: SyncPlan) -> Exception:
        """Return the error for a list that was not replaced, or not certainly."""
        others = len(plan.others)
        if error.fields:
            errors.relocate(error, [_moved(each, others, self._declaration, plan) for each in error.fields])
        failed = await self._failed(error, plan.requests)
        may_retry = self._call.in_doubt and self._attempt < MAX_ATTEMPTS
        if may_retry and await self._commands.pause(self._attempt, self._call):
            self._declaration.tried.update({change.key: change.action for change in plan.requests})
            return _OutcomeUnknownError()
        return failed

    async def _record_list(self, plan: SyncPlan, versions: Mapping[str, Document]) -> None:
        """Step 4 for a list that was replaced; `versions` are Discord's commands by key."""
        self._declaration.made.update({change.key: change.action for change in plan.requests})
        missing = [key_of(other) for other in plan.others if key_of(other) not in versions]
        if missing:
            log.error("Discord removed other commands from a list that contained them: %s", ", ".join(missing))
        for change in plan.requests:
            await self._record_change(change, versions.get(change.key, {}))
        for change in plan.changes:
            if not change.is_request and change.key in versions:
                self._versions[change.key] = versions[change.key]

    async def _record_change(self, change: PlannedChange, version: Document) -> None:
        """Step 4 for one change."""
        self._unused.pop(change.key, None)
        if change.action is Action.DELETED:
            changes = [self._table.written(change.key, None), self._table.deleted(change.command_id, self._now)]
        else:
            self._versions[change.key] = version
            record = self._table.record_of(self._declaration.app, change.declared, version, self._now)
            changes = [self._table.written(change.key, record)]
        await self._record(changes)

    async def _record_unchanged(self, plan: SyncPlan) -> None:
        """Step 4 for adopted commands, commands that Discord has changed without effect, and old records."""
        changes = [self._table.written(key, None) for key in plan.forgotten] + self._table.expired(self._now)
        for change in plan.changes:
            if change.is_request:
                continue
            version = self._versions.get(change.key, change.listed)
            record = self._table.record_of(self._declaration.app, change.declared, version, self._now)
            kept = self._table.owners.get(change.key)
            if kept is None or (kept.app, kept.id, kept.declared, kept.listed) != (
                record.app,
                record.id,
                record.declared,
                record.listed,
            ):
                changes.append(self._table.written(change.key, record))
        await self._record(changes)

    async def _record(self, changes: Sequence[RecordChange]) -> None:
        """Change records. A failure is logged only: the commands are as declared, and the next call finds them."""
        try:
            if not await self._owners.change(self._scope.guild_id, changes):
                log.warning("The owners of commands could not be recorded: another worker was earlier")
        except ApiError as error:
            log.warning("The owners of commands could not be recorded: %s", error)
        self._table = self._table.after(changes)

    async def _failed(self, error: ApiError, changes: Sequence[PlannedChange]) -> ApiError:
        """Return the error for a failed request, with the changes before it, and take back unused reservations."""
        unknown = [change.key for change in changes] if self._call.in_doubt else []
        await self._settle_failure(changes)
        names = ", ".join(title(change.key) for change in changes)
        if len(changes) == 1:
            if error.fields:
                errors.relocate(error, [self._of_request(each, changes[0]) for each in error.fields])
            error.text = f"{error.text}\nThis is about {names}."
        _add_made(error, self._declaration)
        if unknown:
            error.text += f"\nWhether it was changed is unknown: {names}. The next synchronization finds out."
            error.extras["unknown"] = ", ".join(map(title, unknown))
        return error

    def _of_request(self, problem: FieldError, change: PlannedChange) -> FieldError:
        """Return an error of Discord about one command as one about the request's field."""
        keys = [key_of(each) for each in self._declaration.commands]
        if change.key not in keys:
            return problem
        where = f"{self._declaration.path}[{keys.index(change.key)}]"
        return replace(problem, path=f"{where}.{problem.path}" if problem.path else where)

    async def _settle_failure(self, changes: Sequence[PlannedChange]) -> None:
        """Take back the reservations whose commands certainly do not exist."""
        if self._call.in_doubt or self._call.flying:
            for change in changes:
                self._unused.pop(change.key, None)
        taken_back = list(self._unused.values())
        self._unused = {}
        await self._record(taken_back)

    def _result(self, plan: SyncPlan) -> Synchronized:
        changes = []
        earlier = {**self._declaration.tried, **self._declaration.made}
        for change in plan.changes:
            version = self._versions.get(change.key) or change.listed or change.declared or _deleted(change)
            changes.append((change.action if change.is_request else earlier.get(change.key, change.action), version))
        planned = {change.key for change in plan.changes}
        for key, action in earlier.items():
            if key not in planned and action is Action.DELETED:
                changes.append((action, _document_of(key)))
        return Synchronized(changes, len(plan.others))


def _with_id(change: PlannedChange) -> Document:
    """Return a declared command for the list; the id of an owned one keeps the command's permissions."""
    body = creation_of(change.declared)
    return {**body, "id": change.command_id} if change.command_id else body


def _deleted(change: PlannedChange) -> Document:
    return {**_document_of(change.key), "id": change.command_id}


def _document_of(key: str) -> Document:
    kind, _, name = key.partition(":")
    return {"type": int(kind), "name": name}


def _index_of(problem: FieldError) -> int:
    """Return the index in a replaced list that an error of Discord is about; a large one if there is none."""
    first = problem.path.lstrip("[").partition("]")[0].partition(".")[0]
    return int(first) if first.isdigit() else 1_000_000


def _is_about_others(error: ApiError, others: int) -> bool:
    """Return whether all errors of Discord are about the other commands, which precede the declared ones."""
    return bool(error.fields) and all(_index_of(each) < others for each in error.fields)


def _moved(problem: FieldError, others: int, declaration: Declaration, plan: SyncPlan) -> FieldError:
    """Return an error of Discord about the replaced list as one about the request's field."""
    index = _index_of(problem) - others
    own = [change for change in plan.changes if change.declared]
    if not 0 <= index < len(own):
        return problem
    rest = problem.path.partition("]")[2]
    number = [key_of(each) for each in declaration.commands].index(own[index].key)
    return FieldError(f"{declaration.path}[{number}]{rest}", problem.code, problem.message)


def _require_possible(plan: SyncPlan, declaration: Declaration) -> None:
    """Raise ApiError for conflicts and exceeded limits."""
    if plan.conflicts:
        raise _conflict(plan, declaration)
    excess = plan.excess
    if excess is not None:
        text = (
            f"Discord allows {MAX_BY_TYPE[excess.type]} commands of type {excess.type} in one scope. The application "
            f"{declaration.app} declares {excess.declared}, and there are {excess.others} others."
        )
        error = errors.refusal("FAILED_PRECONDITION", "COMMANDS_FULL", text)
        _add_made(error, declaration)
        raise error


def _add_made(error: ApiError, declaration: Declaration) -> None:
    """Add the changes that were made before an error."""
    made = ", ".join(f"{action.name} {title(key)}" for key, action in declaration.made.items())
    if made:
        error.text += f"\nChanged before: {made}."
        error.extras["changed"] = made


def _conflict(plan: SyncPlan, declaration: Declaration) -> ApiError:
    lines = []
    for conflict in plan.conflicts:
        if conflict.owner:
            lines.append(f"{title(conflict.key)} belongs to the application {conflict.owner}.")
        else:
            lines.append(
                f"{title(conflict.key)} exists with another content, and no application owns it; set take_over to "
                "replace it."
            )
    lines += [] if declaration.made else ["Nothing was changed."]
    error = errors.refusal("ALREADY_EXISTS", "COMMAND_EXISTS", "\n".join(lines))
    _add_made(error, declaration)
    error.extras["conflicts"] = ", ".join(f"{title(each.key)}={each.owner}" for each in plan.conflicts)
    return error
