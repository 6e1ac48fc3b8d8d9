"""Tracing as it is configured: by `tracing:` in a `serving.yaml`, by OpenTelemetry's own variables, or not at all."""

import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lockstep import __version__
from lockstep.specs.tracing_spec import TracingSection

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from lockstep.serving.tracing.tracing import Tracing

SERVICE = "lockstep"
PATH = "/v1/traces"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SPOKEN = "http/protobuf"
# Of OpenTelemetry's batch processor, with its variables and its defaults.
WAITING = ("OTEL_BSP_MAX_QUEUE_SIZE", 2048)
BATCH = ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)
DELAY_MS = ("OTEL_BSP_SCHEDULE_DELAY", 5000)

_log = logging.getLogger("lockstep.serving")


def build_tracing(section: TracingSection | None, environ: Mapping[str, str] = os.environ) -> "Tracing | None":
    """Build the tracing of an endpoint process; nothing of OpenTelemetry is imported when there is none.

    Args:
        section: Of a `serving.yaml`; what it says wins over variables.
        environ: Usually `os.environ`, where OpenTelemetry's SDK itself looks for the rest.

    Returns:
        None when nobody asked for it, or it is switched off.
    """
    if not is_wanted(section, environ):
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExportResult

    from lockstep.serving.tracing.export import SpanWriter
    from lockstep.serving.tracing.tracing import SpanMaker, Tracing

    provider = _provider(section, environ)
    endpoint = section.endpoint.rstrip("/") + PATH if section is not None and section.endpoint is not None else None
    exporter = OTLPSpanExporter(endpoint=endpoint)

    def send(spans: "Sequence[ReadableSpan]") -> bool:
        return exporter.export(spans) is SpanExportResult.SUCCESS

    writer = SpanWriter(
        SpanMaker(provider).spans_of,
        send,
        waiting=_number(environ, *WAITING),
        batch=_number(environ, *BATCH),
        every_s=_number(environ, *DELAY_MS) / 1000,
        end=exporter.shutdown,
    )
    return Tracing(provider, writer)


def is_wanted(section: TracingSection | None, environ: Mapping[str, str]) -> bool:
    """Return whether spans are to be exported; say in the log why not, where somebody seems to want them."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if section is None and not any(environ.get(name) for name in ENDPOINTS):
        return False
    exporters = environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    if "otlp" not in (each.strip() for each in exporters.split(",")):
        return False
    protocol = next((environ[name] for name in PROTOCOLS if environ.get(name)), SPOKEN)
    if protocol != SPOKEN:
        _log.warning(
            "no spans are sent: OpenTelemetry's variables ask for %s, the endpoint speaks %s", protocol, SPOKEN
        )
        return False
    return True


def _provider(section: TracingSection | None, environ: Mapping[str, str]) -> Any:
    """Return OpenTelemetry's provider, by its own variables where the section says nothing."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    named: dict[str, str | int] = {"service.version": __version__, "process.pid": os.getpid()}
    by_variable = environ.get("OTEL_SERVICE_NAME") or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if section is not None and section.service is not None:
        named["service.name"] = section.service
    elif not by_variable:
        named["service.name"] = SERVICE
    sampler = None
    if section is not None and section.ratio is not None:
        sampler = ParentBased(TraceIdRatioBased(section.ratio))
    return TracerProvider(sampler=sampler, resource=Resource.create(named), shutdown_on_exit=False)


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and int(text) else default
