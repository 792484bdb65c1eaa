"""Our connection classes behave like those of the library."""

import contextlib
from types import SimpleNamespace

import pytest
from redis.asyncio import Connection, SSLConnection
from redis.exceptions import DataError

from discordproxy_ratelimit.redis.connections import adapted

THEIRS, OURS = Connection(), adapted(Connection)()


@pytest.mark.parametrize(
    "command",
    [
        ("GET", "x"),
        ("CONFIG GET", "\u00e9 \N{CAT}"),
        (b"SCRIPT LOAD", b"\x00\xff"),
        ("ZADD", "", 1.5, 0.1, 1e30, -3, 2**70, float("inf")),
        ("EVALSHA", "sha", 0, memoryview(b"view"), bytearray(b"array")),
        ("SET", "key", "x" * 20_000, "px", 5),
    ],
)
def test_a_command_is_the_same_on_the_wire(command):
    assert b"".join(OURS.pack_command(*command)) == b"".join(THEIRS.pack_command(*command))
    assert b"".join(OURS.pack_commands([command] * 3)) == b"".join(THEIRS.pack_commands([command] * 3))


@pytest.mark.parametrize("value", [None, True, {"a": 1}, object()])
def test_what_has_no_form_on_the_wire_is_refused(value):
    for connection in (THEIRS, OURS):
        with pytest.raises(DataError):
            connection.pack_command("SET", "key", value)


@pytest.mark.parametrize(("nowait", "says_goodbye", "aborted"), [(False, True, 0), (False, False, 1), (True, True, 1)])
async def test_a_server_that_does_not_say_goodbye_in_tls_is_left_without(monkeypatch, nowait, says_goodbye, aborted):
    class Transport:
        aborted = 0

        def abort(self):
            self.aborted += 1

    async def disconnect(_connection, _nowait):
        if not says_goodbye:
            raise TimeoutError("Timed out closing connection")

    monkeypatch.setattr(SSLConnection, "disconnect", disconnect)
    connection, transport = adapted(SSLConnection)(), Transport()
    connection._writer = SimpleNamespace(transport=transport)
    with contextlib.nullcontext() if says_goodbye else pytest.raises(TimeoutError):
        await connection.disconnect(nowait)
    connection._writer = None
    assert transport.aborted == aborted
