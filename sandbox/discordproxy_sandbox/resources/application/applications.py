"""The bot's own application."""

from discordproxy_sandbox.errors import Json
from discordproxy_sandbox.messages.validation import anything, form, integer, text
from discordproxy_sandbox.resources.exchange import ApiRequest, ApiRoute, Routes
from discordproxy_sandbox.world.world import World


def document(world: World) -> Json:
    """Return the application of the bot."""
    user = world.user(world.bot_id)
    return {
        "id": world.bot_id,
        "name": user["username"],
        "icon": None,
        "description": "",
        "summary": "",
        "type": None,
        "bot": user,
        "bot_public": False,
        "bot_require_code_grant": False,
        "verify_key": "0" * 64,
        "flags": world.application_flags,
        "flags_new": str(world.application_flags),
        "max_participants": None,
        "tags": [],
        "redirect_uris": [],
        "interactions_endpoint_url": None,
        "role_connections_verification_url": None,
        "owner": user,
        "approximate_guild_count": len(world.guilds),
        "approximate_user_install_count": 0,
        "approximate_user_authorization_count": 0,
        "explicit_content_filter": 0,
        "team": None,
        "eligible_oauth2_scopes": [],
    }


def get(request: ApiRequest) -> Json:
    """Return the application."""
    return document(request.world)


_EDIT = form(
    {"description": text(400), "icon": anything, "flags": integer(0), "tags": anything, "cover_image": anything}
)
ROUTES: Routes = {
    "GET /applications/@me": ApiRoute(get),
    "PATCH /applications/@me": ApiRoute(get, _EDIT),
    "GET /oauth2/applications/@me": ApiRoute(get),
}
