"""What is checked of a model before a run with it is planned: its outputs, its libraries, and reduced precision."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from lockstep.errors import ColumnMissing
from lockstep.registry.environment import require_environment
from lockstep.registry.sources import local_folder
from lockstep.run.plan import ModelIdentity, PrecisionMeasure
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ScoringSpec


def check_outputs(columns: Sequence[str], model: ModelIdentity) -> None:
    """Check that a model has the output columns that a spec publishes.

    Raises:
        ColumnMissing: It lacks one.
    """
    names = [output.name for output in model.outputs]
    for column in columns:
        if column not in names:
            where = f"the outputs of model {model.name} version {model.version}"
            expected = "an output.column or output.further of the spec"
            raise ColumnMissing(column, where=where, expected=expected, got=names)


def check_environment(spec: ScoringSpec, model: ModelIdentity, cache_root: Path) -> tuple[str, ...]:
    """Return which libraries differ from those that the model was logged with.

    A model that is not on a disk of this machine is fetched for it, as the steps that follow do.

    Raises:
        RequirementsDiffer: One does, and the spec refuses that.
        ArtifactUnreachable, ArtifactInvalid: It cannot be fetched.
    """
    from lockstep.registry.cache import fetch_artifact

    here = local_folder(model.location)
    artifact = here if here is not None else fetch_artifact(model, cache_root)
    return require_environment(artifact, spec.model.environment, title=_title(model))


def check_precision(
    spec: ScoringSpec, model: ModelIdentity, settings: Settings, *, partition: dt.date
) -> PrecisionMeasure | None:
    """Measure the reduced precision that a spec asks for; none for float32, which costs nothing.

    Raises:
        PrecisionRefused: It moves the scores by more than the spec allows.
        PrecisionUnsupported: The model cannot be scored in it.
        InputError: The table cannot be sampled.
    """
    if spec.model.precision == "float32":
        return None
    from lockstep.registry.cache import fetch_artifact
    from lockstep.registry.precision import SAMPLE_ROWS, measure_precision
    from lockstep.scoring.backends import Execution

    sample = None
    if spec.input.table is not None:
        from lockstep.data.table_sample import first_rows

        batch = first_rows(spec, partition, settings.data_root, inputs=model.inputs, rows=SAMPLE_ROWS)
        sample = (batch, f"the first {batch.num_rows:,} rows of table {spec.input.table.label}")
    return measure_precision(
        fetch_artifact(model, settings.cache_root),
        Execution(device=settings.device, precision=spec.model.precision),
        title=_title(model),
        limit=spec.model.max_precision_difference,
        outputs=spec.output.columns,
        sample=sample,
    )


def _title(model: ModelIdentity) -> str:
    return f"{model.name} version {model.version}"
