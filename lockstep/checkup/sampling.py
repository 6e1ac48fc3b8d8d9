"""Rows of a planned day, and their scores: what the parts of a check-up look at."""

import time
from dataclasses import dataclass

import pyarrow as pa

from lockstep.data.table_sample import spread_rows
from lockstep.registry.cache import fetch_artifact
from lockstep.registry.loading import load_scorer
from lockstep.run.folder import RunFolder
from lockstep.scoring.backends import Execution
from lockstep.scoring.outputs import arrow_array
from lockstep.scoring.rows import fitting_rows
from lockstep.scoring.scorer import ScoredBatch, Scorer
from lockstep.scoring.signature import select, widened
from lockstep.specs.settings import Settings


@dataclass(frozen=True)
class Scored:
    """A sample of a day, scored in this process as a Spark worker scores it.

    Attributes:
        rows: Carried columns and those that the model reads.
        batch: The model's columns, in its types.
        scores: What the Scorer gave.
        scorer: Which gave it.
        seconds: That scoring took, once all was loaded.
        total: Rows of the whole day.
        unfit: Why further rows of the sample are left out: they have no form in the model's types.
    """

    rows: pa.Table
    batch: pa.RecordBatch
    scores: ScoredBatch
    scorer: Scorer
    seconds: float
    total: int
    unfit: tuple[str, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why rows of the sample have no score, one by one."""
        return (*self.unfit, *self.scores.reasons.values())

    def staged(self) -> pa.Table:
        """Return the rows that have a score, with the outputs behind the carried columns."""
        known = pa.array([row not in self.scores.reasons for row in range(self.rows.num_rows)])
        table = self.rows
        for column, values in zip(self.scorer.signature.outputs, self.scores.outputs, strict=True):
            name, array = column.name, arrow_array(column, values)
            index = table.schema.get_field_index(name)
            table = table.append_column(name, array) if index < 0 else table.set_column(index, name, array)
        return table.filter(known)


def score_sample(folder: RunFolder, settings: Settings, *, most: int) -> Scored:
    """Read rows from as many places of a day as it has units, and score them.

    Args:
        folder: A run whose input is materialised.
        settings: Where the node cache is.
        most: Rows at most.

    Raises:
        LockstepError: What reading and scoring raise.
    """
    plan, wanted = folder.plan(step="check"), folder.scoring_input(step="check")
    names = list(dict.fromkeys([*plan.spec.carried, *(column.name for column in plan.model.inputs)]))
    rows = spread_rows(folder.path, wanted.units, columns=names, most=most)
    execution = Execution(device=settings.device, precision=plan.spec.model.precision)
    scorer = load_scorer(fetch_artifact(plan.model, settings.cache_root), execution=execution)
    inputs = [name for name in scorer.signature.names if name in rows.column_names]
    chosen = select(rows.select(inputs).combine_chunks().to_batches()[0], scorer.signature, where="the sample")
    unfit: tuple[str, ...] = ()
    try:
        batch = widened(chosen, scorer.signature)
    except pa.ArrowInvalid:  # rows that have no form in the signature's types, so that nobody can be asked about them
        fitting = fitting_rows(chosen, scorer.signature)
        rows, batch, unfit = rows.take(pa.array(fitting.places)), fitting.batch, tuple(fitting.reasons.values())
    scorer.score(batch.slice(0, scorer.block_rows))  # what is done once is no part of the speed
    began = time.perf_counter()
    scores = scorer.score(batch)
    return Scored(rows, batch, scores, scorer, time.perf_counter() - began, wanted.rows, unfit)
