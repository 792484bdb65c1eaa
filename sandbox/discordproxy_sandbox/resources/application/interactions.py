"""Interactions: a user's command or click, its first response within 3 s, its follow-ups within 15 minutes."""

import base64
import secrets

from discordproxy_sandbox.errors import Json, discord_error, invalid_form
from discordproxy_sandbox.messages.forms import AUTOCOMPLETE, MODAL
from discordproxy_sandbox.messages.validation import anything, failure, form, one_of
from discordproxy_sandbox.resources.channel.messages import edit_in, store
from discordproxy_sandbox.resources.exchange import ApiRequest, ApiRoute, Routes
from discordproxy_sandbox.world.world import World

_FIRST_RESPONSE_S = 3.0
_TOKEN_S = 900.0
_MESSAGE, _DEFERRED, _DEFERRED_UPDATE, _UPDATE = 4, 5, 6, 7
_AUTOCOMPLETE, _MODAL, _LAUNCH = 8, 9, 12
_COMMAND, _COMPONENT, _TYPING, _SUBMITTED = 2, 3, 4, 5
_KINDS = (_COMMAND, _COMPONENT, _TYPING, _SUBMITTED)
_DATA = {_AUTOCOMPLETE: AUTOCOMPLETE, _MODAL: MODAL}
LOADING = 1 << 7
_EPHEMERAL = 1 << 6
_WITHOUT_MESSAGE = (1, 8, 9, 10, 12)


def interact(
    world: World, channel_id: str, user_id: str, kind: int = 2, data: Json | None = None, **more: Json
) -> Json:
    """Let a user use a command (2), component (3), autocompletion (4) or modal (5).

    Returns the data of INTERACTION_CREATE.

    Raises:
        ValueError: `kind` is none of these.
    """
    if kind not in _KINDS:
        raise ValueError(
            f"kind is {kind!r}; use 2 for a command, 3 for a component, 4 for an autocompletion, 5 for a modal"
        )
    channel = world.channel(channel_id)
    interaction_id = world.new_id()
    token = f"interaction:{interaction_id}:{secrets.token_urlsafe(60)}"  # the format of Discord's tokens
    interaction: Json = {
        "id": interaction_id,
        "application_id": world.bot_id,
        "type": kind,
        "token": base64.urlsafe_b64encode(token.encode()).decode().rstrip("="),
        "version": 1,
        "channel_id": channel.id,
        "channel": channel.data,
        "guild_id": channel.guild_id,
        "member": world.member(channel.guild_id, user_id) | {"permissions": "0"},
        "data": data or {"id": world.new_id(), "name": "ping", "type": 1},
        "locale": "en-US",
        "guild_locale": "en-US",
        "app_permissions": "0",
        "entitlements": [],
        "authorizing_integration_owners": {},
        "context": 0,
        "attachment_size_limit": 10 * 1024 * 1024,
        **more,
    }
    state: Json = {"created_at": world.clock(), "response_id": "", "answered": False, "interaction": interaction}
    world.interactions[interaction["token"]] = state | {"channel_id": channel.id}
    world.emit("INTERACTION_CREATE", interaction, channel.guild_id)
    return interaction


def find(world: World, application_id: str, token: str) -> Json | None:
    """Return the state of an interaction by its token; None if the token is a webhook's."""
    state = world.interactions.get(token)
    if state is None or application_id != world.bot_id:
        return None
    if world.clock() - state["created_at"] > _TOKEN_S:
        raise discord_error(50027)
    return state


def respond(request: ApiRequest) -> Json | None:
    """Send the first response."""
    world, body = request.world, request.body
    state = world.interactions.get(request["interaction_token"])
    late = state is None or request.now - state["created_at"] > _FIRST_RESPONSE_S
    if state is None or late or state["interaction"]["id"] != request["interaction_id"]:
        raise discord_error(10062)
    if state["answered"]:
        raise discord_error(40060)
    message = _respond(request, state, body["type"], body.get("data") or {})
    state["answered"] = True
    if not request.flag("with_response"):
        return None
    about: Json = {"id": request["interaction_id"], "type": state["interaction"]["type"]}
    if body["type"] == _LAUNCH:
        instance = f"i-{request['interaction_id']}-gc-{state['interaction']['guild_id']}-{state['channel_id']}"
        resource: Json = {"type": _LAUNCH, "activity_instance": {"id": instance}}
        return {"interaction": about | {"activity_instance_id": instance}, "resource": resource}
    if message is None:
        return {"interaction": about}
    about |= {"response_message_id": message["id"], "response_message_loading": bool(message["flags"] & LOADING)}
    about["response_message_ephemeral"] = bool(message["flags"] & _EPHEMERAL)
    if body["type"] == _DEFERRED:
        return {"interaction": about}
    return {"interaction": about, "resource": {"type": body["type"], "message": message}}


def _check_kind(used: int, kind: int, data: Json) -> None:
    """Raise an error if a user's action cannot be answered by this type of response, or the data do not fit it."""
    choices_only = used == _TYPING
    if choices_only != (kind == _AUTOCOMPLETE) or (used == _SUBMITTED and kind == _MODAL):
        raise invalid_form({"type": failure("INTERACTION_RESPONSE_TYPE_INVALID", "Invalid type for this interaction.")})
    if kind in _DATA and (wrong := _DATA[kind](data, "data", [])):
        raise invalid_form({"data": wrong})


def _respond(request: ApiRequest, state: Json, kind: int, data: Json) -> Json | None:
    world = request.world
    _check_kind(state["interaction"]["type"], kind, data)
    if kind in _WITHOUT_MESSAGE:
        return None
    if kind in (_UPDATE, _DEFERRED_UPDATE):
        original = state["interaction"].get("message")
        if state["interaction"]["type"] != _COMPONENT or original is None:
            raise discord_error(50068)
        state["response_id"] = original["id"]
        if kind == _DEFERRED_UPDATE:
            return None
        message = world.message(state["channel_id"], original["id"])
        return edit_in(world, world.channel(state["channel_id"]), message, data, request.uploads)
    if kind == _DEFERRED:
        data = {"content": "thinking", "flags": LOADING | (data.get("flags") or 0) & _EPHEMERAL}
    message = follow_up(request, state, data)
    if kind == _DEFERRED:
        message["content"] = ""
    state["response_id"] = message["id"]
    return message


def follow_up(request: ApiRequest, state: Json, data: Json | None = None) -> Json:
    """Send a message of an interaction; the first one after a deferral replaces the deferred message."""
    world, channel = request.world, request.world.channel(state["channel_id"])
    body = request.body if data is None else data
    deferred = channel.messages.get(state["response_id"]) if state["response_id"] else None
    if deferred and deferred["flags"] & LOADING:
        deferred["flags"] &= ~LOADING
        return edit_in(world, channel, deferred, body, request.uploads)
    message = store(world, request.ledger, channel, world.user(world.bot_id), body, request.uploads)
    stored = channel.messages[message["id"]]
    stored["webhook_id"] = stored["application_id"] = world.bot_id
    stored["interaction_metadata"] = {
        "id": state["interaction"]["id"],
        "type": state["interaction"]["type"],
        "user": state["interaction"]["member"]["user"],
        "authorizing_integration_owners": {},
    }
    return stored


ROUTES: Routes = {
    "POST /interactions/{interaction_id}/{interaction_token}/callback": ApiRoute(
        respond,
        form({"type": one_of(range(1, 13)), "data": anything}, required=("type",)),
        files=True,
        auth="path",
        exempt=True,
    )
}
