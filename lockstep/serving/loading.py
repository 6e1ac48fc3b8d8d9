"""From a registered model to a version that answers: resolve, fetch, load, warm up."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pyarrow as pa

from lockstep.errors import ArtifactInvalid, RequestInvalid
from lockstep.registry.artifact import Artifact, read_artifact
from lockstep.registry.cache import fetch_artifact
from lockstep.registry.environment import require_environment
from lockstep.registry.loading import load_scorer
from lockstep.registry.model_sample import generic_sample, model_sample
from lockstep.registry.resolve import resolve_model
from lockstep.run.plan import ModelIdentity
from lockstep.scoring.backends import Execution
from lockstep.scoring.blocks import MOST_ROWS, ROWS_IN_ALL
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.signature import Signature, widened
from lockstep.serving.formats import decode_json
from lockstep.serving.lane import ScoringLane
from lockstep.serving.lane_limits import LaneLimits
from lockstep.serving.rows import to_batch
from lockstep.serving.versions import LoadedVersion
from lockstep.serving.work import Scored
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ModelRef

# Of a version that is being loaded, what its lane tells of its micro-batches.
Listen = Callable[[ModelIdentity, Scorer], Callable[[Scored], None]]

log = logging.getLogger(__name__)

# Enough rounds to fit how long rows take.
WARM_UP_ROUNDS, WARM_UP_S = 5, 2.0
WARM_UP_BLOCKS = (1, 16)
# Block sizes are looked for with as many rows as the model scores in so many seconds, but enough to certify any; in so
# many seconds.
SAMPLE_S, SAMPLE_ROWS, SEARCH_S = 4.0, 2 * ROWS_IN_ALL, 15.0
# What takes longer is announced.
SLOW_S = 1.0


def load_version(
    settings: Settings,
    identity: ModelIdentity,
    *,
    declared: ModelRef,
    limits: LaneLimits,
    listen: Listen | None = None,
) -> LoadedVersion:
    """Fetch a resolved model into the node cache, load it and let it score its own example.

    Args:
        settings: Where things are.
        identity: From the registry; its digest is verified.
        declared: What the spec says of precision and libraries.
        limits: Of its lane.
        listen: Gives what its lane tells of its micro-batches.

    Raises:
        RegistryError: The registry cannot give it, or it cannot be loaded.
        ArtifactInvalid: It cannot score its own input example.
        DeviceMissing: A GPU is asked for and there is none.
        PrecisionRefused: The spec's reduced precision moves the scores too far.
    """
    path = fetch_artifact(identity, settings.cache_root)
    title = f"{identity.name} version {identity.version}"
    require_environment(path, declared.environment, title=title)
    scorer = load_scorer(path, execution=_execution(path, declared, settings, title=title))
    on_scored = listen(identity, scorer) if listen is not None else None
    parameters = read_artifact(path, model=identity.name).parameters
    lane = ScoringLane(scorer, limits, on_scored=on_scored)
    warm_up(scorer, lane, path=path, identity=identity)
    return LoadedVersion(identity, scorer, lane, parameters=parameters)


def resolve(settings: Settings, declared: ModelRef, *, version: int | None = None) -> ModelIdentity:
    """Ask the registry which version a model is now.

    Raises:
        RegistryError: It does not know, or does not answer.
    """
    alias = declared.alias if version is None else None
    return resolve_model(settings.tracking_uri, declared.name, alias=alias, version=version)


def _execution(path: Path, declared: ModelRef, settings: Settings, *, title: str) -> Execution:
    """Return how the batch scores too; reduced precision is measured first, as it is when a run is planned."""
    execution = Execution(device=settings.device, precision=declared.precision)
    if declared.precision != "float32":
        from lockstep.registry.precision import measure_precision

        measured = measure_precision(path, execution, title=title, limit=declared.max_precision_difference)
        log.info("%s moves scores by up to %.3g (%s)", measured.precision, measured.max_difference, measured.source)
    return execution


def warm_up(scorer: Scorer, lane: ScoringLane, *, path: Path, identity: ModelIdentity) -> None:
    """Score the model's own example, and rows like it, so that its lane knows how long rows take.

    Args:
        scorer: Just loaded.
        lane: Of it.
        path: Of its artifact. A model without an example gets rows of nulls, which it may refuse.
        identity: What it is.

    Raises:
        ArtifactInvalid: The model cannot score its own example.
    """
    artifact = read_artifact(path, model=identity.name)
    title, signature = f"{identity.name} version {identity.version}", scorer.signature
    example = _example(artifact)
    try:
        batch = to_batch([decode_json(example or _nulls(signature), signature)], signature)
        reasons = scorer.score(batch, where="the input example").reasons
    except RequestInvalid as error:
        reasons = {0: str(error)}
    if reasons and example is not None:
        row, reason = next(iter(reasons.items()))
        raise ArtifactInvalid(title, f"it does not score its own input example: row {row}: {reason}")
    sample = _sample(scorer, artifact)
    if sample is not None and not scorer.score(sample.slice(0, 1), where="the sample").reasons:
        _measure(scorer, lane, sample=widened(sample, signature), title=title)


def _sample(scorer: Scorer, artifact: Artifact) -> pa.RecordBatch | None:
    rows = max(scorer.block_rows * max(WARM_UP_BLOCKS), MOST_ROWS)
    if (known := scorer.draw(rows)) is not None:
        return known
    drawn = model_sample(artifact, rows=rows)
    return drawn[0] if drawn is not None else generic_sample(scorer.signature, rows=rows)


def _measure(scorer: Scorer, lane: ScoringLane, *, sample: pa.RecordBatch, title: str) -> None:
    """Find block sizes and time the model; the first round is not counted, since much is set up in it."""
    sizes = (1, *(scorer.block_rows * blocks for blocks in WARM_UP_BLOCKS))
    clock = time.perf_counter()
    scorer.score(sample.slice(0, max(sizes)), where="the sample")
    row_s = (time.perf_counter() - clock) / max(sizes)
    if row_s * SAMPLE_ROWS > SLOW_S:
        log.info("%s: checking its block sizes, up to %.0f s; what is found is kept", title, SEARCH_S)
    try:
        scorer.certify(sample.slice(0, max(*sizes, SAMPLE_ROWS, int(SAMPLE_S / row_s))), seconds=SEARCH_S)
    except Exception as error:  # noqa: BLE001 - a drawn row that the model refuses says nothing of its blocks
        log.warning("%s: its block sizes could not be checked: %s", title, type(error).__name__)
    scorer.blocks.settle()  # no request is to wait for a search
    began = time.perf_counter()
    for number in range(WARM_UP_ROUNDS + 1):
        for size in sizes:
            clock = time.perf_counter()
            scorer.score(sample.slice(0, size), where="the sample")
            if number:
                lane.cost.learn(size, time.perf_counter() - clock)
        if number and time.perf_counter() - began > WARM_UP_S:
            break


def _example(artifact: Artifact) -> bytes | None:
    """Return the stored example as a body of MLflow's protocol; none when there is none that can be read."""
    if artifact.input_example is None:
        return None
    try:
        stored = orjson.loads((artifact.path / artifact.input_example).read_bytes())
    except (OSError, ValueError):
        return None
    framed = isinstance(stored, dict) and "columns" in stored and "data" in stored
    return orjson.dumps({"dataframe_split" if framed else "inputs": stored})


def _nulls(signature: Signature) -> bytes:
    row = [None] * len(signature.inputs)
    return orjson.dumps({"dataframe_split": {"columns": signature.schema.names, "data": [row]}})
