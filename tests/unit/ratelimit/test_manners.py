"""What our kinds of connections do like the library's."""

import pytest
from redis.asyncio import Connection
from redis.exceptions import DataError

from discordproxy_ratelimit.manners import our_kind

THEIRS, OURS = Connection(), our_kind(Connection)()


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
