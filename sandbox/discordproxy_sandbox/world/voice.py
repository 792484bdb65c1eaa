"""Voice states: the users in each voice channel."""

from discordproxy_sandbox.errors import Json
from discordproxy_sandbox.world.world import World


def set_voice_state(world: World, guild_id: str, sent: Json, user_id: str = "") -> Json:
    """Move a user (the bot by default) into `channel_id`, or out of voice if it is null; return the new state."""
    guild, user_id = world.guild(guild_id), user_id or world.bot_id
    member = world.member(guild.id, user_id)
    state: Json = {
        "guild_id": guild.id,
        "channel_id": sent.get("channel_id"),
        "user_id": user_id,
        "member": member,
        "session_id": f"{int(user_id):032x}",
        "deaf": member["deaf"],
        "mute": member["mute"],
        "self_deaf": bool(sent.get("self_deaf")),
        "self_mute": bool(sent.get("self_mute")),
        "self_stream": False,
        "self_video": False,
        "suppress": False,
        "request_to_speak_timestamp": None,
    }
    guild.voice_states.pop(user_id, None)
    if state["channel_id"]:
        guild.voice_states[user_id] = state
    world.emit("VOICE_STATE_UPDATE", state, guild.id)
    return state
