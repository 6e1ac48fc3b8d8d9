"""The `tracing:` section of a `serving.yaml`: where spans of requests go."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from lockstep.specs.fields import without_credentials
from lockstep.specs.strict import Strict


def _receiver(value: str) -> str:
    parts = urlsplit(without_credentials(value))
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("must be an address such as http://collector:4318, without user, query and fragment")
    return value


class TracingSection(Strict):
    """Spans of requests, over OTLP; what is left out is as OpenTelemetry's variables have it."""

    endpoint: Annotated[str, AfterValidator(_receiver)] | None = Field(
        None, description="Receiver of OTLP over HTTP, without /v1/traces; none: as the variables say."
    )
    ratio: float | None = Field(
        None, ge=0, le=1, description="Share of requests that are traced when they come without a trace."
    )
    service: str | None = Field(None, min_length=1, description="What the endpoint is called in traces.")
