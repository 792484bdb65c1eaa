"""Permissions of application commands in a guild."""

from discordproxy_sandbox.errors import Json, discord_error
from discordproxy_sandbox.messages.validation import anything, form, items
from discordproxy_sandbox.resources.exchange import ApiRequest, ApiRoute, Routes


def _of_guild(request: ApiRequest) -> dict[str, Json]:
    guild = request.world.guild(request["guild_id"])
    return request.world.collections.setdefault(f"command permissions of {guild.id}", {})


def list_(request: ApiRequest) -> list[Json]:
    """Return the permissions of the commands that have some."""
    return list(_of_guild(request).values())


def get(request: ApiRequest) -> Json:
    """Return the permissions of a command."""
    try:
        return _of_guild(request)[request["command_id"]]
    except KeyError:
        raise discord_error(10066) from None


def replace(request: ApiRequest) -> Json:
    """Set the permissions of a command."""
    about = {"id": request["command_id"], "application_id": request.world.bot_id, "guild_id": request["guild_id"]}
    _of_guild(request)[about["id"]] = {**about, "permissions": request.body.get("permissions", [])}
    return get(request)


_COMMANDS = "/applications/{application_id}/guilds/{guild_id}/commands"
ROUTES: Routes = {
    f"GET {_COMMANDS}/permissions": ApiRoute(list_, auth="any"),
    f"GET {_COMMANDS}/{{command_id}}/permissions": ApiRoute(get, auth="any"),
    f"PUT {_COMMANDS}/{{command_id}}/permissions": ApiRoute(
        replace, form({"permissions": items(anything)}), auth="any"
    ),
}
