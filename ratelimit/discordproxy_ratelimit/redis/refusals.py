"""Texts about a Redis server that answers and refuses to work, with the fix, for logs and checks."""

import re

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)

LOGIN_REFUSED = "refused the login; check user and password in DISCORDPROXY_REDIS_URL"
NO_DATABASE = "has no database of this number; check DISCORDPROXY_REDIS_URL, or raise the server's `databases`"
IS_REPLICA = (
    "is a replica, which refuses writes; set DISCORDPROXY_REDIS_URL to the master, or let Sentinels find it "
    "(redis+sentinel://)"
)

_BY_KIND = {
    AuthenticationError: LOGIN_REFUSED,
    NoPermissionError: LOGIN_REFUSED,
    ReadOnlyError: IS_REPLICA,
    MasterDownError: "is a replica that has lost its master; set DISCORDPROXY_REDIS_URL to the master",
    BusyLoadingError: "still loads its data; wait until it has finished",
    OutOfMemoryError: "has no memory left and refuses writes; raise its maxmemory",
}
_BY_TEXT = {
    "DB index": NO_DATABASE,
    "MISCONF": (
        "cannot save its data on disk and refuses writes; free disk space, or set its stop-writes-on-bgsave-error to no"
    ),
    "NOREPLICAS": (
        "has fewer replicas than its min-replicas-to-write and refuses writes; start them, or lower that number"
    ),
}
"""Begin of the text of an error without a class of its own."""

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
    if command := _UNKNOWN_COMMAND.search(str(kind)):
        return f"does not offer the command {command[1]}; allow the commands of deploy/redis/users.acl"
    return next((refusal for begin, refusal in _BY_TEXT.items() if str(kind).startswith(begin)), "")
