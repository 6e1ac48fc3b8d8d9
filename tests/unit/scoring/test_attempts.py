"""Attempts at a unit: those that died, those that came second, and what is left of them."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.run.folder import RunFolder
from lockstep.run.identity import file_sha256
from lockstep.run.manifest import UnitResult
from lockstep.run.plan import Unit
from lockstep.scoring import engine, stager
from lockstep.scoring.attempts import (
    accept,
    attempts_begun,
    finished,
    remove_strays,
    results_by_unit,
    results_of,
    unfinished_attempts,
)
from lockstep.scoring.engine import UnitScorer
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.units import read_unit
from tests.unit.scoring.roots import SIGNATURE, Root, plan
from tests.unit.storage.buckets import bucket_in_memory
from tests.unit.storage.counted import counted_store


def test_a_finished_unit_is_not_scored_again(unit: Unit, unit_scorer: UnitScorer) -> None:
    first, calls = unit_scorer.score(unit), Root.calls
    assert unit_scorer.score(unit) == first
    assert Root.calls == calls


def test_an_attempt_that_died_does_not_count(folder: RunFolder, unit: Unit, unit_scorer: UnitScorer) -> None:
    half = folder.folder("staging", unit.id) / "dead.parquet"
    half.write_bytes(b"PAR1 half a file")
    assert finished(folder, unit) is None
    result = unit_scorer.score(unit)
    assert result.staged != "staging/u00000/dead.parquet"
    folder.file(result.staged).unlink()
    assert finished(folder, unit) is None, "a result without its staged file does not count either"


def scored_again(folder: RunFolder, unit: Unit, **limits: int) -> UnitResult:
    """Score the unit anew, with other limits, as if no attempt had finished."""
    for path in folder.file("staging", unit.id).glob("*.json"):
        path.unlink()
    spec = plan(folder.path).spec
    changed = spec.model_copy(update={"limits": spec.limits.model_copy(update=limits)})
    scorer = Scorer(Root(), SIGNATURE, block_rows=4)
    made = plan(folder.path).model_copy(update={"spec": changed})
    return UnitScorer(folder, made, scorer, baseline=None).score(unit)


@pytest.mark.parametrize("limits", [{"batch_rows": 1}, {"batch_rows": 7}, {"batch_rows": 25}, {"batch_bytes": 30}])
def test_staged_bytes_do_not_depend_on_batches_or_attempts(
    folder: RunFolder, unit: Unit, unit_scorer: UnitScorer, limits: dict[str, int]
) -> None:
    first = unit_scorer.score(unit)
    again = scored_again(folder, unit, **limits)
    assert again.staged != first.staged
    assert again.sha256 == first.sha256
    assert folder.file(again.staged).read_bytes() == folder.file(first.staged).read_bytes()
    assert again.rows_quarantined == first.rows_quarantined == 3


def test_after_attempts_that_died_batches_are_smaller(
    folder: RunFolder, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def reading(*args: Any, batch_rows: int, **kwargs: Any) -> Iterator[pa.RecordBatch]:
        asked.append(batch_rows)
        return read_unit(*args, batch_rows=batch_rows, **kwargs)

    monkeypatch.setattr(engine, "read_unit", reading)
    scored_again(folder, unit, batch_rows=65_536)
    folder.file("staging", unit.id, "one.parquet").write_bytes(b"PAR1")
    folder.file("staging", unit.id, "two.parquet").write_bytes(b"PAR1")
    for path in folder.file("staging", unit.id).glob("*.parquet"):
        if path.stat().st_size > 4:
            path.unlink()
    scored_again(folder, unit, batch_rows=65_536)
    assert asked == [65_536, 65_536 >> 4]


def test_after_many_attempts_that_died_batches_are_still_of_many_rows(
    folder: RunFolder, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def reading(*args: Any, batch_rows: int, batch_bytes: int, **kwargs: Any) -> Iterator[pa.RecordBatch]:
        asked.append((batch_rows, batch_bytes))
        return read_unit(*args, batch_rows=batch_rows, batch_bytes=batch_bytes, **kwargs)

    monkeypatch.setattr(engine, "read_unit", reading)
    for number in range(40):
        (folder.folder("staging", unit.id) / f"dead-{number}.parquet").write_bytes(b"PAR1")
    scored_again(folder, unit, batch_rows=65_536)
    scored_again(folder, unit, batch_rows=10)
    assert asked == [(256, 1 << 20), (10, 1 << 20)]


def test_an_attempt_that_finds_a_finished_rival_leaves_nothing_behind(
    folder: RunFolder, unit: Unit, unit_scorer: UnitScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rival = UnitScorer(folder, plan(folder.path), Scorer(Root(), SIGNATURE, block_rows=4), baseline=None)

    def overtaken(path: Path) -> str:
        monkeypatch.setattr(stager, "file_sha256", file_sha256)
        rival.score(unit)
        return file_sha256(path)

    monkeypatch.setattr(stager, "file_sha256", overtaken)
    result = unit_scorer.score(unit)
    assert result == finished(folder, unit)
    names = {path.name for kind in ("staging", "quarantine") for path in folder.file(kind, unit.id).iterdir()}
    stem = Path(result.staged).stem
    assert names == {f"{stem}.parquet", f"{stem}.json"}


def test_half_written_files_of_dead_processes_are_removed(
    folder: RunFolder, unit: Unit, unit_scorer: UnitScorer
) -> None:
    result = unit_scorer.score(unit)
    halves = [
        folder.folder("staging", unit.id) / ".a.json.7.partial",
        folder.folder("progress") / ".host-7.json.7.partial",
        folder.path / ".manifest.json.7.partial",
    ]
    for path in halves:
        path.touch()
    remove_strays(folder, [result])
    assert not any(path.exists() for path in halves)
    assert finished(folder, unit) == result


def test_stray_attempts_are_removed_and_the_accepted_one_stays(
    folder: RunFolder, unit: Unit, unit_scorer: UnitScorer
) -> None:
    result = unit_scorer.score(unit)
    dead = [folder.folder(kind, unit.id) / "dead.parquet" for kind in ("staging", "quarantine")]
    for path in dead:
        path.write_bytes(b"PAR1")
    assert remove_strays(folder, [result]) == 1
    assert not any(path.exists() for path in dead)
    assert finished(folder, unit) == result
    assert result.quarantined is not None
    assert folder.file(result.quarantined).is_file()


def test_an_attempt_whose_file_another_process_removed_takes_that_process_result(
    folder: RunFolder, unit: Unit, unit_scorer: UnitScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = UnitScorer(folder, plan(folder.path), Scorer(Root(), SIGNATURE, block_rows=4), baseline=None)

    def overtaken(path: Path) -> str:
        monkeypatch.setattr(stager, "file_sha256", file_sha256)
        remove_strays(folder, [other.score(unit)])
        return file_sha256(path)

    monkeypatch.setattr(stager, "file_sha256", overtaken)
    result = unit_scorer.score(unit)
    assert result == finished(folder, unit)
    assert len(list(folder.file("staging", unit.id).glob("*.parquet"))) == 1


ATTEMPTS = st.dictionaries(
    st.sampled_from(["a", "a.b", "b", "c"]), st.sets(st.sampled_from([".json", ".parquet"]), min_size=1)
)


@given(st.lists(ATTEMPTS, max_size=4), st.booleans())
def test_one_listing_finds_the_results_that_a_look_at_each_unit_finds(
    units: list[dict[str, set[str]]], stored: bool
) -> None:
    with TemporaryDirectory() as disk, counted_store() as (store, _):
        folder = RunFolder(store if stored else Path(disk))
        planned = [Unit(id=f"u{number:05d}", pieces=(), rows=0, size_bytes=0) for number in range(len(units))]
        for unit, attempts in zip(planned, units, strict=True):
            for attempt, kinds in attempts.items():
                leave(folder, unit, attempt, kinds)
        expected = {unit.id: result for unit in planned if (result := finished(folder, unit)) is not None}
        assert results_by_unit(folder).keys() == expected.keys()
        assert list(results_of(folder, planned)) == list(expected.values())


def leave(folder: RunFolder, unit: Unit, attempt: str, kinds: set[str]) -> None:
    """Leave some of what an attempt leaves."""
    stem = f"staging/{unit.id}/{attempt}"
    facts = dict.fromkeys(("rows_in", "rows_scored", "rows_quarantined", "rows_staged", "size_bytes"), 0)
    if ".json" in kinds:
        folder.write_json(f"{stem}.json", UnitResult(unit=unit.id, staged=f"{stem}.parquet", sha256="", **facts))
    if ".parquet" in kinds:
        folder.begin(f"{stem}.parquet")


def test_attempts_count_in_a_store_as_on_a_disk(
    folder: RunFolder, unit: Unit, unit_scorer: UnitScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, stored = unit_scorer.score(unit), RunFolder(bucket_in_memory(monkeypatch))
    for name in (*folder.names("staging"), *folder.names("quarantine")):
        stored.hand_in(folder.file(name), name)  # type: ignore[arg-type]
    stored.begin(f"staging/{unit.id}/dead.parquet")
    assert finished(stored, unit) == result
    assert attempts_begun(stored, unit) == 2
    assert unfinished_attempts(stored) == {f"{unit.id}/dead"}

    for kind in ("staging", "quarantine"):
        stored.write_text(f"{kind}/{unit.id}/late.parquet", "rows")
    assert accept(stored, unit, attempt="late", result=result.model_copy(update={"unit": "late"})) == result
    assert not [name for kind in ("staging", "quarantine") for name in stored.names(kind) if "late" in name]

    assert remove_strays(stored, [result]) == 1
    assert {name for kind in ("staging", "quarantine") for name in stored.names(kind)} == {
        result.staged,
        result.staged.replace(".parquet", ".json"),
        result.quarantined,
    }
    stored.remove(result.staged)
    assert finished(stored, unit) is None, "a result without its staged file does not count"
