"""Logged answers against the batch's scores of the same rows, bit for bit."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.run.folder import RunFolder
from lockstep.serving.inference_log.errors import NothingReplayable, ReplayUnfit
from lockstep.serving.inference_log.reading import Group, obstacle
from lockstep.serving.inference_log.replay import Replay

SHOWN_DIFFERENCES = 5

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Difference:
    """A row for which the batch gave another answer than the log has."""

    model: str
    version: int
    request_id: str | None
    row: int
    log_id: int
    output: str
    logged: Any
    batch: Any


@dataclass(frozen=True)
class ArmReport:
    """The rows that one version answered in one arm.

    Attributes:
        rows: Compared.
        without_score: Of these, rows that neither has a score for.
        devices, batch_devices: Where the endpoint scored them, and where the batch did.
    """

    model: str
    version: int
    digest: str
    arm: str
    rows: int
    without_score: int
    differing_rows: int
    max_abs_difference: float
    devices: tuple[str, ...]
    batch_devices: tuple[str, ...]


@dataclass
class ReplayReport:
    """The outcome of a replay.

    Attributes:
        rows_logged: Rows that could be drawn.
        not_replayable: Rows drawn or passed over that cannot be compared, by why.
    """

    log: str
    files: int
    rows_logged: int
    arms: list[ArmReport] = field(default_factory=list)
    not_replayable: dict[str, int] = field(default_factory=dict)
    examples: list[Difference] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rows_compared(self) -> int:
        """Rows that were compared."""
        return sum(arm.rows for arm in self.arms)

    @property
    def differing_rows(self) -> int:
        """Rows with another bit somewhere."""
        return sum(arm.differing_rows for arm in self.arms)

    @property
    def equal(self) -> bool:
        """Whether no row differs."""
        return not self.differing_rows

    def admits(self, group: Group) -> bool:
        """Whether the rows of a group can be compared; if not, they are counted."""
        why = obstacle(group.layout)
        if why is not None:
            self.leave_out(f"{group.layout.title}: {why}", group.rows)
        return why is None

    def leave_out(self, why: str, rows: int) -> None:
        """Count rows that cannot be compared."""
        self.not_replayable[why] = self.not_replayable.get(why, 0) + rows

    def require_answer(self) -> None:
        """Raise `NothingReplayable` when there are rows, and none could be compared."""
        if self.rows_logged and not self.rows_compared:
            raise NothingReplayable(self.log, reasons=list(self.not_replayable))

    def to_json(self) -> dict[str, Any]:
        """Return the report for machines."""
        return {
            "equal": self.equal,
            "log": self.log,
            "files": self.files,
            "rows_logged": self.rows_logged,
            "rows_compared": self.rows_compared,
            "differing_rows": self.differing_rows,
            "max_abs_difference": max((arm.max_abs_difference for arm in self.arms), default=0.0),
            "arms": [vars(arm) for arm in self.arms],
            "not_replayable": self.not_replayable,
            "examples": [vars(example) for example in self.examples],
            "seconds": round(self.seconds, 3),
        }


def compare(replay: Replay, folder: RunFolder, report: ReplayReport) -> None:
    """Compare the rows of a scored replay with the log, and add what is found to a report.

    Raises:
        ReplayUnfit: The run has not one score or none for each row.
        StepOutOfOrder: It is not scored yet.
    """
    manifest = folder.manifest(step="replay")
    outputs = list(replay.loaded.spec.output.columns)
    staged = _staged([folder.local(unit.staged) for unit in manifest.units], [replay.number, *outputs])
    places = _places(staged, replay, where=str(folder.path))
    logged_score = np.asarray(replay.logged.column("log.reason").is_null())
    both = logged_score & (places >= 0)
    differs, distance = logged_score != (places >= 0), np.zeros(len(places))
    culprits = np.full(len(places), outputs[0], dtype=object)
    if both.any():
        ours, theirs = replay.logged.filter(pa.array(both)), staged.take(pa.array(places[both]))
        for name in outputs:
            one, other = _values(ours.column(name)), _values(theirs.column(name))
            if one.dtype != other.dtype or one.shape != other.shape:
                raise ReplayUnfit(str(folder.path), problem=f"output {name!r} is of another type in the log")
            unequal = np.zeros(len(places), bool)
            unequal[both] = _unequal(one, other)
            culprits[unequal & ~differs] = name
            differs |= unequal
            distance[both] = np.maximum(distance[both], _distances(one, other))
    neither = ~logged_score & (places < 0)
    report.arms += _arms(replay, differs, distance, neither=neither, devices=manifest.devices)
    for row in np.flatnonzero(differs)[: SHOWN_DIFFERENCES - len(report.examples)]:
        report.examples.append(_example(replay, staged, int(row), place=int(places[row]), output=culprits[row]))


def _staged(paths: Sequence[Path], columns: list[str]) -> pa.Table:
    tables = [pq.ParquetFile(path).read(columns=columns) for path in paths]
    return pa.concat_tables(tables) if tables else pa.table({name: [] for name in columns})


def _places(staged: pa.Table, replay: Replay, *, where: str) -> npt.NDArray[np.int64]:
    """Return the place of each logged row among the staged ones; -1 for a row without a score."""
    rows, numbers = replay.logged.num_rows, staged.column(replay.number).to_numpy().astype(np.int64)
    if len(numbers) and (len(np.unique(numbers)) < len(numbers) or numbers.min() < 0 or numbers.max() >= rows):
        raise ReplayUnfit(where, problem="staged rows do not belong to one logged row each")
    places = np.full(rows, -1, np.int64)
    places[numbers] = np.arange(len(numbers))
    return places


def _values(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return the values of a column, `(rows,)` or of a tensor `(rows, elements)`."""
    array = column.combine_chunks()
    if not pa.types.is_fixed_size_list(array.type):
        plain: npt.NDArray[Any] = array.to_numpy(zero_copy_only=False)
        return plain
    flat: npt.NDArray[Any] = array.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(array), array.type.list_size)


def _unequal(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> Mask:
    """Return which rows differ in a bit; two NaN of the same bits do not."""
    if one.dtype.kind == "f":
        bits = np.dtype(f"i{one.dtype.itemsize}")
        one, other = np.ascontiguousarray(one).view(bits), np.ascontiguousarray(other).view(bits)
    found: Mask = (one != other).reshape(len(one), -1).any(axis=1)
    return found


def _distances(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return how far the numbers of each row lie apart; 0 for what are no numbers."""
    if one.dtype.kind not in "fiu":
        return np.zeros(len(one))
    found = np.abs(one.astype(np.float64) - other.astype(np.float64)).reshape(len(one), -1)
    largest: npt.NDArray[np.float64] = np.nan_to_num(found, nan=0.0).max(axis=1)
    return largest


def _arms(
    replay: Replay, differs: Mask, distance: npt.NDArray[np.float64], *, neither: Mask, devices: tuple[str, ...]
) -> list[ArmReport]:
    layout = replay.layout
    arms = np.array([arm or "" for arm in replay.logged.column("log.arm").to_pylist()], dtype=object)
    found = []
    for arm in sorted(set(arms)):
        of = arms == arm
        found.append(
            ArmReport(
                model=layout.model_name,
                version=layout.model_version,
                digest=layout.model_digest,
                arm=arm,
                rows=int(of.sum()),
                without_score=int((of & neither).sum()),
                differing_rows=int((of & differs).sum()),
                max_abs_difference=float(distance[of].max(initial=0.0)),
                devices=replay.devices,
                batch_devices=devices,
            )
        )
    return found


def _example(replay: Replay, staged: pa.Table, row: int, *, place: int, output: str) -> Difference:
    [told] = replay.logged.slice(row, 1).to_pylist()
    return Difference(
        model=replay.layout.model_name,
        version=replay.layout.model_version,
        request_id=told.get("log.request_id"),
        row=told["log.row"],
        log_id=told["log.log_id"],
        output=output,
        logged=told[output] if told["log.reason"] is None else None,
        batch=staged.column(output)[place].as_py() if place >= 0 else None,
    )
