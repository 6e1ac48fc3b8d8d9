"""Models on trial in the champion's pass: same rows, own files, and no way to hurt the champion."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.errors import ArtifactInvalid, ColumnTypeMismatch, TooManyBadRows
from lockstep.run.folder import PLAN, RunFolder
from lockstep.run.plan import Column, Plan, Unit
from lockstep.run.trials import FAILURE, TrialFailure, on_trial
from lockstep.scoring import engine
from lockstep.scoring.attempts import finished
from lockstep.scoring.backends import Arrays, Encoded, Group
from lockstep.scoring.challenger import DEATHS, Challenger, Deaths, leave_out_deadly
from lockstep.scoring.engine import UnitScorer
from lockstep.scoring.profile import Profile
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.signature import Signature
from lockstep.scoring.units import plan_units, read_unit
from tests.unit.scoring.roots import SIGNATURE, Root, plan

Load = Callable[[], tuple[Scorer, Profile | None]]
Left = tuple[bytes, bytes, dict[str, int]]


class Half:
    """A model of halves of a column; it may be slow, or leave its process."""

    device = "cpu"

    def __init__(self, column: str = "x", *, nap_s: float = 0.0, leaves: bool = False) -> None:
        self.column, self.nap_s, self.leaves = column, nap_s, leaves

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """Return the column."""
        if self.leaves:
            raise SystemExit(3)
        return Encoded((Group((np.asarray(batch.column(self.column).to_numpy(zero_copy_only=False)),)),))

    def run(self, arrays: Arrays) -> Arrays:
        """Return halves."""
        time.sleep(self.nap_s)
        return (arrays[0] / 2,)


def halves(column: str = "x", **traits: Any) -> Load:
    signature = Signature((Column(name=column, dtype="double"),), SIGNATURE.outputs)
    return lambda: (Scorer(Half(column, **traits), signature, block_rows=4), None)


def raising(error: type[BaseException], *told: str) -> Load:
    def load() -> tuple[Scorer, Profile | None]:
        raise error(*told)

    return load


def on_trial_in(folder: RunFolder, load: Load, *, column: str = "x", alias: str = "next") -> Challenger:
    """Plan a challenger of a run."""
    made = plan(folder.path)
    inputs = (Column(name=column, dtype="double"),)
    model = made.model.model_copy(update={"version": 4, "digest": "e" * 64, "inputs": inputs, "alias": alias})
    own = folder.challenger(alias)
    theirs = made.model_copy(update={"model": model, "run_key": "c"})
    own.write_json(PLAN, theirs)
    return Challenger(own, theirs, load)


def scorer_of(folder: RunFolder, *challengers: Challenger, made: Plan | None = None, **limits: Any) -> UnitScorer:
    scorer = Scorer(Root(), SIGNATURE, block_rows=4)
    return UnitScorer(folder, made or plan(folder.path), scorer, baseline=None, challengers=challengers, **limits)


def files(folder: RunFolder, unit: Unit) -> Left:
    """What the champion leaves: staged bytes, quarantine bytes, reasons."""
    result = finished(folder, unit)
    assert result is not None
    assert result.quarantined is not None
    staged, aside = (folder.file(name).read_bytes() for name in (result.staged, result.quarantined))
    return staged, aside, result.reasons


def failure(folder: RunFolder, alias: str = "next") -> str:
    own = folder.challenger(alias)
    return own.read_record(FAILURE, TrialFailure, step="test").reason if own.has(FAILURE) else ""


@pytest.fixture
def alone(folder: RunFolder, unit: Unit, tmp_path_factory: pytest.TempPathFactory) -> Left:
    """What the champion leaves when nobody is on trial."""
    other = RunFolder(tmp_path_factory.mktemp("alone"))
    other.file("in.parquet").write_bytes(folder.file("in.parquet").read_bytes())
    own_unit = plan_units(other.path, ["in.parquet"], unit_bytes=1 << 20)[0]
    scorer_of(other).score(own_unit)
    return files(other, own_unit)


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (halves(), ""),
        (halves(leaves=True), "SystemExit was raised by the model or a library of it"),
        (raising(ValueError, "row 7: secret"), "ValueError was raised by the model or a library of it"),
        (raising(ArtifactInvalid, "m version 4", "it is broken"), "artifact of model m version 4 cannot be used"),
        (raising(MemoryError), "MemoryError was raised"),
    ],
)
def test_the_champions_bytes_do_not_know_of_challengers(
    folder: RunFolder, unit: Unit, alone: Left, load: Load, reason: str
) -> None:
    scorer_of(folder, on_trial_in(folder, load), on_trial_in(folder, halves(), alias="other")).score(unit)
    assert files(folder, unit) == alone
    assert reason in failure(folder)
    assert bool(reason) == bool(failure(folder))
    assert "secret" not in failure(folder)
    whole = folder.challenger("other")
    assert finished(whole, unit) is not None
    assert (finished(folder.challenger("next"), unit) is None) == bool(reason)
    assert on_trial(folder) == (["other"] if reason else ["next", "other"])


def test_a_challenger_stages_what_it_would_stage_as_the_champion(folder: RunFolder, unit: Unit, tmp_path: Path) -> None:
    challenger = on_trial_in(folder, halves())
    scorer_of(folder, challenger).score(unit)
    own = folder.challenger("next")
    result = finished(own, unit)
    assert result is not None
    assert (result.rows_in, result.rows_scored, result.quarantined) == (25, 25, None)
    assert result.stages_s.keys() == {"score", "assemble", "write", "profile", "hash"}, "reading is the champion's"
    scorer, _ = halves()()
    as_champion = UnitScorer(folder, own.plan(step="test"), scorer, baseline=None)
    folder.file("staging").rename(tmp_path / "before")
    assert as_champion.score(unit).sha256 == result.sha256


def test_columns_that_only_the_challenger_needs_are_read_and_missing_ones_end_it(
    folder: RunFolder, alone: Left
) -> None:
    table = pq.read_table(folder.file("in.parquet"))
    pq.write_table(table.append_column("y", pa.array(np.arange(25.0) * 10)), folder.file("in.parquet"))
    unit = plan_units(folder.path, ["in.parquet"], unit_bytes=1 << 20)[0]
    wide, lost = (
        on_trial_in(folder, halves("y"), column="y"),
        on_trial_in(folder, halves("z"), column="z", alias="lost"),
    )
    champion = scorer_of(folder, wide, lost).score(unit)
    assert files(folder, unit) == alone
    assert set(champion.profile["columns"]) == {"x", "score"}
    result = finished(folder.challenger("next"), unit)
    assert result is not None
    staged = pq.read_table(folder.challenger("next").file(result.staged))
    assert staged["score"].to_pylist() == [5.0 * i for i in range(25)]
    assert staged.column_names == pq.read_table(folder.file(champion.staged)).column_names
    assert failure(folder, "lost").startswith("column 'z' is missing")


def test_columns_that_cannot_be_read_end_only_who_needs_them(
    folder: RunFolder, unit: Unit, alone: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reading(*args: Any, columns: list[str], **kwargs: Any) -> Iterator[pa.RecordBatch]:
        batches = read_unit(*args, columns=columns, **kwargs)
        yield next(batches)
        if "y" in columns:
            raise ColumnTypeMismatch("y", where="in.parquet", expected="double", got="string")
        yield from batches

    monkeypatch.setattr(engine, "read_unit", reading)
    scorer_of(folder, on_trial_in(folder, halves("y"), column="y"), on_trial_in(folder, halves(), alias="b")).score(
        unit
    )
    assert files(folder, unit) == alone
    assert "column 'y'" in failure(folder)
    assert failure(folder, "b") == ""
    assert finished(folder.challenger("b"), unit) is not None
    assert len(list(folder.challenger("b").file("staging").glob("*/*.parquet"))) == 1


def test_whoever_has_not_finished_a_unit_scores_it(folder: RunFolder, unit: Unit) -> None:
    first = scorer_of(folder).score(unit)
    calls = Root.calls
    scorer = scorer_of(folder, on_trial_in(folder, halves()))
    assert scorer.score(unit) == first
    assert Root.calls == calls, "the champion is not asked again"
    theirs = finished(folder.challenger("next"), unit)
    assert theirs is not None
    assert theirs.rows_in == 25
    for path in folder.file("staging", unit.id).iterdir():
        path.unlink()
    again = scorer.score(unit)
    assert again.sha256 == first.sha256
    assert finished(folder.challenger("next"), unit) == theirs, "nor is the challenger"


def test_a_challenger_whose_workers_die_is_left_out(folder: RunFolder, unit: Unit, alone: Left) -> None:
    loaded: list[str] = []

    def load() -> tuple[Scorer, Profile | None]:
        loaded.append("next")
        return halves()()

    own = folder.challenger("next")
    for name in ("one", "two"):
        (own.folder("staging", unit.id) / f"{name}.parquet").touch()
    scorer_of(folder, on_trial_in(folder, load)).score(unit)
    assert files(folder, unit) == alone
    assert failure(folder) == "2 worker processes died while they scored unit u00000 with it"
    assert loaded == []


def test_a_challenger_that_ends_jobs_is_left_out_wherever_it_does(folder: RunFolder) -> None:
    on_trial_in(folder, halves())
    own = folder.challenger("next")
    theirs = own.plan(step="test")
    (own.folder("staging", "u00000") / "done.parquet").touch()
    (own.folder("staging", "u00000") / "done.json").touch()
    leave_out_deadly(own, theirs)
    assert not own.has(DEATHS)
    for unit, jobs in (("u00001", 1), ("u00001", 1), ("u00002", 2)):
        (own.folder("staging", unit) / f"{unit}.parquet").touch()
        assert failure(folder) == ""
        leave_out_deadly(own, theirs)
        assert own.read_record(DEATHS, Deaths, step="test").jobs == jobs
    assert failure(folder) == "2 jobs died while it scored"
    assert on_trial(folder) == []


def test_a_begun_unit_is_marked_before_the_model_is_loaded(folder: RunFolder, unit: Unit) -> None:
    seen: list[int] = []

    def load() -> tuple[Scorer, Profile | None]:
        seen.append(len(list(folder.challenger("next").file("staging", unit.id).iterdir())))
        return halves()()

    scorer_of(folder, on_trial_in(folder, load)).score(unit)
    assert seen == [1]


def test_when_the_champion_stops_nothing_of_the_unit_is_left(folder: RunFolder, unit: Unit) -> None:
    with pytest.raises(TooManyBadRows):
        scorer_of(folder, on_trial_in(folder, halves()), bad_rows_allowed=1).score(unit)
    assert list(folder.challenger("next").file("staging", unit.id).iterdir()) == []
    assert failure(folder) == ""


def test_a_challengers_bad_rows_stop_nobody(folder: RunFolder, unit: Unit) -> None:
    table = pq.read_table(folder.file("in.parquet"))
    pq.write_table(table.append_column("y", pa.array([np.nan] * 25)), folder.file("in.parquet"))
    wide = plan_units(folder.path, ["in.parquet"], unit_bytes=1 << 20)[0]
    challenger = on_trial_in(folder, halves("y"), column="y")
    assert scorer_of(folder, challenger, bad_rows_allowed=3).score(wide).rows_quarantined == 3
    theirs = finished(folder.challenger("next"), wide)
    assert theirs is not None
    assert (theirs.rows_quarantined, theirs.rows_staged) == (25, 0)


def test_each_has_its_own_time(folder: RunFolder, unit: Unit) -> None:
    nap_s = 0.05
    champion = scorer_of(folder, on_trial_in(folder, halves(nap_s=nap_s))).score(unit)
    theirs = finished(folder.challenger("next"), unit)
    assert theirs is not None
    blocks = sum(-(-rows // 4) for rows in (10, 10, 5))
    assert theirs.stages_s["score"] >= blocks * nap_s
    assert theirs.seconds >= theirs.stages_s["score"]
    assert champion.stages_s["score"] < blocks * nap_s
    assert champion.seconds < blocks * nap_s


def test_a_rival_attempt_that_was_faster_counts(folder: RunFolder, unit: Unit) -> None:
    rival = on_trial_in(folder, halves())

    def load() -> tuple[Scorer, Profile | None]:
        scorer_of(folder, rival).score(unit)
        return halves()()

    own = folder.challenger("next")
    scorer_of(folder, Challenger(own, own.plan(step="test"), load)).score(unit)
    assert failure(folder) == ""
    assert len(list(own.file("staging", unit.id).glob("*.json"))) == 1
    assert len(list(own.file("staging", unit.id).glob("*.parquet"))) == 1
