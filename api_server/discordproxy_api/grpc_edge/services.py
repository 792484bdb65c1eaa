"""The services of a worker's gRPC port, each behind a pipeline with its own bounds."""

import logging
from collections.abc import Mapping
from typing import Any

import grpc
from grpc_health.v1 import health as health_service

from discordproxy_api.access.authenticator import Authenticator
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.tracing import Tracing
from discordproxy_api.contract.contract import SERVICE, Rpc
from discordproxy_api.grpc_edge.handlers import Bot, GrpcAdapter
from discordproxy_api.grpc_edge.reflection import CONSOLE, reflection_handlers
from discordproxy_api.pipeline.access_log import AccessLog
from discordproxy_api.pipeline.admission import (
    CHECKS,
    OTHERS,
    REFLECTIONS,
    WATCHES,
    KeyedAdmission,
    KeylessAdmission,
)
from discordproxy_api.pipeline.authentication import Authentication
from discordproxy_api.pipeline.pipeline import CallPipeline, TracedPipeline
from discordproxy_api.pipeline.receiving.uploads import UploadLimits, Uploads

KEYLESS_UPLOADS = UploadLimits(message_bytes=4096, arriving=64, slow=4, prompt_s=0.05, receive_timeout_s=5.0)
"""For health, reflection and console, whose largest request contains a name. gRPC has one maximum size for all methods,
so each request that arrives may take that much memory until it is refused. A regular one arrives with its call. Callers
without a key are one application here, which gets half of the places for slow ones."""


def grpc_services(
    contract: Mapping[str, Rpc],
    bots: Mapping[str, Bot],
    *,
    health: grpc.GenericRpcHandler,
    console: grpc.GenericRpcHandler,
    reflection: bool,
    admission: KeyedAdmission,
    uploads: Uploads,
    authenticator: Authenticator,
    certificates: bool,
    audited: bool,
    drain: Drain,
    metrics: Metrics,
    tracing: Tracing | None,
) -> list[grpc.GenericRpcHandler]:
    """Return the handlers of all services, the contract's first: gRPC searches them in this order.

    Admission and uploads are those of the contract's service; the others have small bounds of their own.
    """
    adapter = GrpcAdapter(drain, certificates=certificates)
    keyless_uploads = Uploads(KEYLESS_UPLOADS, drain=drain, metrics=metrics)
    keyless_log = AccessLog(metrics, level=logging.DEBUG, in_status=False)
    keyed = Authentication(authenticator, {})
    name = SERVICE.strip("/")

    api_parts: dict[str, Any] = {
        "access_log": AccessLog(metrics, audited=audited),
        "authentication": Authentication(authenticator, contract, audited=audited),
        "admission": admission,
        "drain": drain,
    }
    api = CallPipeline(**api_parts) if tracing is None else TracedPipeline(tracing, name, **api_parts)

    def guarded(
        handler: grpc.GenericRpcHandler, bounds: KeylessAdmission, authentication: Authentication | None = keyed
    ) -> grpc.GenericRpcHandler:
        pipeline = CallPipeline(access_log=keyless_log, authentication=authentication, admission=bounds, drain=drain)
        return adapter.guarded(handler, pipeline, keyless_uploads)

    handlers = [
        adapter.discord_api(contract, api, uploads, bots),
        guarded(health, KeylessAdmission(CHECKS, WATCHES), None),  # load balancers have no key
        guarded(console, KeylessAdmission(OTHERS)),
    ]
    if reflection:
        reflected = KeylessAdmission(REFLECTIONS)
        names = (name, CONSOLE, health_service.SERVICE_NAME)
        handlers += [guarded(handler, reflected) for handler in reflection_handlers(names)]
    return handlers
