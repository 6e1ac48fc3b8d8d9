"""Progress of a run: each result is read once, on a disk and in a store."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from lockstep.run.folder import RunFolder
from lockstep.run.manifest import UnitResult
from lockstep.run.plan import ScoringInput, Unit
from lockstep.steps import progress
from lockstep.steps.progress import ProgressWatch, progress_of
from tests.unit.storage.counted import counted_store

ROWS = 10
UNITS = tuple(Unit(id=f"u{number:05d}", pieces=(), rows=ROWS, size_bytes=1) for number in range(40))
WANTED = ScoringInput(rows=ROWS * len(UNITS), columns={}, units=UNITS)


@pytest.fixture(params=["disk", "store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunFolder]:
    if request.param == "disk":
        yield RunFolder(tmp_path)
        return
    with counted_store() as (path, _):
        yield RunFolder(path)


def finish(folder: RunFolder, unit: Unit, *, attempt: str = "a", bad: int = 1) -> UnitResult:
    """Leave what an attempt leaves that has finished."""
    staged = f"staging/{unit.id}/{attempt}.parquet"
    good = unit.rows - bad
    result = UnitResult(
        unit=unit.id,
        staged=staged,
        rows_in=unit.rows,
        rows_scored=good,
        rows_quarantined=bad,
        rows_staged=good,
        size_bytes=0,
        sha256="",
        reasons={"null": bad},
    )
    folder.begin(staged)
    folder.write_json(staged.replace(".parquet", ".json"), result)
    return result


def test_what_is_seen_again_and_again_is_what_is_seen_once(folder: RunFolder) -> None:
    watch = ProgressWatch(folder, WANTED)
    assert watch.look().rows == 0
    for number, unit in enumerate(UNITS, 1):
        finish(folder, unit)
        if number % 7 == 0:
            seen = watch.look(now=True)
            assert seen == progress_of(folder, WANTED)
            assert (seen.rows, seen.reasons) == (number * ROWS, {"null": number})
    finish(folder, UNITS[0], attempt="b", bad=5)
    assert watch.look(now=True).rows == WANTED.rows
    assert watch.look(now=True).quarantined == len(UNITS), "of two attempts one counts"


def test_each_result_is_read_once() -> None:
    with counted_store() as (path, counts):
        folder = RunFolder(path)
        watch = ProgressWatch(folder, WANTED)
        for unit in UNITS:
            finish(folder, unit)
        for _ in range(5):
            watch.look(now=True)
        assert counts["get"] == len(UNITS)
        assert counts["list"] == 5 * 2, "of what is staged, and of what workers tell"


def test_a_look_that_takes_long_is_not_repeated_soon(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 2.0, 19.0, 20.1, 22.0])
    own = SimpleNamespace(monotonic=lambda: next(clock))  # threads that others left behind ask the real one
    monkeypatch.setattr(progress, "time", own)
    watch = ProgressWatch(folder, WANTED)
    first = watch.look()
    finish(folder, UNITS[0])
    assert watch.look() is first
    assert watch.look().rows == ROWS
