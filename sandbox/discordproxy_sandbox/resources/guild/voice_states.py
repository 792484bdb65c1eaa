"""Voice states over REST."""

from discordproxy_sandbox.errors import Json, discord_error
from discordproxy_sandbox.resources.exchange import ApiRequest, ApiRoute, Routes


def get(request: ApiRequest) -> Json:
    """Return the voice state of the bot, or of the user in the path."""
    guild = request.world.guild(request["guild_id"])
    state = guild.voice_states.get(request.params.get("user_id", request.world.bot_id))
    if state is None:
        raise discord_error(10065)
    return state


_STATES = "/guilds/{guild_id}/voice-states"
ROUTES: Routes = {f"GET {_STATES}/@me": ApiRoute(get), f"GET {_STATES}/{{user_id}}": ApiRoute(get)}
