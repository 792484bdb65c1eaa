"""Settings of an API worker: names, defaults, units. Read in `__main__` only."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator
from typing_extensions import Self

from discordproxy_ratelimit.settings import SharedSettings

MIB = 1024 * 1024

Seconds = Annotated[float, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]

HONCHO = "HONCHO_PROCESS_NAME"
"""honcho sets it; it kills what has not ended after 5 seconds."""


def default_drain_timeout_s() -> float:
    """Return how long a stopping worker may take with its calls: less than its launcher grants."""
    return 4.0 if os.environ.get(HONCHO) else 30.0


def default_worker() -> int:
    """Return this worker's number under honcho, which calls the first one "api.1"; 0 elsewhere."""
    number = os.environ.get(HONCHO, "").rpartition(".")[2]
    return int(number) - 1 if number.isdigit() and int(number) else 0


class ApiSettings(SharedSettings):
    """What an API worker can be told."""

    traces: Literal["off", "otlp"] = Field(
        "off", description="OpenTelemetry traces of calls; otlp sends them to OTEL_EXPORTER_OTLP_ENDPOINT"
    )

    host: str = Field("127.0.0.1", description="address that gRPC and HTTP listen on")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(50051, description="port for gRPC; 0 takes any free one")
    http_port: Annotated[int, Field(ge=0, le=65535)] | None = Field(
        None,
        description="port of status page, /metrics, /readyz of the first worker, the next for the second; unset: none",
    )
    worker: Annotated[int, Field(ge=0)] = Field(
        default_factory=default_worker,
        description="number of this worker on its machine, from 0; set by the launcher",
    )
    reflection: bool = Field(default=True, description="whether gRPC reflection describes the service to tools")
    allow_anonymous: bool = Field(
        default=False,
        description="whether to listen beyond this machine although anybody who connects may then use the bot",
    )
    keys_file: Path | None = Field(
        None, description="TOML file of the applications' keys and what each may do; unset: nobody needs a key"
    )
    tls_cert: Path | None = Field(
        None, description="PEM file of the certificate and its chain: gRPC and HTTP are then encrypted"
    )
    tls_key: Path | None = Field(None, description="PEM file of the certificate's private key, without passphrase")
    tls_client_ca: Path | None = Field(
        None, description="PEM file of the authorities whose client certificates are asked for; unset: of nobody"
    )
    audit: bool | None = Field(
        None,
        description="whether each writing call leaves a line in the audit log; unset: if callers show who they are",
    )
    audit_content: bool = Field(
        default=False, description="whether the audit log also shows the text that is written; it may be private"
    )

    http_timeout: Seconds = Field(30.0, description="seconds a request to Discord may take, uploads more by size")
    connect_timeout: Seconds = Field(5.0, description="seconds a new connection to Discord may take")
    retries: Annotated[int, Field(ge=0, le=20)] = Field(
        4, description="how often a request that got no usable answer is repeated, where that is harmless"
    )
    global_limit: Positive = Field(50, description="requests per second Discord grants this bot; more for large bots")
    degraded: Literal["refuse", "local"] = Field(
        "refuse", description="while Redis is away: refuse calls, or let each worker go on alone at a careful pace"
    )
    egress: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,40}$")] = Field(
        "default",
        description="name of the address this machine reaches Discord from; machines behind one address share its "
        "budget of invalid requests",
    )
    workers: Positive = Field(1, description="how many API workers run; shares the limits while Redis is away")

    max_calls: Positive = Field(12_000, description="calls a worker serves at once, waiting ones included")
    max_calls_per_app: Positive = Field(10_000, description="calls of one application a worker serves at once")
    max_connections: Positive = Field(10_000, description="connections of callers a worker holds at once")
    max_streams: Positive = Field(1_000, description="event streams a worker serves at once")
    max_streams_per_app: Positive = Field(100, description="event streams of one application a worker serves at once")
    event_heartbeat: Annotated[float, Field(ge=0.05, le=300)] = Field(
        15.0, description="seconds after which a subscriber without events gets a heartbeat"
    )
    event_stream_life: Annotated[float, Field(ge=1)] = Field(
        3_600.0, description="seconds after which an event stream ends so that balancers can place it anew"
    )
    event_patience: Annotated[float, Field(ge=1)] = Field(
        60.0, description="seconds a subscriber may take no event before its stream is cut"
    )
    max_message_bytes: Positive = Field(32 * MIB, description="bytes of the largest request a worker receives")
    max_upload_bytes: Positive = Field(
        96 * MIB, description="bytes of requests larger than 256 KiB a worker holds at once; others wait or are refused"
    )
    max_answer_bytes: Annotated[int, Field(gt=0, le=48 * MIB)] = Field(
        8 * MIB, description="bytes of the largest answer of Discord that is read; 50331648 (48 MiB) at most"
    )
    cache_max_age: Seconds = Field(
        60.0, description="seconds since the gateway was last known to be current; older reads ask Discord, 0: all do"
    )
    idempotency_ttl: Seconds = Field(86_400.0, description="seconds the result of an idempotency key is kept")

    idempotency_bytes: Positive = Field(
        128 * MIB, description="bytes of Redis that idempotency keys and results of one application may take"
    )

    users_only_mentions: bool = Field(
        default=False,
        description="whether messages without allowed_mentions may ping users only, not roles and everyone",
    )
    request_allow: tuple[str, ...] = Field(
        (), description='JSON list of routes ("GET /guilds/{guild_id}/audit-logs") RPC Request may use; empty: all'
    )
    request_deny: tuple[str, ...] = Field((), description="JSON list of routes that the RPC Request may not use")

    drain_timeout: Seconds = Field(
        default_factory=default_drain_timeout_s,
        description="seconds a stopping worker gives its calls (default: 30, under honcho 4)",
    )
    lame_duck: Seconds = Field(
        0.0,
        description="seconds a stopping worker still takes calls, so that balancers notice; part of the drain timeout",
    )
    keepalive: Seconds = Field(
        60.0,
        description="seconds of silence after which a caller is asked for a sign of life; 0: never",
    )
    max_connection_age: Seconds = Field(
        0.0,
        description="seconds after which callers are asked to connect anew, so that a balancer of connections can move "
        "them; calls under way are finished; 0: never",
    )

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            missing = "DISCORDPROXY_TLS_KEY" if self.tls_key is None else "DISCORDPROXY_TLS_CERT"
            raise ValueError(f"{missing} is not set: a certificate and its key are needed together")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ValueError("DISCORDPROXY_TLS_CLIENT_CA needs DISCORDPROXY_TLS_CERT and DISCORDPROXY_TLS_KEY")
        return self

    @property
    def audited(self) -> bool:
        """Whether there is an audit log."""
        return self.knows_callers if self.audit is None else self.audit

    @property
    def knows_callers(self) -> bool:
        """Whether callers have to show who they are."""
        return self.keys_file is not None or self.tls_client_ca is not None
