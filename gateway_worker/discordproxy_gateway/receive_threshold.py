"""The receive threshold of a TCP connection: the bytes that gather before the process wakes up."""

import asyncio
import os
import socket

MAX_OCTETS = 32 * 1024
"""Upper bound of a threshold: far below the size of a receive buffer."""


class ReceiveThreshold:
    """Sets SO_RCVLOWAT. At any threshold the kernel reports the end of the TCP connection and a full receive buffer.

    Args:
        transport: the open connection, with or without TLS. The kernel keeps it open until `close`, too.
    """

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._socket: socket.socket | None = None
        transport_socket = transport.get_extra_info("socket")
        if transport_socket is not None:
            # uvloop's own object makes a new one for each option that is set.
            self._socket = socket.socket(fileno=os.dup(transport_socket.fileno()))

    def set(self, octets: int) -> bool:
        """Let the kernel gather `octets`; 1 ends that, and what has arrived is read. False if it cannot gather."""
        if self._socket is None or self._transport.is_closing():
            return False
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, min(octets, MAX_OCTETS))
        except OSError:  # a system without the option
            self.close()
            return False
        return True

    def close(self) -> None:
        """Release the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
