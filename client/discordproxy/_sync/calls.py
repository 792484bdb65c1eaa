# Generated from _async/calls.py by client/generate_sync.py; edit that file and run it again.
"""The base of all calls: a unary call with deadline, metadata, errors and retries, and paging."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from discordproxy._grpc.attempts import Attempts
from discordproxy._grpc.routes import is_read, is_rpc, request_name
from discordproxy._requests.arguments import UNSET
from discordproxy._requests.checks import seconds, whole_number
from discordproxy._requests.compose import size_of, takes_effect_once, with_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from google.protobuf.message import Message
    from grpc import UnaryUnaryMultiCallable
    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments, Seconds, Unset
    from discordproxy.discord_api_pb2_grpc import DiscordApiStub

Item = TypeVar("Item")
Request = TypeVar("Request", bound="Message")
Response = TypeVar("Response")


class Calls:
    """Performs calls. The client provides the stub and a way to wait."""

    _timeout: float | None
    _retries: int
    _metadata: tuple[tuple[str, str], ...]
    _gate: AbstractContextManager[None]
    _add_hint: Callable[[Exception], None]

    @property
    def stub(self) -> DiscordApiStub:
        """The typed gRPC stub of this process, for direct use of gRPC.

        Its calls raise grpc.RpcError. The client's timeout, API key and retries do not apply to them.
        """
        raise NotImplementedError

    def _sleep(self, seconds: float) -> None:
        raise NotImplementedError

    def _result(self, call: Any) -> Any:
        """Return the response of a unary call."""
        raise NotImplementedError

    def _messages(self, call: Any) -> Iterator[Any]:
        """Return an iterator over the messages of a streaming call."""
        raise NotImplementedError

    def call(self, rpc: str, request: Message, **call: Unpack[CallArguments]) -> Any:
        """Call any unary RPC of the service by name, with the timeout, errors and retries of the other methods.

        Args:
            rpc: Name of the RPC, such as "GetGuildChannels".
            request: Request message of the RPC.
            call: `timeout`, `priority`, `max_wait`, `idempotency_key`: see CallArguments.

        Returns:
            The response message, including fields that other methods drop, such as `freshness`.

        Raises:
            ValueError: the service has no such RPC, or it has another type of request.
        """
        if not is_rpc(rpc):
            raise ValueError(f"rpc: the service has no unary RPC {rpc!r}")
        if type(request).__name__ != request_name(rpc):
            raise ValueError(f"request: {rpc} takes a {request_name(rpc)}, not {type(request).__name__}")
        method = getattr(self.stub, rpc)
        return self._read(method, request, **call) if is_read(rpc) else self._write(method, request, **call)

    def _read(
        self,
        method: UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        **call: Unpack[CallArguments],
    ) -> Response:
        """Call an RPC that only reads: a retry is always safe."""
        return self._perform(method, request, repeatable=True, **call)

    def _write(
        self,
        method: UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        **call: Unpack[CallArguments],
    ) -> Response:
        """Call an RPC that changes something: a retry is safe if the request has a nonce or an idempotency key."""
        return self._perform(method, request, repeatable=False, **call)

    def _perform(
        self,
        method: UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        *,
        repeatable: bool,
        timeout: float | Unset | None = UNSET,
        priority: str | None = None,
        max_wait: Seconds | None = None,
        idempotency_key: str = "",
    ) -> Response:
        request = with_options(request, priority=priority, max_wait=max_wait, idempotency_key=idempotency_key)
        attempts = Attempts(
            seconds("timeout", self._timeout if timeout is UNSET else timeout) or None,
            self._retries,
            repeatable=repeatable or takes_effect_once(request),
            add_hint=self._add_hint,
        )
        metadata = (*self._metadata, ("x-request-id", attempts.request_id), *size_of(request))
        while True:
            try:
                with self._gate:
                    call = method(request, timeout=attempts.time_left, metadata=metadata)
                    response: Response = self._result(call)
                    return response
            except grpc.RpcError as ex:
                delay = attempts.failed(ex)
            self._sleep(delay)

    def _pages(
        self,
        fetch: Callable[[int, int | None], Sequence[Item]],
        id_of: Callable[[Item], int],
        page_size: int,
        limit: int | None,
    ) -> Iterator[Item]:
        """Iterate over a list page by page; `fetch` takes the page size and the last id of the previous page."""
        last_id: int | None = None
        limit = whole_number("limit", limit)
        while limit is None or limit > 0:
            size = page_size if limit is None else min(limit, page_size)
            page = fetch(size, last_id)
            yield from page
            if len(page) < size:
                return
            limit = None if limit is None else limit - size
            last_id = id_of(page[-1])
