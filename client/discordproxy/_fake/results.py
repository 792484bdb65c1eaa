"""Idempotency keys of the fake proxy: calls with the same key take effect once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from discordproxy._fake.world import HttpRefusalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message as AnyMessage


class Results:
    """Stores the result of the first call with each key."""

    def __init__(self) -> None:
        self._results: dict[tuple[str, str, str], tuple[bytes, AnyMessage]] = {}

    def once(self, app: str, rpc: str, request: Any, perform: Callable[[], AnyMessage]) -> AnyMessage:
        """Return the stored result of the key of `request`; without a stored one, call `perform` and store its result.

        Raises:
            HttpRefusalError: `perform` failed, or the key was used for a different request.
        """
        key = request.options.idempotency_key
        if not key:
            return perform()
        asked = type(request).FromString(request.SerializeToString())
        asked.ClearField("options")
        wanted = asked.SerializeToString(deterministic=True)
        if (app, rpc, key) not in self._results:
            self._results[app, rpc, key] = wanted, perform()
        first, result = self._results[app, rpc, key]
        if first != wanted:
            text = "Invalid Form Body\nIn options.idempotency_key: This idempotency key was used for another request."
            raise HttpRefusalError(400, 50035, text)
        return result
