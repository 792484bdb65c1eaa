"""A test case without network access."""

from __future__ import annotations

import socket
import unittest
from typing import NoReturn
from unittest import mock


class SocketAccessError(Exception):
    """A test tried to open a socket."""


class NoSocketsTestCase(unittest.TestCase):
    """A TestCase that blocks Python's sockets. gRPC opens sockets in C: patch its stub, or use discordproxy.testing."""

    @classmethod
    def setUpClass(cls) -> None:
        """Block sockets for all tests of the class."""
        super().setUpClass()
        blocked = mock.patch.object(socket, "socket", cls.guard)
        blocked.start()
        cls.addClassCleanup(blocked.stop)

    @staticmethod
    def guard(*_args: object, **_kwargs: object) -> NoReturn:
        """Replace the constructor of sockets.

        Raises:
            SocketAccessError: always.
        """
        raise SocketAccessError("Attempted to access network")
