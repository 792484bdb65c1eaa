"""Free ports for servers that need theirs in advance."""

import os
import random
import socket

# Below the ephemeral ports of Linux (from 32768) and macOS (from 49152): an outgoing connection could take one of those
# before the server listens.
_FIRST, _LAST = 20_000, 32_000

_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_NUMBER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_SHARE = (_LAST - _FIRST) // _PROCESSES
_PORTS = range(_FIRST + _NUMBER * _SHARE, _FIRST + (_NUMBER + 1) * _SHARE)
"""Those of this process: servers share a port by SO_REUSEPORT, so two processes must not choose the same."""

_chosen: set[int] = set()
_random = random.SystemRandom()  # hypothesis reseeds the global generator


def free_ports(count: int) -> list[int]:
    """Return consecutive free ports; no port is returned twice in one test run."""
    while True:
        first = _random.choice(_PORTS)
        ports = list(range(first, first + count))
        if _chosen.isdisjoint(ports) and all(map(_is_free, ports)):
            _chosen.update(ports)
            return ports


def free_port() -> int:
    """Return a free port."""
    return free_ports(1)[0]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
