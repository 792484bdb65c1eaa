"""Explains failed calls to operators, by reason, status and error code. Pure.

Texts of Discord or of callers are never quoted: they may contain message content.
"""

from typing import NamedTuple


class Explanation(NamedTuple):
    """The meaning of a failure and its fix; the fix may be empty."""

    meaning: str
    fix: str = ""


_BY_CODE = {
    10003: Explanation("The channel does not exist", "Check the channel's ID; it may have been deleted."),
    10004: Explanation(
        "The guild does not exist, or the bot is not in it", "Check the guild's ID; the bot may have been removed."
    ),
    10007: Explanation("The user is not a member of the guild"),
    10008: Explanation("The message does not exist any more"),
    10011: Explanation("The role does not exist", "Check the role's ID; it may have been deleted."),
    10013: Explanation("The user does not exist", "Check the user's ID."),
    10015: Explanation("The webhook was deleted", "Create a new one and set its URL in the application."),
    10062: Explanation(
        "The interaction was answered too late: Discord waits for three seconds",
        "Respond sooner, or let DISCORDPROXY_AUTO_DEFER defer it.",
    ),
    30001: Explanation("The bot is in the maximum number of guilds"),
    40003: Explanation("The bot opens DM channels too fast", "Spread the messages over a longer time."),
    40060: Explanation(
        "The interaction has a response already", "Edit that one or send a follow-up; only one program may respond."
    ),
    50001: Explanation("The bot cannot see this channel or guild", "Invite the bot, and grant its role View Channel."),
    50007: Explanation(
        "The user does not accept direct messages from the bot", "The user must allow them in a shared guild."
    ),
    50013: Explanation(
        "The bot lacks a permission",
        "`discordproxy doctor --channel ID` names it; grant it to the bot's role. Pinning needs PIN_MESSAGES, which "
        "MANAGE_MESSAGES does not include.",
    ),
    50035: Explanation("Discord rejected a field of the request", "The caller's error names the field."),
    60003: Explanation("The bot's owner must enable two-factor authentication"),
    160014: Explanation(
        "The bot cannot read the message to forward",
        "Grant its role View Channel and Read Message History there; messages of others may need the intent "
        "message_content.",
    ),
}
_BY_REASON = {
    "ALREADY_RUNNING": Explanation("The roles of this guild are being synchronized already", "Call again later."),
    "BROKER_UNAVAILABLE": Explanation("Redis does not answer, so no calls are sent", "Make sure that Redis runs."),
    "CIRCUIT_OPEN": Explanation(
        "Discord blocks this machine's IP address, or is about to: too many requests were invalid",
        "The circuit closes again by itself. Find callers with wrong tokens, IDs or permissions.",
    ),
    "COMMANDS_CHANGED": Explanation("Other workers changed the application commands at the same time", "Call again."),
    "COMMANDS_FULL": Explanation(
        "The commands of all applications exceed a limit of Discord", "Declare fewer, or commands of single guilds."
    ),
    "COMMAND_EXISTS": Explanation(
        "Another application owns the name of a command, or none owns a command with another content",
        "`discordproxy commands list` shows the owners.",
    ),
    "COMMAND_NOT_OWNED": Explanation(
        "The application does not own a command that it uses", "`discordproxy commands list` shows the owners."
    ),
    "CURSOR_EXPIRED": Explanation(
        "The events after the subscriber's cursor are no longer kept",
        "Continue from the error's `cursor`, and reload any data that depends on the events.",
    ),
    "DEADLINE_EXCEEDED": Explanation("The call exceeded its deadline", "Give calls more time."),
    "DISCORD_UNREACHABLE": Explanation("Discord did not answer", "Check the network and discordstatus.com."),
    "DRAINING": Explanation("The worker was stopping", "Clients retry by themselves."),
    "EVENTS_UNAVAILABLE": Explanation("The events cannot be read from Redis", "Make sure that Redis runs."),
    "FORBIDDEN_BY_OPERATOR": Explanation(
        "The application's key or the settings do not allow this call",
        "If it should be allowed, extend the key's scopes; for a route, check DISCORDPROXY_REQUEST_ALLOW, too.",
    ),
    "IDEMPOTENCY_KEY_REUSED": Explanation(
        "A different request has used the same idempotency key", "Use a new key for each message."
    ),
    "IDEMPOTENCY_KEYS_FULL": Explanation(
        "The application has used its memory for idempotency keys in Redis",
        "Use keys for fewer calls, or increase DISCORDPROXY_IDEMPOTENCY_BYTES.",
    ),
    "INDEX_NOT_READY": Explanation(
        "Discord is building the index for this search", "Repeat the call after `retry_after`."
    ),
    "INTENT_OFF": Explanation("The gateway does not receive such events", "Add the intent to DISCORDPROXY_INTENTS."),
    "INTERACTION_DEFERRED": Explanation(
        "The gateway worker has deferred the interaction: a modal, or for a component a deferred message, is too late",
        "Answer sooner, or turn DISCORDPROXY_AUTO_DEFER off.",
    ),
    "INTERNAL": Explanation(
        "The proxy failed, or Discord's response was unusable",
        "The log contains the cause with the request ID; please report it.",
    ),
    "INVALID_BUDGET_USED": Explanation(
        "The application has used its share of the invalid requests that Discord allows this machine's IP address",
        "Its calls are sent again after ten minutes. Find wrong tokens, IDs or permissions in its calls.",
    ),
    "INVALID_REQUEST": Explanation("The request was invalid and was not sent", "The caller's error names the field."),
    "LOCKED_OUT": Explanation("Too many wrong keys from this address", "Correct the caller's key."),
    "MISSING_PERMISSIONS": Explanation("The bot lacks Manage Roles in a guild", "Grant it to one of the bot's roles."),
    "GATEWAY_FAILED": Explanation(
        "The gateway worker cannot log in", "Run `discordproxy doctor`, which names the cause."
    ),
    "NO_GATEWAY": Explanation("No gateway worker is connected", "Make sure that one runs."),
    "OUTCOME_UNKNOWN": Explanation(
        "Another call with the same idempotency key has not finished", "Repeat the call with the same key later."
    ),
    "PERMISSION_DENIED": Explanation(
        "The application's key does not allow this call", "If it should be allowed, extend the key's scopes."
    ),
    "QUEUE_FULL": Explanation(
        "Too many calls are waiting", "Callers send more than Discord's limits allow; send fewer calls."
    ),
    "REQUEST_TOO_LARGE": Explanation(
        "The request is larger than the server accepts",
        "Send smaller files, or increase DISCORDPROXY_MAX_MESSAGE_BYTES.",
    ),
    "STREAM_ENDED": Explanation(
        "The event stream has reached its maximum age",
        "The Python client resumes by itself; other programs subscribe again with the cursor of the last event.",
    ),
    "SUBSCRIBER_TOO_SLOW": Explanation(
        "A subscriber read its events too slowly and was disconnected",
        "Read events faster, or subscribe to fewer. The Python client resumes by itself.",
    ),
    "TOO_MANY_FAILURES": Explanation(
        "A role synchronization ended, because many members in a row failed", "The caller's error has Discord's reason."
    ),
    "TOO_MANY_REMOVALS": Explanation(
        "A role synchronization would remove more roles than allowed, and changed nothing",
        "Check the caller's lists with dry_run, then raise max_removals.",
    ),
    "UNAUTHENTICATED": Explanation("A token or key was rejected", "Check DISCORD_BOT_TOKEN and the caller's key."),
    "WAIT_EXCEEDS_DEADLINE": Explanation(
        "The wait for a rate limit would exceed the call's deadline", "Give calls more time, or send fewer."
    ),
    "WAIT_EXCEEDS_MAX_WAIT": Explanation(
        "The wait for a rate limit would exceed the call's max_wait", "Give calls more max_wait, or send fewer."
    ),
}
_BY_HTTP_STATUS = {
    401: Explanation("Discord rejected the token", "Check DISCORD_BOT_TOKEN, or the webhook's token."),
    403: Explanation("The bot is not allowed to do this", "Check the permissions of its role."),
    404: Explanation("The object does not exist", "Check the IDs."),
    429: Explanation("Discord rate limited the call, including its retries", "Send fewer calls."),
}
_BY_STATUS = {
    "CANCELLED": Explanation("The client cancelled the call"),
    "DEADLINE_EXCEEDED": _BY_REASON["DEADLINE_EXCEEDED"],
    "INTERNAL": _BY_REASON["INTERNAL"],
    "PERMISSION_DENIED": _BY_REASON["PERMISSION_DENIED"],
    "UNAUTHENTICATED": _BY_REASON["UNAUTHENTICATED"],
}
_DISCORD_FAILS = Explanation("Discord failed", "Calls are retried where this is safe; see discordstatus.com.")
_UNKNOWN = Explanation("No explanation is available", "The caller's error has details.")


def reasons() -> list[tuple[str, Explanation]]:
    """Return the explanations of the proxy's reasons, for the documentation."""
    return sorted(_BY_REASON.items())


def codes() -> list[tuple[int, Explanation]]:
    """Return the explanations of Discord's error codes, for the documentation."""
    return sorted(_BY_CODE.items())


def http_statuses() -> list[tuple[int, Explanation]]:
    """Return the explanations of Discord's HTTP statuses, for the documentation."""
    return sorted(_BY_HTTP_STATUS.items())


def explain(status: str, reason: str, http_status: int, code: int) -> Explanation:
    """Return the most specific explanation of a failure.

    Args:
        status: name of the gRPC status.
        reason: reason of the proxy's error, or "".
        http_status: status of Discord's response, 0 for none.
        code: Discord's JSON error code, 0 for none.
    """
    if reason not in {"", "DISCORD_ERROR"} and reason in _BY_REASON:
        return _BY_REASON[reason]
    if code in _BY_CODE:
        return _BY_CODE[code]
    if http_status >= 500:  # noqa: PLR2004 - HTTP
        return _DISCORD_FAILS
    return _BY_HTTP_STATUS.get(http_status) or _BY_STATUS.get(status) or _UNKNOWN
