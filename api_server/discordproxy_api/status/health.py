"""Health of this worker, for gRPC health checks, the HTTP port and the metrics.

The worker is ready while Redis answers, Discord accepts the bot's token, and it is not stopping. The gateway has its
own service name and does not affect readiness.
"""

import asyncio
import itertools
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
"""Without these services calls fail, so load balancers should use another worker."""

HEALTH_PATHS = frozenset({"/livez", "/healthz", "/readyz"})
"""Targets on the HTTP ports that report health: alive for the first two, ready for the third."""

STARTING = 20
"""Rounds in which a worker starts: its connection to Redis takes some milliseconds more than its port."""

OTHERS_EVERY = 3
"""Rounds between two probes of the other services while they are up; each costs several commands of Redis."""


class HealthServicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc] # the library has no types
    """Serves grpc.health.v1. In the library's servicer, one watcher that does not read blocks all others."""

    def __init__(self) -> None:
        self._statuses: dict[str, Any] = {}
        self._changed = asyncio.Event()

    def set(self, name: str, status: Any) -> None:
        """Set the status of a service."""
        if self._statuses.get(name) != status:
            self._statuses[name] = status
            self._changed.set()  # wakes the current watchers
            self._changed = asyncio.Event()

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Return the status of a service."""
        if request.service not in self._statuses:
            await context.abort(grpc.StatusCode.NOT_FOUND, "Unknown service.")
        return _response(self._statuses[request.service])

    async def List(self, _request: Any, _context: Any) -> Any:  # noqa: N802 - same
        """Return the status of every service."""
        return health_pb2.HealthListResponse(
            statuses={name: _response(status) for name, status in self._statuses.items()}
        )

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802 - same
        """Stream the status of a service, now and after each change."""
        sent = None
        while True:
            changed, status = self._changed, self._statuses.get(request.service, UNKNOWN)
            if status != sent:
                await context.write(_response(status))
                sent = status
            else:
                await changed.wait()


def _response(status: Any) -> Any:
    return health_pb2.HealthCheckResponse(status=status)


class Health:
    """Probes the services of the worker and publishes their state.

    Args:
        probes: by service name; those in `NEEDED` decide about readiness.
        every_s: seconds between two rounds; a fifth of it while the worker is not ready, and less while it starts.
            Services that are not in `NEEDED` are probed in every third round while they are up.
    """

    def __init__(self, probes: Mapping[str, Probe], metrics: Metrics, *, every_s: float = 1.0) -> None:
        self._probes = probes
        self._metrics = metrics
        self._every_s = every_s
        self._servicer = HealthServicer()
        self._states: dict[str, bool] = dict.fromkeys(("", SERVICE.strip("/"), *probes), False)
        self._stopping = False
        for name in self._states:
            self._servicer.set(name, NOT_SERVING)

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler of grpc.health.v1 to add to a gRPC server."""
        servicer, read = self._servicer, health_pb2.HealthCheckRequest.FromString
        respond = health_pb2.HealthCheckResponse.SerializeToString
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Check": grpc.unary_unary_rpc_method_handler(servicer.Check, read, respond),
            "List": grpc.unary_unary_rpc_method_handler(
                servicer.List,
                health_pb2.HealthListRequest.FromString,
                health_pb2.HealthListResponse.SerializeToString,
            ),
            "Watch": grpc.unary_stream_rpc_method_handler(servicer.Watch, read, respond),
        }
        return grpc.method_handlers_generic_handler(health.SERVICE_NAME, methods)

    @property
    def ready(self) -> bool:
        """Whether the worker accepts new calls."""
        return self._states[""] and not self._stopping

    @property
    def stopping(self) -> bool:
        """Whether the worker is stopping."""
        return self._stopping

    @property
    def states(self) -> dict[str, bool]:
        """State by service name; "" is the worker itself."""
        return dict(self._states)

    async def run(self) -> None:
        """Probe until cancelled."""
        for round_number in itertools.count():
            await self.probe(others=round_number % OTHERS_EVERY == 0)
            await asyncio.sleep(self._every_s if self.ready else self._every_s / (50 if round_number < STARTING else 5))

    async def probe(self, *, others: bool = True) -> None:
        """Run the probes once and publish the states.

        Args:
            others: whether to probe services that are up and not in `NEEDED`.
        """
        found: dict[str, bool] = {
            name: await self._run(name, probe)
            for name, probe in self._probes.items()
            if others or name in NEEDED or not self._states[name]
        }
        found[""] = found[SERVICE.strip("/")] = all(found.get(name, True) for name in NEEDED)
        for name, up in found.items():
            if up != self._states[name]:
                log.log(logging.INFO if up else logging.WARNING, "%s is %s", name or "worker", "up" if up else "down")
            self._publish(name, up)

    async def stop_serving(self) -> None:
        """Report NOT_SERVING from now on, whatever the probes return."""
        self._stopping = True
        for name in self._states:
            self._metrics.serving.labels(name or "worker").set(0)
        for name in self._states:
            self._servicer.set(name, NOT_SERVING)

    def _publish(self, name: str, up: bool) -> None:  # noqa: FBT001 - a state, not a switch
        self._states[name] = up
        if not self._stopping:
            self._metrics.serving.labels(name or "worker").set(up)
            self._servicer.set(name, SERVING if up else NOT_SERVING)

    async def _run(self, name: str, probe: Probe) -> bool:
        try:
            return await probe()
        except Exception as error:  # noqa: BLE001 - a failing probe counts as down
            log.debug("probe %s failed: %s", name, type(error).__name__)
            return False
