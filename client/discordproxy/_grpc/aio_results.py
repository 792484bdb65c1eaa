"""Awaits calls of grpc.aio and keeps the cancellation of a task apart from that of a call.

grpc.aio raises a new CancelledError in both cases. A cancelled task needs the original one: anyio (FastAPI, Starlette)
recognizes its cancel scopes by the message. A task that was not cancelled needs an RpcError: its channel was closed.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from typing_extensions import Self


async def response_of(call: Any) -> Any:
    """Return the response of a unary call.

    Raises:
        asyncio.CancelledError: the task was cancelled; the call is cancelled, too.
        grpc.RpcError: the call failed, or its channel was closed.
    """
    return await _result_of(call, call)


class StreamMessages:
    """An iterator over the messages of a streaming call, which is cancelled if the iterator is dropped before its end.

    Args:
        call: The call. Tasks of grpc.aio refer to it, so that it is not garbage-collected by itself.
    """

    def __init__(self, call: Any) -> None:
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._messages = aiter(call)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        """Return the next message.

        Raises:
            asyncio.CancelledError: the task was cancelled; the call is cancelled, too.
            grpc.RpcError: the call failed, or was cancelled by another task, or its channel was closed.
        """
        return await _result_of(anext(self._messages), self._call)

    def cancel(self) -> None:
        """Cancel the call."""
        _cancel(self._call)

    def __del__(self) -> None:
        """Cancel the call, from any thread."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(_cancel, self._call)


async def _result_of(awaitable: Awaitable[Any], call: Any) -> Any:
    """Return the result of an awaitable of a call. It gets a task of its own, which is not cancelled."""
    waiting = asyncio.ensure_future(awaitable)
    try:
        await asyncio.wait((waiting,))
    except asyncio.CancelledError:
        waiting.add_done_callback(_retrieve_error)
        _cancel(call if hasattr(call, "cancel") else waiting)  # tests of applications return coroutines
        raise
    try:
        return waiting.result()
    except asyncio.CancelledError:
        nothing = grpc.aio.Metadata()
        # The text is that of synchronous channels.
        raise grpc.aio.AioRpcError(grpc.StatusCode.CANCELLED, nothing, nothing, "Channel closed!") from None


def _cancel(call: Any) -> None:
    """Cancel a call, if possible without its tasks: a cancelled task of grpc.aio never frees 12 KiB."""
    if hasattr(call, "_cancel"):
        call._cancel("Locally cancelled by application!")  # noqa: SLF001 -- only `cancel` is public
    elif hasattr(call, "cancel"):  # tests of applications return generators
        call.cancel()


def _retrieve_error(waiting: asyncio.Future[Any]) -> None:
    """Retrieve an error that nobody awaits; otherwise asyncio would log it."""
    if not waiting.cancelled():
        waiting.exception()
