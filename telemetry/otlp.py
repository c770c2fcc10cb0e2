"""Spans over OTLP/HTTP through OpenTelemetry's packages: sent in the background, and dropped if that fails.

`OTEL_EXPORTER_OTLP_HEADERS`, `..._TIMEOUT`, `..._CERTIFICATE`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_...` and
`OTEL_RESOURCE_ATTRIBUTES` in the process's environment work as its specification says.
"""

import logging
import time
from collections.abc import Sequence
from threading import Thread
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace import Tracer as OtelTracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from telemetry import conf
from telemetry.span_port import Attributes, Kind, Parent

logger = logging.getLogger(__name__)

CLOSE_SECONDS: Final = 2.0
"""Seconds that shutdown waits for spans to be sent."""

# Seconds between two log lines about dropped spans: an endpoint that is away fails every few seconds.
QUIET_SECONDS: Final = 60.0

ERROR_TYPE: Final = "error.type"
KINDS: Final = {"internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT}


class OtlpTracer:
    """Sends spans to the configured endpoint."""

    def __init__(self) -> None:
        self._ids = _TraceIds()
        about = {"service.name": conf.service_name(), "service.version": conf.version()}
        self._provider = TracerProvider(resource=Resource.create(about), id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(_Exporter(endpoint=conf.traces_endpoint())))
        self._tracer = self._provider.get_tracer("orchestrator", conf.version())
        self._propagator = TraceContextTextMapPropagator()

    @property
    def captures_content(self) -> bool:
        return conf.captures_content()

    def begin(self, name: str, attributes: Attributes, *, trace: int, parent: Parent) -> "OtlpSpan | None":
        # The SDK has no parameter for the id of a new trace: it takes the id from the generator.
        self._ids.trace = trace
        context = self._propagator.extract(parent, Context())
        span = self._tracer.start_span(name, context, attributes=attributes)
        return OtlpSpan(self._tracer, span) if span.is_recording() else None

    def close(self) -> None:
        """Send the remaining spans. The thread ends with the process if this takes too long."""
        # `shutdown` waits for the exporter, which retries while the endpoint is away; the thread is left behind then.
        ending = Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(CLOSE_SECONDS)


class OtlpSpan:
    """A recorded span."""

    def __init__(self, tracer: OtelTracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span

    def child(self, name: str, attributes: Attributes, kind: Kind = "internal") -> "OtlpSpan":
        context = set_span_in_context(self._span, Context())
        return OtlpSpan(self._tracer, self._tracer.start_span(name, context, KINDS[kind], attributes))

    def set(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def end(self, *, error: str = "", at: int | None = None) -> None:
        if error:
            self._span.set_attribute(ERROR_TYPE, error)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end(at)


class _TraceIds(RandomIdGenerator):
    """Generates ids, except that the next trace without a parent gets the id that was set."""

    trace = 0

    def generate_trace_id(self) -> int:
        return self.trace or super().generate_trace_id()


class _Exporter(OTLPSpanExporter):
    """Logs dropped spans now and then; OpenTelemetry's own loggers are silenced."""

    _quiet_until = 0.0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export(spans)
        if result is not SpanExportResult.SUCCESS and time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + QUIET_SECONDS
            logger.warning("traces.unsent", extra={"spans": len(spans)})
        return result
