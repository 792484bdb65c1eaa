"""All routes without a module of their own: recognized, authorized, limited, with a plausible response.

Objects that Discord documents (see `filled`) and settings (see `stored`) are stored as they were sent. A read of any
other collection returns none; any other request returns what was sent with an id.
"""

from typing import Any

from discordproxy_sandbox.messages.validation import anything
from discordproxy_sandbox.resources import stored
from discordproxy_sandbox.resources.empty import empty
from discordproxy_sandbox.resources.exchange import ApiAnswer, ApiRequest, ApiRoute, Auth, Handler, Routes
from discordproxy_sandbox.resources.filled import filled

# Methods and path; a status is given where it is neither 204 for DELETE nor 200 for the others.
_ROUTES = """
GET PATCH /applications/{application_id}
GET /applications/{application_id}/activity-instances/{instance_id}
POST /applications/{application_id}/attachment
GET PUT /applications/{application_id}/role-connections/metadata
GET POST:201 /applications/{application_id}/emojis
GET PATCH DELETE /applications/{application_id}/emojis/{emoji_id}
GET POST /applications/{application_id}/entitlements
GET DELETE /applications/{application_id}/entitlements/{entitlement_id}
POST:204 /applications/{application_id}/entitlements/{entitlement_id}/consume
PUT:201 DELETE /channels/{channel_id}/recipients/{user_id}
POST:204 /channels/{channel_id}/send-soundboard-sound
PUT:204 /channels/{channel_id}/voice-status
GET /guilds/{guild_id}/audit-logs
GET POST /guilds/{guild_id}/auto-moderation/rules
GET PATCH DELETE /guilds/{guild_id}/auto-moderation/rules/{rule_id}
POST:201 /guilds/{guild_id}/emojis
GET PATCH DELETE /guilds/{guild_id}/emojis/{emoji_id}
PUT /guilds/{guild_id}/incident-actions
GET /guilds/{guild_id}/integrations
DELETE /guilds/{guild_id}/integrations/{integration_id}
GET /guilds/{guild_id}/new-member-welcome
GET PUT /guilds/{guild_id}/onboarding
GET POST /guilds/{guild_id}/prune
GET /guilds/{guild_id}/regions
GET /guilds/{guild_id}/requests
PATCH /guilds/{guild_id}/requests/{request_id}
POST /guilds/{guild_id}/scheduled-events/{guild_scheduled_event_id}/exceptions
PATCH DELETE /guilds/{guild_id}/scheduled-events/{guild_scheduled_event_id}/exceptions/{exception_id}
GET /guilds/{guild_id}/scheduled-events/{guild_scheduled_event_id}/users/counts
GET /guilds/{guild_id}/scheduled-events/{guild_scheduled_event_id}/{guild_scheduled_event_exception_id}/users
GET POST:201 /guilds/{guild_id}/soundboard-sounds
GET PATCH DELETE /guilds/{guild_id}/soundboard-sounds/{sound_id}
GET POST:201 /guilds/{guild_id}/stickers
GET PATCH DELETE /guilds/{guild_id}/stickers/{sticker_id}
GET POST /guilds/{guild_id}/templates
PATCH PUT DELETE:200 /guilds/{guild_id}/templates/{code}
GET /guilds/{guild_id}/vanity-url
GET PATCH /guilds/{guild_id}/welcome-screen
GET /guilds/{guild_id}/widget.png
GET /guilds/templates/{code}
GET PUT:204 /invites/{code}/target-users
GET /invites/{code}/target-users/job-status
POST:201 PUT /lobbies
GET PATCH DELETE /lobbies/{lobby_id}
PATCH /lobbies/{lobby_id}/channel-linking
DELETE /lobbies/{lobby_id}/members/@me
POST /lobbies/{lobby_id}/members/@me/invites
POST /lobbies/{lobby_id}/members/bulk
PUT DELETE /lobbies/{lobby_id}/members/{user_id}
POST /lobbies/{lobby_id}/members/{user_id}/invites
GET POST:201 /lobbies/{lobby_id}/messages
PUT:204 /lobbies/{lobby_id}/messages/{message_id}/moderation-metadata
GET /oauth2/@me
GET /oauth2/keys
GET /oauth2/userinfo
PUT:204 /partner-sdk/dms/{user_id_1}/{user_id_2}/messages/{message_id}/moderation-metadata
POST:204 /partner-sdk/provisional-accounts/unmerge
POST:204 /partner-sdk/provisional-accounts/unmerge/bot
POST /partner-sdk/token
POST /partner-sdk/token/bot
GET /skus/{sku_id}/subscriptions
GET /skus/{sku_id}/subscriptions/{subscription_id}
GET /soundboard-default-sounds
POST /stage-instances
GET PATCH DELETE /stage-instances/{channel_id}
GET /sticker-packs
GET /sticker-packs/{pack_id}
GET /stickers/{sticker_id}
GET /users/@me/applications/{application_id}/entitlements
GET PUT DELETE /users/@me/applications/{application_id}/role-connection
GET /users/@me/connections
GET /users/@me/guilds/{guild_id}/member
GET /voice/regions
POST:204 /webhooks/{webhook_id}/{webhook_token}/github
POST /webhooks/{webhook_id}/{webhook_token}/slack
"""
_PUBLIC = (
    "/guilds/{guild_id}/widget.png",
    "/guilds/templates/{code}",
    "/oauth2/keys",
    "/partner-sdk/provisional-accounts/unmerge",
    "/partner-sdk/token",
    "/sticker-packs",
    "/webhooks/{webhook_id}/{webhook_token}/github",
    "/webhooks/{webhook_id}/{webhook_token}/slack",
)
_BEARER = (
    "/users/@me/applications/{application_id}/entitlements",
    "/users/@me/applications/{application_id}/role-connection",
    "/users/@me/guilds/{guild_id}/member",
)
_FILES = ("attachment", "target-users", "messages", "moderation-metadata", "stickers", "slack")
_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002000001"
    "e221bc330000000049454e44ae426082"
)


def _read(request: ApiRequest) -> Any:
    last = request.template.rsplit("/", 1)[1]
    if last == "widget.png":
        return ApiAnswer(content=_PIXEL, content_type="image/png")
    if last == "target-users":
        lines = request.world.target_users.get(request["code"], ["user_id"])
        return ApiAnswer(content="\n".join([*lines, ""]).encode(), content_type="text/csv")
    if last.startswith("{"):
        return stored.get(request) or filled(request, {})
    return stored.list_(request, empty(request))


def _written(status: int) -> Handler:
    def handler(request: ApiRequest) -> ApiAnswer:
        if request.method == "DELETE":
            gone = stored.delete(request)
            return ApiAnswer(status, gone if status == 200 else None)  # noqa: PLR2004 - OK
        if status == 204:  # noqa: PLR2004 - No Content
            return ApiAnswer(204)
        if request.template.endswith("/prune"):
            return ApiAnswer(status, empty(request))
        if stored.is_setting(request):
            return ApiAnswer(status, stored.set_setting(request, empty(request)))
        if isinstance(request.body, list):
            return ApiAnswer(status, [{"id": request.world.new_id(), **one} for one in request.body])
        files = [{"filename": one.filename, "size": one.size} for one in request.uploads]
        echo = stored.put(request, filled(request, request.body))
        return ApiAnswer(status, echo | ({"files": files} if files else {}))

    return handler


def _auth(path: str) -> Auth:
    if path in _PUBLIC:
        return "path" if "token" in path else "optional"
    if path in _BEARER:
        return "bearer"
    return "any" if path.startswith(("/applications/", "/lobbies", "/skus/", "/users/@me", "/oauth2/")) else "bot"


def _routes() -> Routes:
    routes: Routes = {}
    for line in _ROUTES.split("\n"):
        *methods, path = line.split(" ")
        for method, _, status in (one.partition(":") for one in methods):
            if method == "GET":
                routes[f"GET {path}"] = ApiRoute(_read, auth=_auth(path))
                continue
            handler = _written(int(status or (204 if method == "DELETE" else 200)))
            files = path.rsplit("/", 1)[1] in _FILES
            body = None if method == "DELETE" else anything
            routes[f"{method} {path}"] = ApiRoute(handler, body, files=files, auth=_auth(path))
    return routes


ROUTES = _routes()
