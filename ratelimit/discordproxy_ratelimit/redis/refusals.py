"""Texts about a Redis server that refuses to work or cannot be reached, with the fix, for logs, checks and errors."""

import re
import socket
import ssl
from collections.abc import Iterator

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ExecAbortError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

_RIGHTS = "allow what deploy/redis/users.acl allows, with ACL SETUSER"
LOGIN_REFUSED = "refused the login; check user and password in DISCORDPROXY_REDIS_URL"
NO_DATABASE = "has no database of this number; check DISCORDPROXY_REDIS_URL, or raise the server's `databases`"
IS_REPLICA = (
    "is a replica, which refuses writes; set DISCORDPROXY_REDIS_URL to the master, or let Sentinels find it "
    "(redis+sentinel://)"
)

_BY_KIND = {
    AuthenticationError: LOGIN_REFUSED,
    ReadOnlyError: IS_REPLICA,
    MasterDownError: "is a replica that has lost its master; set DISCORDPROXY_REDIS_URL to the master",
    BusyLoadingError: "still loads its data; wait until it has finished",
    ExecAbortError: f"refuses a command in a transaction; {_RIGHTS}",
    OutOfMemoryError: "has no memory left and refuses writes; raise its maxmemory",
}
_BY_TEXT = {
    "DB index": NO_DATABASE,
    "max number of clients reached": "has reached its maxclients; raise it, or end connections of other programs",
    "MISCONF": (
        "cannot save its data on disk and refuses writes; free disk space, or set its stop-writes-on-bgsave-error to no"
    ),
    "NOREPLICAS": (
        "has fewer replicas than its min-replicas-to-write and refuses writes; start them, or lower that number"
    ),
}
"""Begin of the text of an error without a class of its own."""

_UNREACHABLE: dict[type[BaseException], str] = {
    socket.gaierror: "cannot be found, as its host name is unknown; check DISCORDPROXY_REDIS_URL",
    ConnectionRefusedError: "refuses connections; start it or set DISCORDPROXY_REDIS_URL",
    FileNotFoundError: "has no socket at this path; start it or set DISCORDPROXY_REDIS_URL",
    PermissionError: "has a socket that this user may not open; change its unixsocketperm, or the user",
    ssl.SSLCertVerificationError: "has a certificate that is not trusted; check ssl_ca_certs in DISCORDPROXY_REDIS_URL",
    ssl.SSLError: "does not speak TLS on this port, or no common version; check DISCORDPROXY_REDIS_URL",
    TimeoutError: "does not reply in time; check its load, the network, and whether it requires TLS (rediss://)",
    RedisTimeoutError: "does not reply in time; check its load, the network, and whether it requires TLS (rediss://)",
}
"""By the original error, the more special ones first."""

_MAX_CAUSES = 8
_NO_COMMAND = re.compile(r"run the '([A-Za-z|]{1,30})' (?:sub)?command")
_UNKNOWN_COMMAND = re.compile(r"unknown command '([A-Za-z|]{1,30})'")


def refusal_of(error: BaseException) -> str:
    """Return how the server refuses, with the fix, or "" for any other error of a client.

    The library may wrap the original error. Its text may contain the user's name or the command, so it is not used.
    """
    kind = error.__cause__ if isinstance(error.__cause__, RedisError) else error
    if type(kind) in _BY_KIND:
        return _BY_KIND[type(kind)]
    if not isinstance(kind, RedisError):
        return ""
    if isinstance(kind, NoPermissionError) or "ACL failure in script" in str(kind):
        return _missing_right(str(kind))
    if command := _UNKNOWN_COMMAND.search(str(kind)):
        return f"does not offer the command {command[1]}; allow the commands of deploy/redis/users.acl"
    return next((refusal for begin, refusal in _BY_TEXT.items() if str(kind).startswith(begin)), "")


def _missing_right(text: str) -> str:
    """Return what a user of the server may not do."""
    if command := _NO_COMMAND.search(text):
        return f"does not allow its user the command {command[1].upper()}; {_RIGHTS}"
    for kind in ("key", "channel"):
        if kind in text:
            return f"does not allow its user the {kind}s of this proxy; {_RIGHTS}"
    return f"does not allow its user all that is needed; {_RIGHTS}"


def failure_of(error: BaseException) -> str:
    """Return how the server refuses, or why it cannot be reached, with the fix."""
    if refusal := refusal_of(error):
        return refusal
    for cause in _causes(error):
        for kind, text in _UNREACHABLE.items():
            if isinstance(cause, kind):
                return text
    return f"does not answer ({type(error.__cause__ or error).__name__}); start it or set DISCORDPROXY_REDIS_URL"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what caused it: the library wraps errors, and some of those are wrapped, too."""
    cause: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or cause.__context__
