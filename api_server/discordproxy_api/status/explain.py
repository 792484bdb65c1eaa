"""From a failure's reason, status and code to a sentence for the operator: what it means and what to do. Pure.

Never quotes what Discord or a caller wrote: it may hold the content of a message.
"""

from typing import NamedTuple


class Explanation(NamedTuple):
    """What a failure means, and what helps; the latter may be empty."""

    meaning: str
    fix: str = ""


_BY_CODE = {
    10003: Explanation("Discord knows no such channel", "Check the channel's id; it may have been deleted."),
    10004: Explanation("Discord knows no such server", "Check the server's id; the bot may have been removed."),
    10007: Explanation("The user is not a member of the server"),
    10008: Explanation("The message is gone"),
    10011: Explanation("Discord knows no such role", "Check the role's id; it may have been deleted."),
    10013: Explanation("Discord knows no such user", "Check the user's id."),
    10015: Explanation("The webhook was deleted", "Make a new one and give its URL to the application."),
    30001: Explanation("The bot is in as many servers as Discord allows"),
    40003: Explanation("The bot opens direct messages too fast", "Spread them over a longer time."),
    50001: Explanation("The bot cannot see this channel or server", "Invite it, and give its role View Channel there."),
    50007: Explanation("The user takes no direct messages from the bot", "They have to allow it in a shared server."),
    50013: Explanation(
        "The bot lacks a permission there", "`discordproxy doctor --channel ID` names it; give it to the bot's role."
    ),
    50035: Explanation("A field of the request is not what Discord takes", "The caller's error names the field."),
    60003: Explanation("The bot's owner has to switch on two-factor authentication for this"),
}
_BY_REASON = {
    "BROKER_UNAVAILABLE": Explanation("Redis does not answer, so nothing is sent", "See that it runs."),
    "CIRCUIT_OPEN": Explanation(
        "Discord blocks this machine's address, or is about to: too many requests were invalid",
        "It reopens by itself. Look for callers with wrong tokens, ids or permissions.",
    ),
    "DEADLINE_EXCEEDED": Explanation("The caller's time was over first", "Give calls more time."),
    "DISCORD_UNREACHABLE": Explanation("Discord gave no answer", "Look at the network and at discordstatus.com."),
    "DRAINING": Explanation("The worker was being stopped", "Clients call again by themselves."),
    "FORBIDDEN_BY_OPERATOR": Explanation(
        "The application's key or the settings do not allow this",
        "Widen the key's scopes if it should; for a route, see DISCORDPROXY_REQUEST_ALLOW, too.",
    ),
    "IDEMPOTENCY_KEYS_FULL": Explanation(
        "The application has as many idempotency keys and results in Redis as it may",
        "It should give keys to fewer calls; see DISCORDPROXY_IDEMPOTENCY_BYTES.",
    ),
    "INTENT_OFF": Explanation("The gateway does not ask Discord for such events", "See DISCORDPROXY_INTENTS."),
    "INTERNAL": Explanation(
        "The proxy failed, or cannot use what Discord answered",
        "Its log has the cause under the request id; please report it.",
    ),
    "INVALID_BUDGET_USED": Explanation(
        "The application has used up its share of the invalid requests that Discord allows this machine's address",
        "It goes on by itself once they are ten minutes old. Look for wrong tokens, ids or permissions in its calls.",
    ),
    "INVALID_REQUEST": Explanation("The request was refused before it was sent", "The caller's error names the field."),
    "LOCKED_OUT": Explanation("Too many wrong keys came from this address", "Correct the caller's key."),
    "GATEWAY_FAILED": Explanation("The gateway worker cannot log in", "Run `discordproxy doctor`: it names the cause."),
    "NO_GATEWAY": Explanation("No gateway worker is connected", "See that one runs."),
    "OUTCOME_UNKNOWN": Explanation("Another call with the same idempotency key has not come to an end"),
    "PERMISSION_DENIED": Explanation("The application's key does not allow this", "Widen its scopes if it should."),
    "QUEUE_FULL": Explanation("Too many calls wait", "Callers send more than Discord takes; slow them down."),
    "SUBSCRIBER_TOO_SLOW": Explanation("A subscriber read its events too slowly and was cut off"),
    "UNAUTHENTICATED": Explanation("A token or key was refused", "Check DISCORD_BOT_TOKEN and the caller's key."),
    "WAIT_EXCEEDS_DEADLINE": Explanation(
        "The wait for a rate limit would outlast the caller's deadline", "Give calls more time, or send less."
    ),
    "WAIT_EXCEEDS_MAX_WAIT": Explanation("The wait for a rate limit is longer than the caller wants"),
}
_BY_HTTP_STATUS = {
    401: Explanation("Discord refuses the token", "Check DISCORD_BOT_TOKEN; a webhook's token may be wrong as well."),
    403: Explanation("Discord forbids this to the bot", "Check its role's permissions."),
    404: Explanation("Discord knows no such thing", "Check the ids."),
    429: Explanation("Discord limited the call in spite of repeats", "Callers send more than it takes."),
}
_BY_STATUS = {
    "CANCELLED": Explanation("The caller hung up"),
    "DEADLINE_EXCEEDED": _BY_REASON["DEADLINE_EXCEEDED"],
    "INTERNAL": _BY_REASON["INTERNAL"],
    "PERMISSION_DENIED": _BY_REASON["PERMISSION_DENIED"],
    "UNAUTHENTICATED": _BY_REASON["UNAUTHENTICATED"],
}
_DISCORD_FAILS = Explanation("Discord failed", "It is repeated where that does no harm; see discordstatus.com.")
_UNKNOWN = Explanation("No explanation is known", "The caller's error says more.")


def explain(status: str, reason: str, http_status: int, code: int) -> Explanation:
    """Return the explanation of a failure; the most particular one there is.

    Args:
        status: name of the gRPC status.
        reason: the proxy's own, or empty.
        http_status: of Discord's answer, 0 for none.
        code: Discord's JSON error code, 0 for none.
    """
    if reason not in {"", "DISCORD_ERROR"} and reason in _BY_REASON:
        return _BY_REASON[reason]
    if code in _BY_CODE:
        return _BY_CODE[code]
    if http_status >= 500:  # noqa: PLR2004 - HTTP
        return _DISCORD_FAILS
    return _BY_HTTP_STATUS.get(http_status) or _BY_STATUS.get(status) or _UNKNOWN
