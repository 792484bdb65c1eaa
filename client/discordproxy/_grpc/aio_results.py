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
    from typing_extensions import Self


async def response_of(call: Any) -> Any:
    """Return the response of a unary call.

    Raises:
        asyncio.CancelledError: the task was cancelled; the call is cancelled, too.
        grpc.RpcError: the call failed, or its channel was closed.
    """
    if not hasattr(call, "add_done_callback"):  # a coroutine, in tests of applications
        return await call
    done = asyncio.get_running_loop().create_future()

    def wake(_call: Any) -> None:
        if not done.done():
            done.set_result(None)

    call.add_done_callback(wake)
    try:
        await done
    except asyncio.CancelledError:
        call.cancel()
        raise
    try:
        return await call
    except asyncio.CancelledError:
        if _is_cancelled(otherwise=False):
            raise
        raise _closed() from None


class StreamMessages:
    """An iterator over the messages of a streaming call, which is cancelled if the iterator is dropped before its end.

    Args:
        call: The call. Tasks of grpc.aio refer to it, so that it is not garbage-collected by itself.
    """

    def __init__(self, call: Any) -> None:
        self._call = call
        self._messages = aiter(call)
        self._loop = asyncio.get_running_loop()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        """Return the next message.

        Raises:
            asyncio.CancelledError: the task was cancelled; the call is cancelled, too.
            grpc.RpcError: the call failed, or was cancelled by another task, or its channel was closed.
        """
        try:
            return await anext(self._messages)
        except asyncio.CancelledError:
            if _is_cancelled(otherwise=True):
                self._call.cancel()  # grpc.aio does so only after it has sent the request
                raise
            raise _closed() from None

    def cancel(self) -> None:
        """Cancel the call."""
        self._call.cancel()

    def __del__(self) -> None:
        """Cancel the call, from any thread."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._call.cancel)


def _is_cancelled(*, otherwise: bool) -> bool:
    """Return whether the task was cancelled; `otherwise` in Python 3.10, which does not count cancellations."""
    cancelling = getattr(asyncio.current_task(), "cancelling", None)
    return otherwise if cancelling is None else bool(cancelling())


def _closed() -> grpc.aio.AioRpcError:
    """Return the error of a cancelled call, with the text of synchronous channels."""
    nothing = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(grpc.StatusCode.CANCELLED, nothing, nothing, "Channel closed!")
