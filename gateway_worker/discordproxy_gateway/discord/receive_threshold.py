"""The receive threshold of a TCP connection: how many bytes the kernel gathers before it wakes this process."""

import asyncio
import socket
from typing import Any

MAX_OCTETS = 32 * 1024
"""Upper bound of a threshold: far below the size of a receive buffer."""


class ReceiveThreshold:
    """Sets SO_RCVLOWAT. At any threshold the kernel reports the end of the TCP connection and a full receive buffer.

    Args:
        transport: the open connection, with or without TLS.
    """

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._socket: Any = transport.get_extra_info("socket")

    def set(self, octets: int) -> bool:
        """Let the kernel gather `octets`; 1 ends that, and what has arrived is read. False if it cannot gather."""
        # A closed socket's number may belong to another one already.
        if self._socket is None or self._transport.is_closing():
            return False
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, min(octets, MAX_OCTETS))
        except (AttributeError, OSError, ValueError):  # no TCP, or a system without the option
            self._socket = None
            return False
        return True
