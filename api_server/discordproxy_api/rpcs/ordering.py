"""Names of the objects whose parts requests change; changes with the same name are serialized. Pure."""

from collections.abc import Collection, Mapping

_MEMBER = "/guilds/{guild_id}/members/{user_id}"
_CHANNEL = "/channels/{channel_id}"

_COMMAND_LISTS = frozenset(
    f"/applications/{application}{guild}/commands"
    for application in ("{application_id}", "@me")
    for guild in ("", "/guilds/{guild_id}")
)
"""Templates of the lists of application commands."""


def order_of(method: str, template: str, parameters: Mapping[str, str], keys: Collection[str] = ()) -> str:
    """Return the name of the object of which a request changes a part; "" if it requires no order.

    Args:
        method: method of the request.
        template: path with names in place of values.
        parameters: values of the path.
        keys: keys of the JSON body.
    """
    if template == f"{_MEMBER}/roles/{{role_id}}" or (template == _MEMBER and method == "PATCH" and "roles" in keys):
        return f"roles:{parameters['guild_id']}:{parameters['user_id']}"
    if template == f"{_CHANNEL}/permissions/{{overwrite_id}}" or (
        template == _CHANNEL and method == "PATCH" and "permission_overwrites" in keys
    ):
        # Discord applies concurrent changes of single overwrites correctly; the caches do not.
        return f"overwrites:{parameters['channel_id']}"
    if template.startswith("/applications/") and method != "GET" and list_of_commands(template):
        # A synchronization reads the list, and may write it back.
        return order_of_commands(parameters.get("guild_id", ""))
    if method == "PATCH" and "attachments" in keys and "/messages/" in template:
        return f"attachments:{parameters.get('message_id') or parameters.get('webhook_token', '')}"
    return ""


def list_of_commands(template: str) -> str:
    """Return the template of the list of commands that a route belongs to; "" for other routes."""
    found = template.rstrip("/").removesuffix("/{command_id}")
    return found if found in _COMMAND_LISTS else ""


def order_of_commands(guild_id: int | str) -> str:
    """Return the name of the commands of a guild, or of those of all guilds."""
    return f"commands:{str(guild_id).lstrip('0') or 0}"
