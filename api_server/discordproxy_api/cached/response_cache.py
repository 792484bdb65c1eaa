"""Serialized responses to cached reads, valid while the gateway's caches do not change."""

from collections import OrderedDict
from dataclasses import dataclass, field

from discordproxy_gateway.cache import Version

MAX_BYTES = 16 * 2**20
"""Of all responses of one bot in one worker, keys and an estimate of the objects around them included."""
MAX_RESPONSE_BYTES = MAX_BYTES // 16

_OVERHEAD_BYTES = 1500  # of version, key and entry of one response

Key = tuple[str, bytes]
"""Name of the RPC and the serialized request."""


@dataclass(frozen=True, slots=True)
class KeptResponse:
    """A response without its freshness, which the next reader receives anew."""

    body: bytes = field(repr=False)
    version: Version


class ResponseCache:
    """Keeps the responses that were used last."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[Key, KeptResponse] = OrderedDict()

    def get(self, key: Key) -> KeptResponse | None:
        """Return the response to a request; the caller checks its version."""
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
        return kept

    def put(self, key: Key, body: bytes, version: Version) -> None:
        """Keep a response instead of the earlier one; the oldest ones make room for it."""
        self.remove(key)
        if len(body) > MAX_RESPONSE_BYTES:
            return
        self._kept[key] = KeptResponse(body, version)
        self._bytes += _size(key, body)
        while self._bytes > self._max_bytes:
            self.remove(next(iter(self._kept)))

    def remove(self, key: Key) -> None:
        """Drop a response, if there is one."""
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= _size(key, kept.body)


def _size(key: Key, body: bytes) -> int:
    return len(key[1]) + len(body) + _OVERHEAD_BYTES
