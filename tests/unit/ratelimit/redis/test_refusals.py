"""Errors of a server that refuses or cannot be reached, in words with a fix and without its text."""

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as ConnectionLost

from discordproxy_ratelimit.redis.client import connect
from discordproxy_ratelimit.redis.refusals import LOGIN_REFUSED, failure_of, refusal_of


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (AuthenticationError("s3cret"), LOGIN_REFUSED),
        (NoPermissionError("User s3cret has no permissions"), "does not allow its user all that is needed; allow"),
        (NoPermissionError("User s3cret has no permissions to run the 'eval' command"), "the command EVAL; allow"),
        (NoPermissionError("this user has no permissions to access one of the keys used as arguments"), "the keys of"),
        (NoPermissionError("No permissions to access a channel"), "does not allow its user the channels of this proxy"),
        (ResponseError("ACL failure in script: No permissions to access a key"), "does not allow its user the keys"),
        (ConnectionLost("max number of clients reached"), "has reached its maxclients; raise it"),
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


async def failure(url: str) -> str:
    """Return the text about the first command to a server."""
    client = connect(url, timeout_s=0.2)
    try:
        await client.execute_command("PING")
    except (RedisError, OSError) as error:
        return failure_of(error)
    finally:
        await client.aclose()
    raise AssertionError("it answers")


async def test_why_a_server_cannot_be_reached(tmp_path: Path) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as gone:
        unused_port = gone.getsockname()[1]
    assert await failure("redis://nosuch.invalid:6379") == (
        "cannot be found, as its host name is unknown; check DISCORDPROXY_REDIS_URL"
    )
    assert await failure(f"redis://127.0.0.1:{unused_port}") == (
        "refuses connections; start it or set DISCORDPROXY_REDIS_URL"
    )
    assert "has no socket at this path" in await failure(f"unix://{tmp_path}/none.sock")
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        port = silent.getsockname()[1]
        assert "does not reply in time; check" in await failure(f"redis://127.0.0.1:{port}")
        assert "does not reply in time; check" in await failure(f"rediss://127.0.0.1:{port}")


async def test_a_server_without_tls() -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"-ERR unknown command\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        text = await failure(f"rediss://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert "does not speak TLS on this port" in text
