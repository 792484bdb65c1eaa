"""Errors of a server that answers, in words with a fix and without its text."""

import pytest
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import ConnectionError as ConnectionLost

from discordproxy_ratelimit.redis.refusals import LOGIN_REFUSED, refusal_of


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (AuthenticationError("s3cret"), LOGIN_REFUSED),
        (NoPermissionError("User s3cret has no permissions"), LOGIN_REFUSED),
        (ReadOnlyError("You can't write"), "is a replica, which refuses writes; set"),
        (MasterDownError("Link with MASTER is down"), "has lost its master; set"),
        (BusyLoadingError("Redis is loading"), "still loads its data; wait"),
        (OutOfMemoryError("command not allowed"), "has no memory left and refuses writes; raise"),
        (ResponseError("MISCONF Redis is configured to save"), "cannot save its data on disk and refuses writes; free"),
        (ResponseError("NOREPLICAS Not enough good replicas to write."), "has fewer replicas than its min-replicas"),
        (ResponseError("DB index is out of range"), "has no database of this number; check"),
        (
            ResponseError("unknown command 'EVAL', with args beginning with: 's3cret'"),
            "does not offer the command EVAL;",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value[:20],
)
def test_a_refusal_has_a_fix(error: Exception, words: str) -> None:
    wrapped = ConnectionLost("s3cret")
    wrapped.__cause__ = error
    for each in (error, wrapped):
        assert words in refusal_of(each)
        assert "; " in refusal_of(each)
        assert "s3cret" not in refusal_of(each)


@pytest.mark.parametrize(
    "error", [OSError("DB index"), ConnectionLost("Connection refused"), ResponseError("WRONGTYPE")]
)
def test_another_error_is_no_refusal(error: Exception) -> None:
    assert refusal_of(error) == ""
