"""Settings of an API worker."""

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from typing_extensions import Self

from discordproxy_api.route_patterns import checked_route
from discordproxy_ratelimit.settings import SharedSettings

MIB = 1024 * 1024

Seconds = Annotated[float, Field(ge=0, le=1_000_000)]
"""gRPC counts milliseconds in 32 bits."""

Timeout = Annotated[float, Field(ge=0.01, le=86_400)]
Positive = Annotated[int, Field(ge=1, le=2**31 - 1)]
Memory = Annotated[int, Field(ge=1, le=2**50)]
RoutePattern = Annotated[str, AfterValidator(checked_route)]

MAX_WORKERS = 10_000
MAX_PORT = 65_535

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$)({_LABEL}\.)*(?!\d+\.?$){_LABEL}\.?")

HONCHO = "HONCHO_PROCESS_NAME"
"""Set by honcho, which kills processes five seconds after the stop signal."""


def default_drain_timeout_s() -> float:
    """Return the default drain timeout: below the time after which honcho kills."""
    return 4.0 if os.environ.get(HONCHO) else 30.0


def default_worker() -> int:
    """Return this worker's number under honcho, whose first process is "api.1"; 0 elsewhere."""
    number = os.environ.get(HONCHO, "").rpartition(".")[2]
    return int(number) - 1 if number.isdigit() and int(number) else 0


def _host(value: str) -> str:
    """Return an address without brackets, or a host name in lower case."""
    host = value.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not _HOST_NAME.fullmatch(host.lower()):
            raise ValueError(
                "an address of this machine is needed, such as 127.0.0.1, 0.0.0.0 or ::, or its host name; the port is "
                "a setting of its own, DISCORDPROXY_PORT"
            ) from None
        return host.lower()
    return host


class ApiSettings(SharedSettings):
    """Settings of an API worker; units are in the descriptions."""

    traces: Literal["off", "otlp"] = Field(
        "off", description="OpenTelemetry traces; otlp sends them to OTEL_EXPORTER_OTLP_ENDPOINT"
    )

    host: Annotated[str, AfterValidator(_host)] = Field("127.0.0.1", description="listening address of gRPC and HTTP")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(50051, description="port for gRPC; 0: any free port")
    http_port: Annotated[int, Field(ge=0, le=65535)] | None = Field(
        None,
        description="HTTP port (status page, /metrics, /readyz) of the first worker; the next ones follow; unset: none",
    )
    rest_port: Annotated[int, Field(ge=0, le=65535)] | None = Field(
        None,
        description="port of Discord's own HTTP API, for any Discord library, shared by all workers; 50052 is usual; "
        "unset: none",
    )
    rest_max_wait: Annotated[float, Field(ge=0, le=1500)] = Field(
        8.0,
        description="longest wait of a request to the REST port for a rate limit, in seconds, unless it states "
        "another; libraries give up after 10 s or more",
    )
    rest_limit_headers: Literal["own", "discord", "none"] = Field(
        "own",
        description="X-RateLimit headers of the REST port: own ones that never stop a library, Discord's, or none",
    )
    rest_hosts: tuple[str, ...] = Field(
        (),
        description="JSON list of host names of the REST port besides localhost and addresses, if no key is required",
    )
    worker: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default_factory=default_worker,
        description="number of this worker on its machine, from 0; set by discordproxyserver or honcho",
    )
    reflection: bool = Field(default=True, description="whether gRPC reflection is available")
    allow_anonymous: bool = Field(
        default=False,
        description="whether to listen on a network address without authentication; anyone there can use the bot",
    )
    keys_file: Path | None = Field(
        None, description="TOML file with the API keys of applications and their permissions; unset: no key is required"
    )
    tls_cert: Path | None = Field(
        None, description="PEM file with the certificate and its chain; enables TLS for gRPC and HTTP"
    )
    tls_key: Path | None = Field(
        None, description="PEM file with the private key of the certificate, without passphrase"
    )
    tls_client_ca: Path | None = Field(
        None, description="PEM file with the CA certificates for client certificates; unset: no client certificates"
    )
    audit: bool | None = Field(
        None,
        description="whether calls that may change something are logged in the audit log; unset: with authentication",
    )
    audit_content: bool = Field(
        default=False, description="whether the audit log contains message content, which may be private"
    )

    http_timeout: Timeout = Field(
        30.0, description="timeout of a request to Discord in seconds; longer for uploads, by size"
    )
    connect_timeout: Timeout = Field(5.0, description="timeout of a new connection to Discord in seconds")
    retries: Annotated[int, Field(ge=0, le=20)] = Field(
        4, description="maximum number of retries of a request to Discord, if a retry is safe"
    )
    degraded: Literal["refuse", "local"] = Field(
        "refuse",
        description="if Redis is unavailable: refuse calls, or continue in degraded mode at a reduced rate (local)",
    )
    workers: Annotated[int, Field(ge=1, le=MAX_WORKERS)] = Field(
        1, description="number of API workers; in degraded mode they divide the limits"
    )

    max_calls: Positive = Field(
        12_000, description="maximum number of concurrent calls of a worker, including waiting ones"
    )
    max_calls_per_app: Positive = Field(
        10_000, description="maximum number of concurrent calls of one application in a worker"
    )
    max_connections: Positive = Field(
        10_000, description="maximum number of client connections of a worker, for each of its ports"
    )
    max_streams: Positive = Field(1_000, description="maximum number of event streams of a worker")
    max_streams_per_app: Positive = Field(
        100, description="maximum number of event streams of one application in a worker"
    )
    event_heartbeat: Annotated[float, Field(ge=0.05, le=300)] = Field(
        15.0, description="seconds without events after which a subscriber gets a heartbeat"
    )
    event_stream_life: Annotated[float, Field(ge=1, le=1_000_000)] = Field(
        3_600.0, description="maximum age of an event stream in seconds, so that load balancers can move it"
    )
    event_patience: Annotated[float, Field(ge=1, le=1_000_000)] = Field(
        60.0, description="seconds after which the stream of a subscriber that does not read is ended"
    )
    max_message_bytes: Positive = Field(32 * MIB, description="maximum size of a request in bytes")
    max_upload_bytes: Memory = Field(
        96 * MIB,
        description="memory of a worker for requests larger than 256 KiB, in bytes; further ones wait or are refused",
    )
    max_answer_bytes: Annotated[int, Field(gt=0, le=48 * MIB)] = Field(
        8 * MIB, description="maximum size of a response of Discord in bytes; at most 50331648 (48 MiB)"
    )
    cache_max_age: Seconds = Field(
        60.0, description="maximum age in seconds of cached answers; older ones are read from Discord; 0: no caching"
    )
    idempotency_ttl: Annotated[float, Field(ge=1, le=100_000_000)] = Field(
        86_400.0, description="seconds for which results of idempotency keys are kept"
    )

    idempotency_bytes: Memory = Field(
        128 * MIB, description="memory in Redis for idempotency keys and results of one application, in bytes"
    )

    users_only_mentions: bool = Field(
        default=False,
        description="whether messages without allowed_mentions can mention only users, not roles and everyone",
    )
    request_allow: tuple[RoutePattern, ...] = Field(
        (),
        description='JSON list of routes ("GET /guilds/{guild_id}/audit-logs") that Request may use; * matches '
        "anything; empty: all",
    )
    request_deny: tuple[RoutePattern, ...] = Field((), description="JSON list of routes that Request may not use")

    drain_timeout: Seconds = Field(
        default_factory=default_drain_timeout_s,
        description="seconds in which a stopping worker finishes its calls (default: 30, under honcho 4)",
    )
    lame_duck: Seconds = Field(
        0.0,
        description="seconds in which a stopping worker accepts calls, for load balancers; part of the drain timeout",
    )
    keepalive: Seconds = Field(
        60.0,
        description="seconds without traffic after which a client connection is checked by a ping; 0: never",
    )
    max_connection_age: Seconds = Field(
        0.0,
        description="seconds after which clients must reconnect, so that L4 load balancers can move them; calls in "
        "progress are finished; 0: never",
    )

    @model_validator(mode="after")
    def _tls_is_complete(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            missing = "DISCORDPROXY_TLS_KEY" if self.tls_key is None else "DISCORDPROXY_TLS_CERT"
            raise ValueError(f"{missing} is not set: certificate and private key are required together")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ValueError("DISCORDPROXY_TLS_CLIENT_CA requires DISCORDPROXY_TLS_CERT and DISCORDPROXY_TLS_KEY")
        return self

    @model_validator(mode="after")
    def _rest_port_requires_keys(self) -> Self:
        if self.rest_port is not None and self.tls_client_ca is not None and self.keys_file is None:
            raise ValueError(
                "DISCORDPROXY_REST_PORT requires DISCORDPROXY_KEYS_FILE beside DISCORDPROXY_TLS_CLIENT_CA: only gRPC "
                "requests client certificates, so anyone could use this port"
            )
        return self

    @model_validator(mode="after")
    def _drain_outlasts_the_lame_duck(self) -> Self:
        if self.lame_duck and self.lame_duck >= self.drain_timeout:
            raise ValueError(
                f"DISCORDPROXY_LAME_DUCK is {self.lame_duck:g}: it is a part of DISCORDPROXY_DRAIN_TIMEOUT, which is "
                f"{self.drain_timeout:g}, and would leave no time to finish calls"
            )
        return self

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        pages = range(self.http_port, self.http_port + max(self.workers, self.worker + 1)) if self.http_port else ()
        if pages and pages[-1] > MAX_PORT:
            raise ValueError(
                f"DISCORDPROXY_HTTP_PORT is {self.http_port}: the workers' HTTP ports, one each from there on, "
                f"would end at {pages[-1]}; the highest port is {MAX_PORT}"
            )
        for port, use, variable in ((self.port, "gRPC", "PORT"), (self.rest_port, "Discord's API", "REST_PORT")):
            if port in pages:
                raise ValueError(
                    f"DISCORDPROXY_HTTP_PORT is {self.http_port}: the workers' HTTP ports, one each from there on, "
                    f"include {port}, the port for {use}; set another port there or in DISCORDPROXY_{variable}"
                )
        if self.rest_port and self.rest_port == self.port:  # workers share both, so both could listen
            raise ValueError(
                f"DISCORDPROXY_REST_PORT is {self.rest_port}, the port for gRPC; set another port there or in "
                "DISCORDPROXY_PORT"
            )
        return self

    @property
    def audited(self) -> bool:
        """Whether there is an audit log."""
        return self.authenticates_callers if self.audit is None else self.audit

    @property
    def authenticates_callers(self) -> bool:
        """Whether a key or a client certificate is required."""
        return self.keys_file is not None or self.tls_client_ca is not None
