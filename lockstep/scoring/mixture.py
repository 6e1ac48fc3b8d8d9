"""The staged rows of two models, mixed: in an arm of them the challenger's answer stands for the champion's."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.errors import LockstepError
from lockstep.run.canary import FILES
from lockstep.run.folder import RunFolder
from lockstep.run.identity import file_sha256
from lockstep.run.manifest import UnitResult
from lockstep.run.plan import ModelIdentity, Plan
from lockstep.scoring.arms import Split
from lockstep.scoring.staged import StagedWriter, stamp_columns

NAME_DIGITS = 16
Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class ChallengerUnfit(LockstepError):
    """The challenger's staged rows cannot stand for the champion's."""

    code = "LS1029"

    def __init__(self, version: int, *, problem: str) -> None:
        super().__init__(f"the rows of version {version} cannot be published in place of the champion's: {problem}")


@dataclass(frozen=True)
class Arm:
    """Which rows the challenger answers.

    Attributes:
        fraction: Rows whose position lies below it.
    """

    split: Split
    fraction: float


@dataclass(frozen=True)
class Side:
    """One model's result of a unit.

    Attributes:
        folder: Whose folder its paths are relative to.
        plan: Whose stamps its rows have.
    """

    folder: RunFolder
    plan: Plan
    unit: UnitResult

    def read(self) -> pa.Table:
        """Read the staged rows."""
        with pq.ParquetFile(self.folder.local(self.unit.staged)) as file:
            return file.read(use_threads=False).combine_chunks()


@dataclass(frozen=True)
class MixedUnit:
    """A unit as it is to be published.

    Attributes:
        unit: Its file, which is the champion's own when no row is the challenger's.
        rows_challenger: Rows that the challenger answers.
        fell_back: Rows of the arm that the champion answers, because the challenger has no score.
    """

    unit: UnitResult
    rows_challenger: int
    fell_back: int


def mix_unit(champion: Side, challenger: Side, *, arm: Arm) -> MixedUnit:
    """Write the mixed file of a unit into the champion's folder.

    Its rows are the champion's, in the champion's order. In the arm the outputs and the stamps are the challenger's,
    where it has a score. The bytes, and the file's name, depend on the two staged files and the arm alone.

    Raises:
        ChallengerUnfit: The challenger's columns are not those of the champion.
        RunFolderUnusable: The run folder cannot be written.
    """
    ours, theirs = champion.read(), challenger.read()
    spec = champion.plan.spec
    wanted = arm.split.positions(ours) < arm.fraction
    _require_columns(ours, theirs, names=(*spec.key, *spec.output.staged), challenger=challenger.plan.model)
    places = match_rows(ours, theirs, key=spec.key)
    if spec.output.errors is not None:
        scored = theirs.column(spec.output.errors).is_null().to_numpy()
        places = np.where((places >= 0) & np.append(scored, False)[places], places, -1)
    taken: Mask = wanted & (places >= 0)
    made, fell_back = int(taken.sum()), int(wanted.sum() - taken.sum())
    if not made:
        return MixedUnit(champion.unit, 0, fell_back)
    outputs = {name: _answers(ours, theirs, name, places=places, taken=taken) for name in spec.output.staged}
    columns = {name: ours.column(name) for name in spec.carried} | outputs
    columns |= _stamps(champion.plan, challenger.plan, taken)
    rows = pa.RecordBatch.from_pydict({name: _whole(column) for name, column in columns.items()})
    healed = _healed(ours, taken, errors=spec.output.errors)
    return MixedUnit(_written(champion, rows, healed=healed), made, fell_back)


def match_rows(ours: pa.Table, theirs: pa.Table, *, key: Sequence[str]) -> Places:
    """Return for each of our rows the place of theirs with the same key.

    Returns:
        `(rows,) int64`; -1 where they have none, or where a key repeats, so that nobody can tell which row is meant.
    """
    if ours.select(key).equals(theirs.select(key)):
        return np.arange(ours.num_rows)
    codes = np.zeros(ours.num_rows + theirs.num_rows, np.int64)
    for name in key:
        kind = ours.schema.field(name).type
        both = pa.chunked_array([*ours.column(name).chunks, *theirs.column(name).cast(kind).chunks], kind)
        found = _whole(both.dictionary_encode(null_encoding="encode"))
        codes = codes * max(len(found.dictionary), 1) + found.indices.to_numpy()
        codes = np.unique(codes, return_inverse=True)[1].astype(np.int64)
    mine, others = codes[: ours.num_rows], codes[ours.num_rows :]
    size = int(codes.max(initial=-1)) + 1
    place = np.full(size, -1, np.int64)
    place[others] = np.arange(len(others))
    place[(np.bincount(others, minlength=size) > 1) | (np.bincount(mine, minlength=size) > 1)] = -1
    found_places: Places = place[mine]
    return found_places


def _require_columns(ours: pa.Table, theirs: pa.Table, *, names: Sequence[str], challenger: ModelIdentity) -> None:
    for name in names:
        if name not in theirs.schema.names:
            raise ChallengerUnfit(challenger.version, problem=f"column {name!r} is missing")
        wanted, got = ours.schema.field(name).type, theirs.schema.field(name).type
        if not _fits(got, wanted):
            raise ChallengerUnfit(challenger.version, problem=f"column {name!r} has the type {got}, not {wanted}")


def _fits(got: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether every value of a type is one of another."""
    if got == wanted:
        return True
    both_floats = pa.types.is_floating(got) and pa.types.is_floating(wanted)
    both_signed = pa.types.is_signed_integer(got) and pa.types.is_signed_integer(wanted)
    return bool((both_floats or both_signed) and got.bit_width < wanted.bit_width)


def _answers(ours: pa.Table, theirs: pa.Table, name: str, *, places: Places, taken: Mask) -> pa.Array:
    mine, others = _whole(ours.column(name)), _whole(theirs.column(name))
    both = pa.concat_arrays([mine, others.cast(mine.type)])
    return both.take(pa.array(np.where(taken, len(mine) + places, np.arange(len(mine)))))


def _stamps(champion: Plan, challenger: Plan, taken: Mask) -> Mapping[str, pa.Array]:
    theirs = stamp_columns(challenger)
    return {name: _stamp(mine, theirs[name], taken) for name, mine in stamp_columns(champion).items()}


def _stamp(mine: pa.Scalar, theirs: pa.Scalar, taken: Mask) -> pa.Array:
    # The entries of a dictionary have to differ: Arrow writes garbage to Parquet otherwise.
    entries = pa.array([mine.as_py(), theirs.as_py()][: 1 if mine == theirs else 2], mine.type)
    choice = pa.array(np.where(taken, len(entries) - 1, 0).astype(np.int32))
    return pa.DictionaryArray.from_arrays(choice, entries) if pa.types.is_string(mine.type) else entries.take(choice)


def _healed(ours: pa.Table, taken: Mask, *, errors: str | None) -> dict[str, int]:
    """Return how many rows got a score from the challenger that the champion has none for, by its reasons."""
    if errors is None:
        return {}
    counts = ours.column(errors).filter(pa.array(taken)).drop_null().value_counts().to_pylist()
    return {entry["values"]: entry["counts"] for entry in counts}


def _written(champion: Side, rows: pa.RecordBatch, *, healed: Mapping[str, int]) -> UnitResult:
    unit, folder = champion.unit, champion.folder
    with folder.writing():
        partial = folder.draft(f"{FILES}/{unit.unit}/.{uuid.uuid4().hex}.partial")
    try:
        with folder.writing(), StagedWriter(partial, constant=list(stamp_columns(champion.plan))) as writer:
            writer.write(rows)
        digest, size = file_sha256(partial), partial.stat().st_size
        name = f"{FILES}/{unit.unit}/{digest[:NAME_DIGITS]}.parquet"
        folder.hand_in(partial, name)
    finally:
        partial.unlink(missing_ok=True)
    more = sum(healed.values())
    left = {reason: count - healed.get(reason, 0) for reason, count in unit.reasons.items()}
    return unit.model_copy(
        update={
            "staged": name,
            "sha256": digest,
            "size_bytes": size,
            "rows_scored": unit.rows_scored + more,
            "rows_quarantined": unit.rows_quarantined - more,
            "reasons": {reason: count for reason, count in left.items() if count},
        }
    )


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])
