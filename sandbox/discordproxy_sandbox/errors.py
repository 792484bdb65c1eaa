"""Discord's error responses: HTTP status, JSON error code, text, and the nested field errors of an invalid form."""

from typing import Any

Json = dict[str, Any]


class DiscordError(Exception):
    """An error response of Discord; `fields` is the nested `errors` object of code 50035."""

    def __init__(self, status: int, code: int, message: str, fields: Json | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields

    def body(self) -> Json:
        """Return the JSON object of the response."""
        body: Json = {"message": self.message, "code": self.code}
        return body | {"errors": self.fields} if self.fields else body


_TEXTS = {
    0: (404, "404: Not Found"),
    10003: (404, "Unknown Channel"),
    10004: (404, "Unknown Guild"),
    10006: (404, "Unknown Invite"),
    10007: (404, "Unknown Member"),
    10008: (404, "Unknown Message"),
    10009: (404, "Unknown permission overwrite"),
    10011: (404, "Unknown Role"),
    10013: (404, "Unknown User"),
    10014: (404, "Unknown Emoji"),
    10015: (404, "Unknown Webhook"),
    10026: (404, "Unknown Ban"),
    10029: (404, "Unknown Entitlement"),
    10057: (404, "Unknown Guild Template"),
    10060: (404, "Unknown Sticker"),
    10062: (404, "Unknown interaction"),
    10063: (404, "Unknown application command"),
    10067: (404, "Unknown Stage Instance"),
    10097: (404, "Unknown Soundboard sound"),
    10066: (404, "Unknown application command permissions"),
    10065: (404, "Unknown Voice State"),
    10070: (404, "Unknown Guild Scheduled Event"),
    20012: (403, "You are not authorized to perform this action on this application"),
    30003: (400, "Maximum number of pins reached for the channel (50)"),
    30007: (400, "Maximum number of webhooks reached (15)"),
    30032: (400, "Maximum number of application commands reached"),
    40003: (403, "You are opening direct messages too fast"),
    40005: (413, "Request entity too large"),
    40033: (400, "This message has already been crossposted."),
    40060: (400, "Interaction has already been acknowledged."),
    50001: (403, "Missing Access"),
    50003: (403, "Cannot execute action on a DM channel"),
    50005: (403, "Cannot edit a message authored by another user"),
    50006: (400, "Cannot send an empty message"),
    50007: (403, "Cannot send messages to this user"),
    50008: (400, "Cannot send messages in a non-text channel"),
    50013: (403, "Missing Permissions"),
    50016: (400, "You can only bulk delete messages between 2 and 100"),
    50021: (403, "Cannot execute action on a system message"),
    50024: (400, "Cannot execute action on this channel type"),
    50027: (401, "Invalid Webhook Token"),
    50028: (403, "Invalid Role"),
    50033: (400, "Invalid Recipient(s)"),
    50034: (400, "You can only bulk delete messages that are under 14 days old."),
    50068: (400, "Invalid message type"),
    50240: (
        400,
        "You cannot remove this app's Entry Point command in a bulk update operation.",
    ),
    50109: (400, "The request body contains invalid JSON."),
    50083: (400, "Thread is archived"),
    160014: (400, "You cannot forward a message whose content you cannot read"),
    160004: (400, "A thread has already been created for this message"),
    520000: (400, "Poll expired"),
}


def discord_error(code: int) -> DiscordError:
    """Return the error of a JSON error code; its status and text are Discord's."""
    status, message = _TEXTS[code]
    return DiscordError(status, code, message)


def invalid_form(fields: Json) -> DiscordError:
    """Return error 50035 with these nested field errors."""
    return DiscordError(400, 50035, "Invalid Form Body", fields)


def unauthorized() -> DiscordError:
    """Return the error for a missing or wrong token."""
    return DiscordError(401, 0, "401: Unauthorized")
