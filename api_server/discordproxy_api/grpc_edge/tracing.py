"""OpenTelemetry traces of calls: the caller's context in, spans out. Nothing of it is imported until it is asked for.

A span tells names, numbers and outcomes, never what a message says. The exporter is set by OpenTelemetry's own
variables, OTEL_EXPORTER_OTLP_ENDPOINT and the like.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import grpc
from grpc import StatusCode
from grpc.aio import AbortError

from discordproxy import __version__
from discordproxy_api.calls.call import CURRENT
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.contract.contract import SERVICE
from discordproxy_api.grpc_edge.interceptors import Kind, Layer
from discordproxy_ratelimit.process.trace import Fact, Span, no_trace

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

MISSING = "DISCORDPROXY_TRACES is 'otlp': that needs more packages: pip install 'discordproxy[otel]>=2'"


class TracingUnavailableError(Exception):
    """Traces were asked for, but their packages are not installed; the text says how."""


def exporting() -> "TracerProvider":
    """Return a provider that sends spans by OTLP over HTTP; its `shutdown` sends the last ones.

    Raises:
        TracesMissing: OpenTelemetry is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - optional
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - optional
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - optional
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - optional
    except ImportError:
        raise TracingUnavailableError(MISSING) from None
    named = Resource({"service.name": "discordproxy", "service.version": __version__})
    provider = TracerProvider(resource=named.merge(Resource.create()))  # OTEL_SERVICE_NAME wins
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class _Recorded:
    """A span that somebody listens to."""

    def __init__(self, span: Any) -> None:
        self._span = span

    def record(self, **facts: Fact) -> None:
        """Note facts; in their names `_` stands for a dot, `__` for itself."""
        names = {name: name.replace("__", "\0").replace("_", ".").replace("\0", "_") for name in facts}
        self._span.set_attributes({names[name]: value for name, value in facts.items()})


class Tracing:
    """Makes spans.

    Args:
        provider: of OpenTelemetry; closed by the caller.
    """

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry import trace  # noqa: PLC0415 - optional
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - same

        self._api = trace
        self._tracer = provider.get_tracer("discordproxy", __version__)
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def part(self, name: str, /, **facts: Fact) -> Iterator[Span]:
        """Time a part of a call (a `Trace`); what happens outside of calls is not recorded."""
        if not self._api.get_current_span().get_span_context().is_valid:
            with no_trace(name) as silent:
                yield silent
            return
        with self._tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as span:
            recorded = _Recorded(span)
            recorded.record(**facts)
            yield recorded

    @contextmanager
    def call(self, name: str, metadata: dict[str, str]) -> Iterator[Callable[[str], None]]:
        """Time a call as a child of the caller's span, if its metadata name one.

        Yields:
            What to call with the name of the gRPC status in the end.
        """
        parent = self._propagator.extract(metadata)
        service, _, method = name.strip("/").rpartition("/")
        with self._tracer.start_as_current_span(
            name.strip("/"),
            context=parent,
            kind=self._api.SpanKind.SERVER,
            attributes={"rpc.system": "grpc", "rpc.service": service, "rpc.method": method},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            current = CURRENT.get()
            current.trace_id = f"{span.get_span_context().trace_id:032x}"

            def ended(status: str) -> None:
                span.set_attribute("rpc.grpc.status_code", StatusCode[status].value[0])
                span.set_attribute("discordproxy.app", current.app)
                span.set_attribute("discordproxy.request_id", current.request_id)
                span.set_attribute("discordproxy.sent", current.sent)
                span.set_attribute("discordproxy.requests", current.attempts)
                if status in {"INTERNAL", "UNKNOWN", "UNAVAILABLE", "DATA_LOSS"}:
                    span.set_status(self._api.StatusCode.ERROR, status)

            yield ended


class Traces(Layer):
    """Puts a span around each call of the service."""

    def __init__(self, tracing: Tracing) -> None:
        super().__init__()
        self._tracing = tracing

    @asynccontextmanager
    async def around(self, kind: Kind, context: Any) -> AsyncIterator[None]:
        """Serve one call; see `Layer.around`."""
        if not kind.method.startswith(SERVICE):
            yield
            return
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        with self._tracing.call(kind.method, metadata) as ended:
            status = StatusCode.OK
            try:
                yield
            except ApiError as error:
                status = error.status
                raise
            except AbortError:
                status = _status_of(context)
                raise
            except BaseException as error:
                status = StatusCode.INTERNAL if isinstance(error, Exception) else StatusCode.CANCELLED
                raise
            finally:
                ended(status.name)


def _status_of(context: Any) -> StatusCode:
    code = context.code()
    return code if isinstance(code, grpc.StatusCode) else StatusCode.UNKNOWN
