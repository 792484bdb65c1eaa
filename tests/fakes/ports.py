"""Ports for servers that must know theirs beforehand."""

import random
import socket

# Below those of which Linux (from 32768) and macOS (from 49152) take one for each outgoing connection: it could be gone
# before the server listens.
_PORTS = range(20_000, 32_000)

_chosen: set[int] = set()
_random = random.SystemRandom()  # not that of the tests, which hypothesis starts anew each time


def free_ports(count: int) -> list[int]:
    """Return ports in a row on which nobody listens; none is ever returned again."""
    while True:
        first = _random.choice(_PORTS)
        ports = list(range(first, first + count))
        if _chosen.isdisjoint(ports) and all(map(_is_free, ports)):
            _chosen.update(ports)
            return ports


def free_port() -> int:
    """Return one of them."""
    return free_ports(1)[0]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
