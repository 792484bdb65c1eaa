"""Global and guild application commands; type and name identify a command."""

from discordproxy_sandbox.errors import Json, discord_error, invalid_form
from discordproxy_sandbox.messages.validation import (
    anything,
    boolean,
    failure,
    form,
    integer,
    items,
    one_of,
    permissions,
    text,
)
from discordproxy_sandbox.resources.exchange import ApiAnswer, ApiRequest, ApiRoute, Routes

_CHAT_INPUT = 1
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
    key = sent["name"], sent.get("type") or _CHAT_INPUT
    return next((one for one in commands.values() if (one["name"], one["type"]) == key), None)


def _made(request: ApiRequest, sent: Json, before: Json | None) -> Json:
    """Return a command as Discord stores it: the sent fields, and defaults for the others."""
    guild_id = request.params.get("guild_id")
    given = {key: value for key, value in sent.items() if key != "id"}
    command: Json = {**_ABOUT, **({"guild_id": guild_id} if guild_id else _EVERYWHERE), **given}
    command["type"] = given.get("type") or _CHAT_INPUT
    command["description"] = given.get("description") or ""
    command["options"] = given.get("options") or []
    _check(command)
    if command["default_member_permissions"] is not None:
        command["default_member_permissions"] = str(command["default_member_permissions"])
    world = request.world
    about = {"id": before["id"] if before else world.new_id(), "application_id": world.bot_id}
    command |= {**about, "version": world.new_id()}
    return command if command["options"] else {key: value for key, value in command.items() if key != "options"}


def _check(command: Json) -> None:
    if command["type"] == _CHAT_INPUT and not command["description"]:
        raise invalid_form({"description": failure("BASE_TYPE_REQUIRED", "This field is required")})
    if command["type"] == _CHAT_INPUT and command["name"] != command["name"].lower():
        raise invalid_form({"name": failure("APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")})


def _check_number(commands: dict[str, Json]) -> None:
    kinds = [one["type"] for one in commands.values()]
    if any(kinds.count(kind) > maximum for kind, maximum in _MAX_BY_TYPE.items()):
        raise discord_error(30032)


def list_(request: ApiRequest) -> list[Json]:
    """Return all commands; translations only on request."""
    commands = list(_commands(request).values())
    if request.flag("with_localizations"):
        return commands
    left_out = ("name_localizations", "description_localizations")
    return [{key: value for key, value in one.items() if key not in left_out} for one in commands]


def create(request: ApiRequest) -> ApiAnswer:
    """Create a command, or replace the one with its name and type."""
    commands = _commands(request)
    before = _same(commands, request.body)
    command = _made(request, request.body, before)
    _check_number({**commands, command["id"]: command})
    commands[command["id"]] = command
    return ApiAnswer(200 if before else 201, command)


def replace(request: ApiRequest) -> list[Json]:
    """Replace all commands; those of a known name and type keep their ids."""
    commands, replaced = _commands(request), {}
    names = [(one["name"], one.get("type") or _CHAT_INPUT) for one in request.body]
    for number, name in enumerate(names):
        if name in names[:number]:
            wrong = failure("APPLICATION_COMMANDS_DUPLICATE_NAME", "Application command names must be unique")
            raise invalid_form({str(number): wrong})
    for sent in request.body:
        before = commands.get(str(sent.get("id") or "")) or _same(commands, sent)
        command = _made(request, sent, before)
        replaced[command["id"]] = command
    _check_number(replaced)
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
    _commands(request)[command["id"]] = command
    return command


def delete(request: ApiRequest) -> None:
    """Delete a command."""
    del _commands(request)[_found(request)["id"]]


_FORM = {
    "id": anything,
    "name": text(32, 1),
    "name_localizations": anything,
    "description": text(100),
    "description_localizations": anything,
    "options": items(anything, 25),
    "default_member_permissions": permissions,
    "dm_permission": boolean,
    "default_permission": boolean,
    "integration_types": items(integer(0, 1)),
    "contexts": items(integer(0, 2)),
    "type": one_of(tuple(_MAX_BY_TYPE)),
    "nsfw": boolean,
    "handler": integer(1, 2),
}
_NEW = form(_FORM, required=("name",))
_OF_APPLICATION = "/applications/{application_id}"
_BASES = (f"{_OF_APPLICATION}/commands", f"{_OF_APPLICATION}/guilds/{{guild_id}}/commands")
ROUTES: Routes = {}
for _base in _BASES:
    ROUTES |= {
        f"GET {_base}": ApiRoute(list_, auth="any"),
        f"POST {_base}": ApiRoute(create, _NEW, auth="any"),
        f"PUT {_base}": ApiRoute(replace, items(_NEW, sum(_MAX_BY_TYPE.values())), auth="any"),
        f"GET {_base}/{{command_id}}": ApiRoute(get, auth="any"),
        f"PATCH {_base}/{{command_id}}": ApiRoute(edit, form(_FORM), auth="any"),
        f"DELETE {_base}/{{command_id}}": ApiRoute(delete, auth="any"),
    }
