"""Global and guild application commands; type and name identify a command."""

from discordproxy_sandbox.errors import DiscordError, Json, discord_error, invalid_form
from discordproxy_sandbox.messages.command_forms import (
    CHAT_INPUT,
    EDITED_COMMAND,
    NEW_COMMAND,
    problems_of,
    without_translations,
)
from discordproxy_sandbox.messages.validation import failure, items
from discordproxy_sandbox.resources.exchange import ApiAnswer, ApiRequest, ApiRoute, Routes

_ENTRY_POINT = 4
_MAX_BY_TYPE = {1: 100, 2: 15, 3: 15, 4: 1}
_ABOUT = {
    "name_localizations": None,
    "description": "",
    "description_localizations": None,
    "default_member_permissions": None,
    "nsfw": False,
}
_EVERYWHERE = {"dm_permission": True, "contexts": None, "integration_types": [0]}
"""Keys of global commands."""


def _commands(request: ApiRequest) -> dict[str, Json]:
    """Return the commands of the path's scope by id."""
    if request["application_id"] != request.world.bot_id:
        raise discord_error(20012)
    guild_id = request.params.get("guild_id", "")
    if guild_id:
        request.world.guild(guild_id)
    return request.world.commands.setdefault(guild_id, {})


def _same(commands: dict[str, Json], sent: Json) -> Json | None:
    key = sent["name"], sent.get("type") or CHAT_INPUT
    return next((one for one in commands.values() if (one["name"], one["type"]) == key), None)


def _made(request: ApiRequest, sent: Json, before: Json | None) -> Json:
    """Return a command as Discord stores it: the sent fields, and defaults for the others."""
    guild_id = request.params.get("guild_id")
    given = {key: value for key, value in sent.items() if key != "id"}
    command: Json = {**_ABOUT, **({"guild_id": guild_id} if guild_id else _EVERYWHERE), **given}
    command["type"] = given.get("type") or CHAT_INPUT
    command["name"], command["description"] = given["name"].strip(), (given.get("description") or "").strip()
    command["options"] = given.get("options") or []
    if wrong := problems_of(command):
        raise invalid_form(wrong)
    if command["default_member_permissions"] is not None:
        command["default_member_permissions"] = str(command["default_member_permissions"])
    world = request.world
    about = {"id": before["id"] if before else world.new_id(), "application_id": world.bot_id}
    command |= {**about, "version": world.new_id()}
    return command if command["options"] else {key: value for key, value in command.items() if key != "options"}


def _check_number(commands: dict[str, Json]) -> None:
    kinds = [one["type"] for one in commands.values()]
    if any(kinds.count(kind) > maximum for kind, maximum in _MAX_BY_TYPE.items()):
        raise discord_error(30032)


def list_(request: ApiRequest) -> list[Json]:
    """Return all commands; translations only on request."""
    world, guild_id = request.world, request.params.get("guild_id", "")
    commands = list(_commands(request).values())
    if world.old_command_lists and guild_id in world.commands_before:
        world.old_command_lists -= 1
        commands = world.commands_before[guild_id]
    return commands if request.flag("with_localizations") else list(map(without_translations, commands))


def _remember(request: ApiRequest) -> None:
    """Keep the list before a change, which Discord may return for a while after it."""
    request.world.commands_before[request.params.get("guild_id", "")] = list(_commands(request).values())


def create(request: ApiRequest) -> ApiAnswer:
    """Create a command, or replace the one with its name and type."""
    commands = _commands(request)
    before = _same(commands, request.body)
    command = _made(request, request.body, before)
    _check_number({**commands, command["id"]: command})
    _remember(request)
    commands[command["id"]] = command
    return ApiAnswer(200 if before else 201, command)


def replace(request: ApiRequest) -> list[Json]:
    """Replace all commands; those of a known name and type keep their ids."""
    commands, replaced = _commands(request), {}
    names = [(one["name"], one.get("type") or CHAT_INPUT) for one in request.body]
    for number, name in enumerate(names):
        if name in names[:number]:
            wrong = failure("APPLICATION_COMMANDS_DUPLICATE_NAME", "Application command names must be unique")
            raise invalid_form({str(number): wrong})
    for number, sent in enumerate(request.body):
        before = commands.get(str(sent.get("id") or "")) or _same(commands, sent)
        try:
            command = _made(request, sent, before)
        except DiscordError as error:
            raise invalid_form({str(number): error.fields}) from None
        replaced[command["id"]] = command
    if any(one["type"] == _ENTRY_POINT and one["id"] not in replaced for one in commands.values()):
        raise discord_error(50240)
    _check_number(replaced)
    _remember(request)
    commands.clear()
    commands.update(replaced)
    return list(commands.values())


def _found(request: ApiRequest) -> Json:
    command = _commands(request).get(request["command_id"])
    if command is None:
        raise discord_error(10063)
    return command


def get(request: ApiRequest) -> Json:
    """Return a command."""
    return _found(request)


def edit(request: ApiRequest) -> Json:
    """Change a command."""
    before = _found(request)
    command = _made(request, {**before, **request.body}, before)
    namesake = _same(_commands(request), command)
    if namesake is not None and namesake["id"] != command["id"]:
        wrong = failure("APPLICATION_COMMANDS_DUPLICATE_NAME", "Application command names must be unique")
        raise invalid_form({"name": wrong})
    _remember(request)
    _commands(request)[command["id"]] = command
    return command


def delete(request: ApiRequest) -> None:
    """Delete a command."""
    command = _found(request)
    _remember(request)
    del _commands(request)[command["id"]]


_OF_APPLICATION = "/applications/{application_id}"
_BASES = (f"{_OF_APPLICATION}/commands", f"{_OF_APPLICATION}/guilds/{{guild_id}}/commands")
ROUTES: Routes = {}
for _base in _BASES:
    ROUTES |= {
        f"GET {_base}": ApiRoute(list_, auth="any"),
        f"POST {_base}": ApiRoute(create, NEW_COMMAND, auth="any"),
        f"PUT {_base}": ApiRoute(replace, items(NEW_COMMAND, sum(_MAX_BY_TYPE.values())), auth="any"),
        f"GET {_base}/{{command_id}}": ApiRoute(get, auth="any"),
        f"PATCH {_base}/{{command_id}}": ApiRoute(edit, EDITED_COMMAND, auth="any"),
        f"DELETE {_base}/{{command_id}}": ApiRoute(delete, auth="any"),
    }
