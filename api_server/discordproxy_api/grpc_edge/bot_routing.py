"""Gives each call to the service of its caller's bot."""

from collections.abc import Mapping
from typing import Any

import grpc

from discordproxy_api.calls.call import CURRENT


class BotRouting(grpc.GenericRpcHandler):
    """One handler out of those of all bots; the caller's key names the bot, "" is the first one.

    Args:
        handlers: by name of the bot; all serve the same methods, with functions that return one awaitable.
    """

    def __init__(self, handlers: Mapping[str, grpc.GenericRpcHandler]) -> None:
        self._handlers = {"": next(iter(handlers.values())), **handlers}
        self._methods: dict[str, Any] = {}

    def service(self, handler_call_details: Any) -> Any:
        """Return the handler of a method; which bot serves it is seen when it runs."""
        method = handler_call_details.method
        if method not in self._methods:
            found = {bot: handler.service(handler_call_details) for bot, handler in self._handlers.items()}
            if found[""] is None:
                return None
            self._methods[method] = _merged(found)
        return self._methods[method]


def _merged(found: Mapping[str, Any]) -> Any:
    kinds = {
        "stream_unary": grpc.stream_unary_rpc_method_handler,
        "unary_stream": grpc.unary_stream_rpc_method_handler,
    }
    first = found[""]
    kind = next(kind for kind in kinds if getattr(first, kind) is not None)
    functions = {bot: getattr(handler, kind) for bot, handler in found.items()}

    async def serve(request: Any, context: Any) -> Any:
        return await functions[CURRENT.get().principal.bot](request, context)

    return kinds[kind](serve, first.request_deserializer, first.response_serializer)
