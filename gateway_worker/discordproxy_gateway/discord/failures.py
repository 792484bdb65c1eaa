"""Errors that end a connection from our side, and operator lines for those that need a change. Pure."""

from collections.abc import Sequence

from discordproxy_gateway.discord.intents import PRIVILEGED, privileged

PORTAL = "https://discord.com/developers/applications"

BAD_TOKEN = (
    "Discord rejected the bot token: it is wrong or was reset; make a new one on the Bot page of "
    f"{PORTAL} and put it in DISCORD_BOT_TOKEN (or the file that DISCORDPROXY_TOKEN_FILE names)"
)


ENDPOINT_SET = (
    "this application has an interactions endpoint URL, so Discord sends slash commands and clicks there and not "
    f"here; remove it on the General Information page of {PORTAL} to get them as INTERACTION_CREATE events"
)


class GatewayError(Exception):
    """Why a connection ends from our side.

    GatewayError
     |- FatalError              only the operator can fix it; the text is the line for them
     |   `- ShardCountError     the same, unless Discord recommends another number of shards by now
     |- LeaseLostError          another worker may hold the connection by now; nothing may be sent or written any more
     `- SessionOutOfStepError   Redis holds another session or sequence: it has to be resumed, or begun, from there
    """


class FatalError(GatewayError):
    """Connecting cannot work until the operator changes something; the text is the one line for them."""


class ShardCountError(FatalError):
    """Discord refuses the number of shards: the bot may have grown since the number was chosen."""


class LeaseLostError(GatewayError):
    """Another worker may hold the connection by now; nothing may be sent or written any more."""


class SessionOutOfStepError(GatewayError):
    """Redis holds another session or sequence than this connection: it has to be resumed, or begun, from there."""


def fatal_error(code: int | None, *, intents: Sequence[str], shards: str) -> FatalError | None:
    """Return the error for a close code with its line for the operator, or None if connecting again can help."""
    line = fatal_line(code, intents=intents, shards=shards)
    if line is None:
        return None
    return ShardCountError(line) if code in _SHARD_COUNT_REFUSED else FatalError(line)


def fatal_line(code: int | None, *, intents: Sequence[str], shards: str) -> str | None:
    """Return the operator's line for a close code, or None if connecting again can help.

    Args:
        code: close code of the websocket (Discord: opcodes and status codes, gateway close events).
        intents: names of the requested intents.
        shards: requested shard id and count, as text.
    """
    if code == _DISALLOWED_INTENTS:
        return _disallowed(privileged(intents))
    line = _LINES.get(code or 0)
    return line.format(shards=shards) if line else None


_DISALLOWED_INTENTS = 4014
_SHARD_COUNT_REFUSED = frozenset({4010, 4011})

_LINES = {
    4004: BAD_TOKEN,
    4010: "Discord refused shard {shards} (close code 4010): set DISCORDPROXY_SHARDS to auto",
    4011: "The bot is in too many guilds for shard {shards} (close code 4011): set DISCORDPROXY_SHARDS to auto, "
    "or to more shards",
    4012: "Discord no longer supports this gateway version (close code 4012): upgrade discordproxy",
    4013: "Discord rejects an intent of DISCORDPROXY_INTENTS as unknown (close code 4013): correct it, or upgrade",
}


def _disallowed(names: Sequence[str]) -> str:
    if not names:
        return f"Discord disallows an intent (close code 4014): look at the Bot page of {PORTAL}"
    switches = ", ".join(f"{PRIVILEGED[name]!r}" for name in names)
    return (
        f"Discord disallows privileged intents (close code 4014): switch on {switches} on the Bot page of {PORTAL} "
        "(with 10,000 users or more, apply for them there, every year), "
        f"or take {', '.join(names)} out of DISCORDPROXY_INTENTS"
    )


def budget_line(remaining: int, reset_in_s: float) -> str:
    """Return the operator's line for a day on which too few IDENTIFYs are left."""
    hours, minutes = divmod(round(reset_in_s / 60), 60)
    return (
        f"only {remaining} new sessions are left for this bot today; waiting {hours} h {minutes} min for the reset, "
        "since Discord resets the token of a bot that uses them all up; start with --force to connect anyway"
    )
