"""What must hold for a partition that two models made: each row is its arm's, and names the model that made it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lockstep.quality.invariants import GROUP_ROWS, STAMPS, TEXTS, invariant
from lockstep.quality.numbers import side_by_side
from lockstep.quality.results import CheckResult
from lockstep.run.canary import CanaryRecord, Stamp
from lockstep.run.plan import Plan
from lockstep.scoring.arms import Split


@dataclass(frozen=True)
class ArmRows:
    """Rows of the files that are to be published.

    Attributes:
        made: The challenger's, in its arm.
        strayed: The challenger's, outside of its arm.
        kept: The champion's, in the challenger's arm.
        rest: The champion's, outside of it.
    """

    made: int = 0
    strayed: int = 0
    kept: int = 0
    rest: int = 0

    def __add__(self, other: "ArmRows") -> "ArmRows":
        return ArmRows(
            self.made + other.made, self.strayed + other.strayed, self.kept + other.kept, self.rest + other.rest
        )


def count_arms(files: Sequence[Path], record: CanaryRecord) -> ArmRows:
    """Split the rows of the files anew, and count them by arm and by who made them.

    Rows of neither model count as the champion's here; that there are none is for the invariant of the stamps.
    """
    split = Split(record.salt, record.by)
    found = side_by_side(lambda file: _count(file, split, record), files)
    return sum(found, ArmRows())


def mixture_results(rows: ArmRows, plan: Plan, record: CanaryRecord) -> list[CheckResult]:
    """Check a mixture against what was planned and what the canary says that it did."""
    planned, model = plan.canary, plan.model
    wanted = None
    if planned is not None:
        versions = ((model.version, model.digest), (planned.version, planned.digest))
        wanted = (*versions, planned.fraction, planned.by, planned.salt)
    recorded = (record.champion[1:3], record.challenger[1:3], record.effective, record.by, record.salt)
    counted = (rows.made, rows.kept + rows.rest, rows.kept)
    return [
        invariant(
            "the_canary_is_the_planned_one",
            ok=recorded == wanted,
            observed=f"{record.effective:g} of the rows by version {record.challenger[1]}",
            expected=f"{planned.fraction:g} by version {planned.version}" if planned else "no canary",
            why="the run's key says what is mixed",
        ),
        invariant(
            "only_the_canarys_arm_is_the_challengers",
            ok=rows.strayed == 0 and counted == (record.rows_challenger, record.rows_champion, record.fell_back),
            observed=f"{rows.made:,} rows of the challenger, {rows.strayed:,} of them outside of its arm; "
            f"{rows.kept:,} of the champion inside",
            expected=f"{record.rows_challenger:,} in its arm, but for {record.fell_back:,} without a score of it",
            why="an entity must not change its arm",
            target=", ".join(record.by),
        ),
    ]


def _count(file: Path, split: Split, record: CanaryRecord) -> ArmRows:
    total, wanted = ArmRows(), list(dict.fromkeys([*STAMPS[:-1], *split.by]))
    with pq.ParquetFile(file, read_dictionary=list(TEXTS)) as opened:
        for batch in opened.iter_batches(batch_size=GROUP_ROWS, columns=wanted, use_threads=False):
            inside = split.positions(batch) < record.effective
            theirs = _stamped(batch, record.challenger)
            places = (inside & theirs, ~inside & theirs, inside & ~theirs, ~inside & ~theirs)
            total += ArmRows(*(int(place.sum()) for place in places))
    return total


def _stamped(batch: pa.RecordBatch, stamp: Stamp) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    found = np.ones(batch.num_rows, bool)
    for name, value in zip(STAMPS[:-1], stamp, strict=True):
        column = batch.column(name)
        plain = column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column
        found &= pc.equal(plain, value).fill_null(False).to_numpy(zero_copy_only=False)
    return found
