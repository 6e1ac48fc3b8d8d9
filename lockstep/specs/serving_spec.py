"""`serving.yaml`: what an endpoint serves, where, and within which bounds."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from lockstep.specs.features_spec import FeatureBinding, filled_twice
from lockstep.specs.gateway_spec import Gateway
from lockstep.specs.inference_log_spec import InferenceLogging
from lockstep.specs.loading import validate
from lockstep.specs.routing_spec import Routing
from lockstep.specs.serving_security import ServingSecurity
from lockstep.specs.spec import ModelRef
from lockstep.specs.strict import Strict
from lockstep.specs.tracing_spec import TracingSection


class ServedModel(Strict):
    """One model of the endpoint, named by a spec or by the registry."""

    spec: str | None = Field(None, description="Scoring spec whose model is served, exactly as its runs score.")
    model: ModelRef | None = Field(None, description="Registered model, when there is no spec.")
    alias: str | None = Field(None, min_length=1, description="Serve this alias instead of the spec's.")
    version: int | None = Field(None, ge=1, description="Serve exactly this version; no alias is followed.")
    versions: tuple[int, ...] = Field((), description="Further versions that requests may name.")
    slo_ms: float = Field(1000, gt=0, description="Refused (503) is what would probably be answered later than this.")
    batch_rows: int = Field(65_536, ge=1, description="Most rows of a micro-batch.")
    slice_ms: float = Field(25, gt=0, description="Longest time of a micro-batch of more than one block.")
    waiting_requests: int = Field(1024, ge=1, description="Requests that may wait for the model.")
    lookup: bool = Field(False, description="Answer lookups of the spec's published predictions (`online:` in it).")
    features: tuple[FeatureBinding, ...] = Field((), description="Where inputs come from that requests do not bring.")
    routing: Routing = Field(
        default_factory=Routing, description="Challengers that answer or score along: docs/endpoint-routing.md."
    )

    @model_validator(mode="after")
    def _is_named_once(self) -> Self:
        if (self.spec is None) == (self.model is None):
            raise ValueError("give either 'spec' or 'model'")
        if self.alias is not None and self.version is not None:
            raise ValueError("'alias' and 'version' exclude each other")
        if self.lookup and self.spec is None:
            raise ValueError("'lookup' needs 'spec': that says which table is published, and by which key")
        if (twice := filled_twice(self.features)) is not None:
            raise ValueError(f"'features' names {twice!r} twice")
        if self.spec is not None and self.routing.canary is not None:
            raise ValueError("'routing.canary' is for a model without a spec; a spec has its own: 'trial.canary'")
        if self.version is not None and (self.routing.canary or self.routing.shadows):
            raise ValueError("with 'version' exactly that version is served: 'routing' has nothing to follow")
        return self


class ServingLimits(Strict):
    """Bounds of the whole endpoint."""

    body_mib: int = Field(16, ge=1, description="Largest request body, in MiB.")
    body_timeout_s: float = Field(30, gt=0, description="Longest time for a request body to arrive.")
    arriving_mib: int = Field(
        512, ge=1, description="Most of large bodies that are on their way at a time, in MiB; further ones get 503."
    )
    connections: int = Field(1024, ge=1, description="Open connections; further ones wait to be accepted.")
    idle_s: float = Field(
        75, gt=0, description="Longest time for the head of a request, for the next one, and to take an answer."
    )
    in_progress: int = Field(256, ge=1, description="Requests at a time; further ones get 503.")
    drain_s: float = Field(
        0, ge=0, le=600, description="How long an endpoint that stops fails its readiness, but still answers."
    )
    grace_s: float = Field(30, ge=0, description="Longest wait for running requests when the endpoint stops.")
    stuck_s: float = Field(
        60, gt=0, description="Liveness fails when a micro-batch runs so long beyond its prediction."
    )


class Serving(Strict):
    """An endpoint."""

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65_535, description="Port; 0 takes a free one.")
    grpc_port: int | None = Field(None, ge=0, le=65_535, description="Port of gRPC; 0 takes a free one; none: no gRPC.")
    models: tuple[ServedModel, ...] = Field(min_length=1, description="What is served.")
    default: str | None = Field(None, description="Registered model behind /invocations; none: the only one.")
    workers: int = Field(1, ge=1, le=64, description="Processes behind the port.")
    copies: Literal["each", "one", "auto"] = Field(
        "auto", description="Whether each worker holds the models, or one for all; auto: one when there is a GPU."
    )
    follow_s: float = Field(10, ge=0, description="Seconds between looks whether an alias moved; 0: never.")
    limits: ServingLimits = Field(default_factory=ServingLimits)
    security: ServingSecurity = Field(
        default_factory=ServingSecurity, description="Who may ask, and how: docs/endpoint-security.md."
    )
    log: InferenceLogging | None = Field(None, description="What is kept of answered rows; none: nothing.")
    tracing: TracingSection | None = Field(
        None, description="Where spans of requests go; none: as OpenTelemetry's variables say."
    )
    gateway: Gateway | None = Field(
        None, description="What stands in front of replicas; they ignore it: docs/gateway.md."
    )

    @model_validator(mode="after")
    def _ports_are_shared(self) -> Self:
        if self.workers > 1 and self.grpc_port == 0:
            raise ValueError("'grpc_port' 0 would give each of several workers a port of its own; name one")
        names = [served.spec or (served.model.name if served.model else "") for served in self.models]
        if len(set(names)) < len(names):
            raise ValueError("'models' names one twice; further versions of a model belong into its 'versions'")
        return self


def load_serving(path: Path) -> Serving:
    """Read a `serving.yaml`.

    Raises:
        SpecError: The file is not there, no YAML, or has a wrong field.
    """
    return validate(Serving, path)
