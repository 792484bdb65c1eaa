"""Voice states over REST."""

from discordproxy_sandbox.errors import Json, discord_error
from discordproxy_sandbox.messages.validation import boolean, form, snowflake, timestamp
from discordproxy_sandbox.resources.exchange import ApiRequest, ApiRoute, Routes


def get(request: ApiRequest) -> Json:
    """Return the voice state of the bot, or of the user in the path."""
    guild = request.world.guild(request["guild_id"])
    state = guild.voice_states.get(request.params.get("user_id", request.world.bot_id))
    if state is None:
        raise discord_error(10065)
    return state


def edit(request: ApiRequest) -> None:
    """Move the bot, or the user in the path, between the speakers and the audience of a stage."""
    state = get(request)
    state.update({key: value for key, value in request.body.items() if key != "channel_id"})
    request.world.emit("VOICE_STATE_UPDATE", state, request["guild_id"])


_FORM = form({"channel_id": snowflake, "suppress": boolean, "request_to_speak_timestamp": timestamp})
_STATES = "/guilds/{guild_id}/voice-states"
ROUTES: Routes = {
    **{f"GET {_STATES}/{who}": ApiRoute(get) for who in ("@me", "{user_id}")},
    **{f"PATCH {_STATES}/{who}": ApiRoute(edit, _FORM) for who in ("@me", "{user_id}")},
}
