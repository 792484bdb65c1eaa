"""The library's kinds of connections, with what ours do better: they obey a cancellation and end at once."""

import asyncio
from typing import Any

from redis.asyncio import SSLConnection
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import TimeoutError as NoAnswer


class _Obedient:
    """Writes without `asyncio.wait_for`, which the library uses when a connection has a timeout.

    Before Python 3.12 that loses a cancellation that comes just as the command was written: the caller would go on
    as if nobody had cancelled it. It also costs a task for each command.
    """

    async def send_packed_command(self: Any, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - the library's
        """Write a command; raises the library's TimeoutError if the server takes nothing."""
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        bound, self.socket_timeout = self.socket_timeout, None
        patience = asyncio.timeout(bound)
        try:
            async with patience:
                await super().send_packed_command(command, check_health)  # type: ignore[misc] # of the other base
        except TimeoutError:
            if not patience.expired():
                raise
            raise NoAnswer("Timeout writing to socket") from None
        finally:
            self.socket_timeout = bound


class _Abrupt:
    """Given up, it does not linger until the server has said its goodbye in TLS, too."""

    async def disconnect(self: Any, nowait: bool = False, *args: Any, **options: Any) -> None:  # noqa: FBT001, FBT002 - the library's
        """Close it; with `nowait` at once."""
        writer = self._writer
        await super().disconnect(nowait, *args, **options)  # type: ignore[misc] # of the other base
        if nowait and writer:
            writer.transport.abort()


def our_kind(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    """Return a kind of connection like the library's `kind`, and ours."""
    manners = (_Abrupt, _Obedient) if issubclass(kind, SSLConnection) else (_Obedient,)
    return type(kind.__name__, (*manners, kind), {})
