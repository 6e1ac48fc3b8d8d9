"""How often an object store is asked for each unit: what docs/scaling.md reckons with, and what a bill follows from."""

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.run import progress
from lockstep.run.folder import RunFolder
from lockstep.run.plan import Unit
from lockstep.run.queue import UnitQueue
from lockstep.scoring.attempts import results_by_unit, results_of
from lockstep.scoring.engine import UnitScorer
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.units import plan_units
from tests.unit.scoring import roots
from tests.unit.storage.counted import counted_store

UNITS = 20
# Of its run folder; its rows are read from wherever the input is.
TAKEN = {"head": 1, "list": 1, "put": 2}
SCORED = {"list": 3, "put": 3, "head": 1}
WRITING = {name: TAKEN.get(name, 0) + SCORED.get(name, 0) for name in ("put", "list", "head")}


@pytest.fixture
def units(tmp_path: Path) -> tuple[Unit, ...]:
    table = pa.table({"day": [roots.DAY] * UNITS, "id": range(UNITS), "x": [float(row) for row in range(UNITS)]})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=1)
    # A URL, as the input of a run in a store has.
    planned = plan_units(None, [f"local://{tmp_path}/in.parquet"], unit_bytes=1)
    assert len(planned) == UNITS
    return planned


def test_a_unit_costs_the_same_few_requests_however_many_there_are(
    units: tuple[Unit, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY_S", math.inf)  # what is told each second depends on the clock alone
    with counted_store() as (path, counts):
        folder = RunFolder(path)
        scorer = Scorer(roots.Root(), roots.SIGNATURE, block_rows=4)
        score = UnitScorer(folder, roots.plan(tmp_path), scorer, baseline=None).score
        queue = UnitQueue(folder, "job")
        opened = since(counts, lambda: queue.open(units))
        assert opened == {"put": 2}, "one for each 1,000 units, and one that opens the queue"
        taken = queue.units(task=0)
        first = since(counts, lambda: score(next(taken)))
        each = [since(counts, lambda: score(next(taken))) for _ in units[1:]]
        assert each == [WRITING] * (UNITS - 1)
        assert first == Counter(WRITING) + Counter({"get": 2, "list": 2}), "the queue and a block of units"
        last = since(counts, lambda: list(taken))
        assert last == {"head": 1, "list": 2, "put": 1}, "the block is closed"
        assert since(counts, lambda: results_by_unit(folder)) == {"list": 1}
        assert since(counts, lambda: list(results_of(folder, units))) == {"list": 1, "get": UNITS}


def since(counts: Counter[str], work: Callable[[], object]) -> dict[str, int]:
    """Return the requests of a piece of work."""
    before = Counter(counts)
    work()
    return dict(counts - before)
