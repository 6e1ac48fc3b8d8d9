"""What the owner tells of a version that it holds, and of what it serves."""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from lockstep.run.plan import ModelIdentity
from lockstep.scoring.certificate import Certificate
from lockstep.scoring.signature import Signature
from lockstep.serving.fleet import ModelSlot
from lockstep.serving.lane_limits import LaneLimits
from lockstep.serving.trace import Trace
from lockstep.serving.versions import LoadedVersion
from lockstep.serving.workers.board import Wanted


@dataclasses.dataclass(frozen=True)
class HeldModel:
    """A model that another process holds.

    Attributes:
        signature: What it takes and gives.
        certificate: What the bits of its scores rest on.
    """

    signature: Signature
    certificate: Certificate


@dataclasses.dataclass(frozen=True)
class HeldVersion:
    """A version that another process holds.

    Attributes:
        identity: What it is, with the inputs that the model itself takes.
        model: The model.
        limits: Of its lane.
        parameters: Defaults of its parameters.
    """

    identity: ModelIdentity
    model: HeldModel
    limits: LaneLimits
    parameters: Mapping[str, Any]


def tell_version(version: LoadedVersion) -> dict[str, Any]:
    """Return what a header says of a version."""
    signature = version.scorer.signature
    identity = version.identity.model_copy(update={"inputs": signature.inputs, "outputs": signature.outputs})
    return {
        "identity": identity.model_dump(mode="json"),
        "certificate": dataclasses.asdict(version.scorer.certificate),
        "limits": dataclasses.asdict(version.lane.limits),
        "parameters": dict(version.parameters),
    }


def read_version(told: Mapping[str, Any]) -> HeldVersion:
    """Read what `tell_version` wrote."""
    identity = ModelIdentity.model_validate(told["identity"])
    sizes = {shape: tuple(rows) for shape, rows in told["certificate"]["sizes"].items()}
    certificate = Certificate(**{**told["certificate"], "sizes": sizes})
    model = HeldModel(Signature(identity.inputs, identity.outputs), certificate)
    return HeldVersion(identity, model, LaneLimits(**told["limits"]), told["parameters"])


def find_held(slot: ModelSlot, version: int | None, *, digest: str | None = None) -> LoadedVersion | None:
    """Return a loaded version of a model, whoever it answers or scores along for.

    Args:
        slot: The model.
        version: Its number; none: the one that answers now.
        digest: What it must have, when that is known.
    """
    if version is None:
        return slot.current
    every = [*slot.versions, *(slot.arms.along if slot.arms is not None else ())]
    return next((v for v in every if v.identity.version == version and digest in {None, v.identity.digest}), None)


def tell_wanted(slot: ModelSlot, passed_over: str | None) -> dict[str, Any]:
    """Return what a header says of what a model is to serve."""
    return dataclasses.asdict(Wanted(slot.current.identity.version if slot.current is not None else None, passed_over))


def tell_trace(trace: Trace) -> dict[str, Any]:
    """Return what the inference log is to know of a request; its age, as clocks of two processes may differ."""
    return {
        "request_id": trace.request_id,
        "edge": trace.edge,
        "model": trace.model,
        "version": trace.version,
        "arm": trace.arm,
        "client": trace.client,
        "age_s": time.perf_counter() - trace.began,
    }


def read_trace(told: Mapping[str, Any]) -> Trace:
    """Read what `tell_trace` wrote."""
    return Trace(
        told["request_id"],
        edge=told["edge"],
        model=told["model"],
        version=told["version"],
        arm=told["arm"],
        client=told["client"],
        began=time.perf_counter() - told["age_s"],
    )
