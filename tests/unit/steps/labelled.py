"""Published runs of the little spec, and what became of their parcels."""

import datetime as dt
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.publish.contract import Publication, Warehouse
from lockstep.publish.warehouse import open_warehouse
from lockstep.quality.performance_table import PerformanceRow, read_performance
from lockstep.run.folder import RunFolder
from lockstep.specs.loading import LoadedSpec
from lockstep.steps.label_days import MeasuredDay, measure_days
from lockstep.steps.labels import Measuring, measuring
from lockstep.steps.publish import publish
from lockstep.steps.request import publish_request
from tests.unit.steps.runs import DAY, Score, km_risk, make_run, make_settings, make_spec, parcels, pass_audit

LABELS: dict[str, Any] = {
    "source": {"path": "outcomes", "partition": "day", "columns": {"id": "long", "late": "boolean"}},
    "query": "label.sql",
    "segments": ["depot"],
    "min_rows": 5,
}
QUERY = "SELECT day, id, late AS label FROM outcomes"
LATEST = dt.date(2024, 4, 1)


@dataclass(frozen=True)
class Depot:
    """A small installation."""

    root: Path
    kind: str = "duckdb"

    @property
    def changes(self) -> dict[str, Any]:
        """What its spec has beyond the little one."""
        return {"labels": LABELS, "reporting": {}, "publish": {"warehouse": self.kind, "table": "parcel_scores"}}

    @property
    def spec(self) -> LoadedSpec:
        """Its spec, with labels."""
        loaded = make_spec(self.root, **self.changes)
        (loaded.folder / "label.sql").write_text(QUERY)
        return loaded

    @property
    def warehouse(self) -> Warehouse:
        """Where it publishes."""
        return open_warehouse(self.kind, make_settings(self.root).warehouse(self.kind), wait_s=20)

    def publish(self, *, day: dt.date = DAY, version: int = 1, score: Score = km_risk, **columns: Any) -> RunFolder:
        """Score and publish a day."""
        table = parcels(day=day, **columns)
        folder = pass_audit(make_run(self.root, table=table, version=version, score=score, **self.changes))
        publish(folder, make_settings(self.root))
        return folder

    def challenge(self, folder: RunFolder, alias: str) -> Publication:
        """Publish a run's rows to a challenger's table too, from a folder of its own."""
        own, table = RunFolder(folder.path / "challengers" / alias), f"parcel_scores_{alias}"
        shutil.copytree(folder.path, own.path, ignore=shutil.ignore_patterns("challengers"))
        plan, now = own.plan(step="test"), dt.datetime.now(dt.UTC)
        own.write_json(
            "claim.json", self.warehouse.claim(table, partition=plan.partition, run_key=plan.run_key, now=now)
        )
        return self.warehouse.publish(replace(publish_request(own, make_settings(self.root), now=now), table=table))

    def happen(self, late: list[bool | None], *, day: dt.date = DAY) -> None:
        """Write the outcomes of a day."""
        folder = make_settings(self.root).data_root / "outcomes" / f"day={day}"
        folder.mkdir(parents=True, exist_ok=True)
        rows = pa.table({"id": pa.array(range(len(late)), pa.int64()), "late": pa.array(late, pa.bool_())})
        pq.write_table(rows, folder / "0.parquet")
        stamp = sum(bool(one) for one in late) + 1000 * len(late)  # files of one size, written in one moment, differ
        os.utime(folder / "0.parquet", ns=(stamp, stamp))

    @property
    def run(self) -> Measuring:
        """What its days are measured with."""
        return measuring(self.spec, make_settings(self.root), self.warehouse)

    def measure(self, *days: dt.date, dry_run: bool = False) -> list[MeasuredDay]:
        """Measure days."""
        return list(measure_days(self.run, days or (DAY,), latest=LATEST, dry_run=dry_run))

    def state(self) -> str:
        """Measure the day; say what became of it."""
        return self.measure()[0].state

    def read(self) -> list[PerformanceRow]:
        """Read the figures of all days."""
        return read_performance(self.warehouse, "parcel_scores", since=dt.date.min, until=dt.date.max)

    def whole(self) -> list[PerformanceRow]:
        """Read the figures that are of whole days."""
        return [row for row in self.read() if row.is_whole_day]


def random_outcomes(seed: int = 0) -> list[bool | None]:
    """Forty outcomes, the riskier the more often late."""
    risk = km_risk(parcels().to_batches()[0])
    return [bool(late) for late in np.random.default_rng(seed).random(40) < risk]
