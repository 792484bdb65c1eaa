"""The gateway's URL and the remaining session starts."""

from collections.abc import Callable

from discordproxy_sandbox.errors import Json
from discordproxy_sandbox.gateway.gateway import SandboxGateway
from discordproxy_sandbox.resources.exchange import ApiRequest, ApiRoute, Routes


def routes(gateway: Callable[[], SandboxGateway]) -> Routes:
    """Return the routes of a gateway's information."""

    def get(_request: ApiRequest) -> Json:
        return {"url": gateway().url}

    def get_bot(_request: ApiRequest) -> Json:
        return gateway().info()

    return {"GET /gateway": ApiRoute(get, auth="path"), "GET /gateway/bot": ApiRoute(get_bot)}
