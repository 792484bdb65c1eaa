"""The clock of the server that holds a bot's keys, read along with other commands.

By a script, because a Cluster has no TIME of its own in a pipeline, and another node's clock would not do.
"""

from collections.abc import Sequence
from typing import Any

from discordproxy_gateway.keys import Keys

_TIME = "return redis.call('TIME')"


def request_time(commands: Any, keys: Keys) -> Any:
    """Read the time from a client, or add the command to a pipeline."""
    return commands.eval(_TIME, 1, keys.shard_count)


def milliseconds(reply: Sequence[bytes]) -> int:
    """Return the server's time since 1970 in ms."""
    seconds, microseconds = reply
    return int(seconds) * 1000 + int(microseconds) // 1000
