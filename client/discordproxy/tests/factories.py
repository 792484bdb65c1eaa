"""Factories of single objects, for tests of applications that mock the client.

`discordproxy.testing` fakes the whole proxy.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import grpc

from discordproxy.discord_api_pb2 import Channel

if TYPE_CHECKING:
    from collections.abc import Iterator


def id_generator() -> Iterator[int]:
    """Yield 1, 2, 3 ..."""
    yield from itertools.count(1)


unique_ids = id_generator()


def create_discordproxy_channel(**kwargs: Any) -> Channel:
    """Return a channel. Default `id`: the next of a counter; default `type`: GUILD_TEXT."""
    fields = {"type": Channel.Type.GUILD_TEXT, **kwargs}
    fields.setdefault("id", next(unique_ids))
    return Channel(**fields)


class _RpcError(grpc.RpcError):
    """The error of a failed call, with gRPC's methods."""

    def __init__(self, code: grpc.StatusCode, details: str | None) -> None:
        super().__init__(code, details)
        self._code = code
        self._details = details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str | None:
        return self._details


def create_rpc_error(**kwargs: Any) -> grpc.RpcError:
    """Return the error of a failed call, with the methods `code()` and `details()`.

    Args:
        kwargs: `code` (default NOT_FOUND) and `details` (default: Discord's error for an unknown user).
    """
    unknown_user = {"type": "HTTPException", "status": 404, "code": 50001, "text": "User not found"}
    fields = {"code": grpc.StatusCode.NOT_FOUND, "details": json.dumps(unknown_user), **kwargs}
    return _RpcError(**fields)
