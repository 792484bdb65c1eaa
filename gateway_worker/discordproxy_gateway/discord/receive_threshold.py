"""The receive threshold of a TCP connection: how many bytes the kernel gathers before it wakes this process."""

import asyncio
import socket

MAX_OCTETS = 32 * 1024
"""Upper bound of a threshold: far below the size of a receive buffer."""


class ReceiveThreshold:
    """Sets SO_RCVLOWAT. The end of the connection is reported at any threshold, and so is a full receive buffer.

    Args:
        transport: the open connection, TLS or not; None if it is unknown.
    """

    def __init__(self, transport: asyncio.BaseTransport | None) -> None:
        self._transport = transport
        self._socket = transport.get_extra_info("socket") if transport is not None else None
        self._supported = self._socket is not None and hasattr(self._socket, "setsockopt")

    def set(self, octets: int) -> bool:
        """Let the kernel gather `octets`; 1 ends that, and what has arrived is read. False if it cannot gather."""
        # The number of a closed socket may belong to another one already.
        if not self._supported or self._transport is None or self._transport.is_closing():
            return False
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, min(octets, MAX_OCTETS))
        except (OSError, ValueError):
            self._supported = False
        return self._supported
