"""OpenTelemetry traces of calls. The packages of OpenTelemetry are imported only if traces are enabled.

A call's span is a child of the span in its metadata. Spans contain names, numbers and outcomes, never the content of a
message. OpenTelemetry's own variables, such as OTEL_EXPORTER_OTLP_ENDPOINT, configure the exporter.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from discordproxy import __version__
from discordproxy_api.calls.call import STATUS_NUMBERS, Call, Status
from discordproxy_api.calls.errors import AnsweredError, ApiError
from discordproxy_ratelimit.process.trace import Fact, Span, no_trace

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_FAILURES = frozenset({"INTERNAL", "UNKNOWN", "UNAVAILABLE", "DATA_LOSS"})

MISSING = "DISCORDPROXY_TRACES is 'otlp', which requires more packages: pip install 'discordproxy[otel]>=2'"


class TracingUnavailableError(Exception):
    """Traces are enabled, but their packages are not installed; the text contains the command."""


def exporting_provider() -> "TracerProvider":
    """Return a provider that exports spans by OTLP over HTTP; its `shutdown` exports the last ones.

    Raises:
        TracingUnavailableError: OpenTelemetry is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - optional
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - optional
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - optional
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - optional
    except ImportError:
        raise TracingUnavailableError(MISSING) from None
    named = Resource({"service.name": "discordproxy", "service.version": __version__})
    provider = TracerProvider(resource=named.merge(Resource.create()))  # OTEL_SERVICE_NAME takes precedence
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class _Recorded:
    """A span that is recorded."""

    def __init__(self, span: Any) -> None:
        self._span = span

    def record(self, **facts: Fact) -> None:
        """Set attributes; in their names `_` stands for a dot, `__` for an underscore."""
        names = {name: name.replace("__", "\0").replace("_", ".").replace("\0", "_") for name in facts}
        self._span.set_attributes({names[name]: value for name, value in facts.items()})


class Tracing:
    """Records spans.

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
        """Record a part of a call (a `Trace`); work outside of calls is not recorded."""
        if not self._api.get_current_span().get_span_context().is_valid:
            with no_trace(name) as silent:
                yield silent
            return
        with self._tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as span:
            recorded = _Recorded(span)
            recorded.record(**facts)
            yield recorded

    @contextmanager
    def call(self, call: Call, service: str) -> Iterator[None]:
        """Record a call to a gRPC service, as a child of the caller's span if its metadata contain one."""
        with self._tracer.start_as_current_span(
            f"{service}/{call.rpc}",
            context=self._propagator.extract(call.metadata),
            kind=self._api.SpanKind.SERVER,
            attributes={"rpc.system": "grpc", "rpc.service": service, "rpc.method": call.rpc},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            call.trace_id = f"{span.get_span_context().trace_id:032x}"
            status: Status = "OK"
            try:
                yield
            except (ApiError, AnsweredError) as error:
                status = error.status
                raise
            except BaseException as error:
                status = "INTERNAL" if isinstance(error, Exception) else "CANCELLED"
                raise
            finally:
                self._finish(span, call, status)

    def _finish(self, span: Any, call: Call, status: Status) -> None:
        span.set_attribute("rpc.grpc.status_code", STATUS_NUMBERS[status])
        span.set_attribute("discordproxy.app", call.app)
        span.set_attribute("discordproxy.request_id", call.request_id)
        span.set_attribute("discordproxy.sent", call.sent)
        span.set_attribute("discordproxy.requests", call.attempts)
        if status in _FAILURES:
            span.set_status(self._api.StatusCode.ERROR, status)
