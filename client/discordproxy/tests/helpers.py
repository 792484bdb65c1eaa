"""A test case for applications that must not reach the network in their tests."""

from __future__ import annotations

import socket
import unittest
from typing import NoReturn
from unittest import mock


class SocketAccessError(Exception):
    """A test tried to open a socket."""


class NoSocketsTestCase(unittest.TestCase):
    """A TestCase in which Python code cannot open sockets. gRPC opens its own in C: patch the stub, or use the fake."""

    @classmethod
    def setUpClass(cls) -> None:
        """Block sockets for all tests of the class."""
        super().setUpClass()
        blocked = mock.patch.object(socket, "socket", cls.guard)
        blocked.start()
        cls.addClassCleanup(blocked.stop)

    @staticmethod
    def guard(*_args: object, **_kwargs: object) -> NoReturn:
        """Refuse to open a socket.

        Raises:
            SocketAccessError: always.
        """
        raise SocketAccessError("Attempted to access network")
