"""Is this worker of use? One answer for gRPC health checks, the HTTP port and the metrics.

The worker is ready while Redis answers, Discord accepts the bot's token, and it is not leaving. A missing gateway is
told under its own name and changes nothing else.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.contract.contract import SERVICE

log = logging.getLogger("discordproxy_api.status.health")

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

Probe = Callable[[], Awaitable[bool]]
NEEDED = ("broker", "discord")
"""Without these a call is of no use, so callers are better off elsewhere."""


class HealthServicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc] # the library has no types
    """Serves grpc.health.v1. The library's servicer lets one watcher that reads nothing hold up every other one."""

    def __init__(self) -> None:
        self._statuses: dict[str, Any] = {}
        self._changed = asyncio.Event()

    def set(self, name: str, status: Any) -> None:
        """Tell from now on that a service has this status."""
        if self._statuses.get(name) != status:
            self._statuses[name] = status
            self._changed.set()  # wakes those who wait now
            self._changed = asyncio.Event()

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Answer with a service's status."""
        if request.service not in self._statuses:
            await context.abort(grpc.StatusCode.NOT_FOUND, "There is no service of this name here.")
        return _response(self._statuses[request.service])

    async def List(self, _request: Any, _context: Any) -> Any:  # noqa: N802 - same
        """Answer with every service's status."""
        return health_pb2.HealthListResponse(
            statuses={name: _response(status) for name, status in self._statuses.items()}
        )

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802 - same
        """Tell a service's status, and again whenever it is another one."""
        told = None
        while True:
            changed, status = self._changed, self._statuses.get(request.service, UNKNOWN)
            if status != told:
                await context.write(_response(status))
                told = status
            else:
                await changed.wait()


def _response(status: Any) -> Any:
    return health_pb2.HealthCheckResponse(status=status)


class Health:
    """Keeps the state of the worker's services.

    Args:
        probes: by service name; those in `NEEDED` decide about readiness.
        every_s: seconds between two rounds; less while this worker is not ready.
    """

    def __init__(self, probes: Mapping[str, Probe], metrics: Metrics, *, every_s: float = 1.0) -> None:
        self._probes = probes
        self._metrics = metrics
        self._every_s = every_s
        self._servicer = HealthServicer()
        self._states: dict[str, bool] = dict.fromkeys(("", SERVICE.strip("/"), *probes), False)
        self._leaving = False
        for name in self._states:
            self._servicer.set(name, NOT_SERVING)

    services_of_grpc = (health.SERVICE_NAME,)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve grpc.health.v1."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    @property
    def ready(self) -> bool:
        """Whether new calls are welcome."""
        return self._states[""] and not self._leaving

    @property
    def leaving(self) -> bool:
        """Whether this worker drains."""
        return self._leaving

    @property
    def states(self) -> dict[str, bool]:
        """State by service name; "" is the worker itself."""
        return dict(self._states)

    async def run(self) -> None:
        """Look again and again."""
        while True:
            await self.look()
            await asyncio.sleep(self._every_s if self.ready else self._every_s / 5)

    async def look(self) -> None:
        """Ask every probe once and publish what changed."""
        found: dict[str, bool] = {name: await self._ask(name, probe) for name, probe in self._probes.items()}
        found[""] = found[SERVICE.strip("/")] = all(found.get(name, True) for name in NEEDED)
        for name, up in found.items():
            if up != self._states[name]:
                log.log(logging.INFO if up else logging.WARNING, "%s is %s", name or "worker", "up" if up else "down")
            self._publish(name, up)

    async def leave(self) -> None:
        """Say NOT_SERVING from now on, whatever the probes find."""
        self._leaving = True
        for name in self._states:
            self._metrics.serving.labels(name or "worker").set(0)
        for name in self._states:
            self._servicer.set(name, NOT_SERVING)

    def _publish(self, name: str, up: bool) -> None:  # noqa: FBT001 - a state, not a switch
        self._states[name] = up
        if not self._leaving:
            self._metrics.serving.labels(name or "worker").set(up)
            self._servicer.set(name, SERVING if up else NOT_SERVING)

    async def _ask(self, name: str, probe: Probe) -> bool:
        try:
            return await probe()
        except Exception as error:  # noqa: BLE001 - a probe that fails says no
            log.debug("probe %s failed: %s", name, type(error).__name__)
            return False
