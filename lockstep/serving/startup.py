"""What happens once, before the first request: resolve, fetch, load, warm up."""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

import orjson
import pyarrow as pa

from lockstep.errors import ArtifactInvalid, RequestInvalid
from lockstep.registry.artifact import read_artifact
from lockstep.registry.cache import fetch_artifact
from lockstep.registry.environment import require_environment
from lockstep.registry.loading import load_scorer
from lockstep.registry.resolve import resolve_model
from lockstep.run.plan import ModelIdentity
from lockstep.scoring.backends import Execution
from lockstep.scoring.signature import described
from lockstep.serving.data_plane import DataPlane, Limits, Question, ServedModel, Trace
from lockstep.serving.errors import RowsUnscorable
from lockstep.serving.formats import decode_json
from lockstep.serving.metrics import Metrics
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ModelRef

log = logging.getLogger(__name__)

# Bodies are small, so that they are decoded and scored as a lone request is; the batch goes through the thread.
WARM_UP_ROUNDS = 3
WARM_UP_BLOCKS = 2


@dataclass(frozen=True)
class LoadedModel:
    """A served model and its own input example.

    Attributes:
        served: What the endpoint answers with.
        example: The stored example, a data frame in split orientation as JSON; none when the model came without.
    """

    served: ServedModel
    example: bytes | None


def load_model(
    settings: Settings, name: str, *, alias: str | None, version: int | None, declared: ModelRef | None = None
) -> LoadedModel:
    """Resolve a registered model once, fetch it into the node cache and load it.

    Args:
        settings: Where things are.
        name: Registered model.
        alias: To resolve when no version is given.
        version: Exact version.
        declared: What the spec says of precision and libraries; none: float32, and a warning when libraries differ.

    Raises:
        RegistryError: The registry cannot give it, it cannot be loaded, or it takes what no request can hold.
        PrecisionRefused: The spec's reduced precision moves the scores too far.
    """
    identity = resolve_model(settings.tracking_uri, name, alias=alias, version=version)
    refuse_tensor_inputs(identity)
    path = fetch_artifact(identity, settings.cache_root)
    declared = declared or ModelRef(name=name)
    title = f"{identity.name} version {identity.version}"
    require_environment(path, declared.environment, title=title)
    served = ServedModel(identity, load_scorer(path, execution=_execution(path, declared, title=title)))
    relative = read_artifact(path, model=identity.name).input_example
    stored = path / relative if relative is not None else None
    return LoadedModel(served, stored.read_bytes() if stored is not None and stored.is_file() else None)


def _execution(path: Path, declared: ModelRef, *, title: str) -> Execution:
    """Return how the batch scores too; reduced precision is measured first, as it is when a run is planned."""
    execution = Execution(precision=declared.precision)
    if declared.precision != "float32":
        from lockstep.registry.precision import measure_precision

        measured = measure_precision(path, execution, title=title, limit=declared.max_precision_difference)
        log.info("%s moves scores by up to %.3g (%s)", measured.precision, measured.max_difference, measured.source)
    return execution


def refuse_tensor_inputs(identity: ModelIdentity) -> None:
    """Raise `ArtifactInvalid` for a model whose input is a tensor, which requests cannot hold yet."""
    tensors = [f"{column.name!r} is a {described(column)}" for column in identity.inputs if column.shape is not None]
    if tensors:
        title = f"{identity.name} version {identity.version}"
        problem = f"the endpoint takes columns of plain values, but input {', '.join(tensors)}; score it in batch"
        raise ArtifactInvalid(title, problem)


def build_plane(loaded: LoadedModel, limits: Limits) -> DataPlane:
    """Build the data plane of a loaded model."""
    return DataPlane(loaded.served, metrics=Metrics.create(loaded.served.identity), limits=limits)


def warm_up(loaded: LoadedModel) -> None:
    """Score the model's own example through every path, so that the first request is as fast as the next.

    A model without an example gets a row of nulls, which it may refuse.

    Raises:
        ArtifactInvalid: The model cannot score its own example.
    """
    try:
        asyncio.run(_score_both_ways(loaded))
    except (RowsUnscorable, RequestInvalid) as error:
        if loaded.example is not None:
            identity = loaded.served.identity
            title = f"{identity.name} version {identity.version}"
            raise ArtifactInvalid(title, f"it does not score its own input example: {error}") from error


async def _score_both_ways(loaded: LoadedModel) -> None:
    signature = loaded.served.scorer.signature
    nulls = orjson.dumps({"columns": signature.schema.names, "data": [[None] * len(signature.inputs)]})
    body = b'{"dataframe_split":' + (loaded.example or nulls) + b"}"
    plane = build_plane(loaded, Limits())
    try:
        for _ in range(WARM_UP_ROUNDS):
            await plane.answer(body, lambda given: _question(decode_json(given, signature)), trace=Trace("warm-up"))
        one = decode_json(body, signature)
        rows = loaded.served.scorer.block_rows * WARM_UP_BLOCKS if one.num_rows else 0
        many = one.take(pa.array([row % one.num_rows for row in range(rows)], pa.int64()))
        await plane.answer(b"", lambda _: _question(many), trace=Trace("warm-up"))
    finally:
        plane.close()


def _question(batch: pa.RecordBatch) -> Question:
    return Question(batch, lambda values: orjson.dumps(values.tolist()))
