"""Forty-odd kinds of bad output: each is stopped by the check that docs/checks.md names for it, or documented there.

A run is spoilt where such a fault would come in: in the model's answers, in the input, in the written rows with a
manifest that agrees with them (a scorer with a fault), or behind the manifest's back (a disk, a hand).
"""

import datetime as dt
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from lockstep.errors import CheckFailed, LockstepError, StepOutOfOrder
from lockstep.run.folder import MANIFEST, RunFolder
from lockstep.steps.audit import audit
from lockstep.steps.publish import publish
from tests.unit.steps.runs import DAY, make_model, make_settings, make_spec, parcels, pass_audit, plan_run, score_run
from tests.unit.steps.test_audit import constant, rewrite

pytestmark = pytest.mark.slow

ROWS = 400
YESTERDAY = DAY - dt.timedelta(days=1)
SUITE = {
    "expect_column_values_to_be_between": {"column": "risk", "kwargs": {"min_value": 0, "max_value": 1}},
    "expect_column_values_to_not_be_null": {"columns": ["day", "id", "risk"]},
    "expect_column_stdev_to_be_between": {"column": "risk", "kwargs": {"min_value": 0.05}},
    "expect_column_unique_value_count_to_be_between": {"column": "risk", "kwargs": {"min_value": 40}},
    "expect_column_values_to_be_in_set": {"column": "depot", "kwargs": {"value_set": ["N", "S"]}},
    "expect_keys_to_be_unique": {},
    "expect_keys_to_equal_input": {},
    "expect_row_count_to_be_near_previous": {"kwargs": {"max_change_percent": 30}},
    "expect_scores_to_differ_from_previous": {},
    "expect_column_distribution_to_be_near_previous": {"columns": ["risk", "depot"], "kwargs": {"max_distance": 0.25}},
    "expect_column_distribution_to_be_near_training": {"column": "km", "kwargs": {"max_distance": 0.5}},
    "expect_column_nulls_to_be_near_previous": {"columns": ["km", "depot"], "kwargs": {"max_points": 10}},
}
CHECKS = [{"expectation": name, "why": "it must", **facts} for name, facts in SUITE.items()]

Scores = npt.NDArray[np.float64]
Spoil = Callable[[RunFolder], None]


def km_of(ids: Any) -> Scores:
    """Distances with a long tail, so that no distribution here is symmetric."""
    return ((np.asarray(ids) * 37) % 101) ** 2 / 101.0


def true_score(batch: pa.RecordBatch) -> Scores:
    found: Scores = np.nan_to_num(batch.column("km").to_numpy(zero_copy_only=False), nan=20.0) / 101
    return found


def day_rows(day: dt.date = DAY, *, rows: int = ROWS, first: int = 0, **columns: Any) -> pa.Table:
    ids = np.arange(first, first + rows)
    return parcels(rows, day=day, **{"id": pa.array(ids), "km": pa.array(km_of(ids)), **columns})


@dataclass(frozen=True)
class Bad:
    """One kind of bad output.

    Attributes:
        caught: Names of checks, of which at least one must stop it; or words of the error of `publish`.
        score: The model's answers.
        table: The input.
        spoil: What happens to the run folder before the audit.
    """

    caught: str
    score: Callable[[pa.RecordBatch], Scores] = true_score
    table: Callable[[], pa.Table] = day_rows
    spoil: Spoil | None = None


def answers(change: Callable[[Scores], Any]) -> Callable[[pa.RecordBatch], Scores]:
    return lambda batch: np.asarray(change(true_score(batch)), dtype=np.float64)


def written(change: Callable[[pa.Table], pa.Table]) -> Spoil:
    return lambda folder: rewrite(folder, change)


def stamped(column: str, value: Any) -> Spoil:
    return written(lambda table: constant(table, column, value))


def manifest(change: Callable[[dict[str, Any]], None]) -> Spoil:
    def spoil(folder: RunFolder) -> None:
        facts = json.loads(folder.file(MANIFEST).read_text())
        change(facts)
        folder.write_json(MANIFEST, facts)

    return spoil


def behind_its_back(change: Callable[[Path], None]) -> Spoil:
    return lambda folder: change(folder.file(folder.manifest(step="test").units[0].staged))


def first_values(table: pa.Table, column: str, *values: Any) -> pa.Table:
    place = table.column_names.index(column)
    kept = table.column(column).to_pylist()
    return table.set_column(place, column, pa.array([*values, *kept[len(values) :]], table.schema.field(column).type))


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def lose_rows(table: pa.Table) -> pa.Table:
    return table.slice(3)


KINDS: dict[str, Bad] = {
    # The model answers nonsense.
    "all scores are one constant": Bad("stdev", answers(lambda s: s * 0 + 0.5)),
    "all scores are zero": Bad("stdev", answers(lambda s: s * 0)),
    "all scores are NaN": Bad("quarantined_fraction", answers(lambda s: s * np.nan)),
    "a fifth of the scores are NaN": Bad(
        "quarantined_fraction", answers(lambda s: np.where(s > np.quantile(s, 0.2), s, np.nan))
    ),
    "all scores are infinite": Bad("quarantined_fraction", answers(lambda s: s + np.inf)),
    "percent instead of a share": Bad("values_to_be_between", answers(lambda s: s * 100)),
    "negative scores": Bad("values_to_be_between", answers(lambda s: -s)),
    "logits instead of probabilities": Bad("values_to_be_between", answers(lambda s: np.log((s + 0.01) / (1.01 - s)))),
    "labels instead of probabilities": Bad("unique_value_count", answers(lambda s: s > 0.5)),
    "scores rounded to one digit": Bad("unique_value_count", answers(lambda s: np.round(s, 1))),
    "the other class's probability": Bad("near_previous", answers(lambda s: 1 - s)),
    "scores shifted up": Bad("near_previous", answers(lambda s: np.minimum(s + 0.3, 1))),
    "scores halved": Bad("near_previous", answers(lambda s: s / 2)),
    "scores squared": Bad("near_previous", answers(lambda s: s**2)),
    "a feature instead of the score": Bad("values_to_be_between", answers(lambda s: s * 101)),
    "half of the rows get the default score": Bad(
        "near_previous", answers(lambda s: np.where(s > np.median(s), 0.1, s))
    ),
    "yesterday's scores again": Bad("scores_to_differ_from_previous", table=lambda: day_rows(rows=ROWS - 3)),
    # The input was bad and nobody noticed.
    "two columns were swapped": Bad(
        "near_training", table=lambda: day_rows(km=pa.array(np.arange(ROWS, dtype=float)), id=pa.array(range(ROWS)))
    ),
    "a unit changed (miles to metres)": Bad(
        "near_training", table=lambda: day_rows(km=pa.array(km_of(range(ROWS)) * 1609))
    ),
    "a feature is null": Bad("nulls_to_be_near", table=lambda: day_rows(km=pa.nulls(ROWS, pa.float64()))),
    "a text column collapsed": Bad("near_previous", table=lambda: day_rows(depot=pa.array(["N"] * ROWS))),
    "a text column lost its values": Bad("nulls_to_be_near", table=lambda: day_rows(depot=pa.nulls(ROWS, pa.string()))),
    "an unknown category": Bad("values_to_be_in_set", table=lambda: day_rows(depot=pa.array(["X"] * ROWS))),
    "half of the day is missing": Bad("row_count_to_be_near", table=lambda: day_rows(rows=ROWS // 2)),
    "the day was loaded twice over": Bad("row_count_to_be_near", table=lambda: day_rows(rows=2 * ROWS)),
    "one key has two rows in the input": Bad("keys_are_unique", table=lambda: first_values(day_rows(), "id", 1)),
    "a key is null": Bad("values_to_not_be_null", table=lambda: first_values(day_rows(), "id", None)),
    # The scorer wrote something else than it should.
    "rows are missing": Bad("staged_rows_equal_the_manifest", spoil=written(lose_rows)),
    "rows are there twice": Bad(
        "staged_rows_equal_the_manifest", spoil=written(lambda t: pa.concat_tables([t, t.slice(0, 5)]))
    ),
    "a row was replaced by its neighbour": Bad(
        "keys_are_unique", spoil=written(lambda t: pa.concat_tables([t.slice(1, 1), t.slice(1)]))
    ),
    "keys of other rows": Bad(
        "keys_to_equal_input",
        spoil=written(lambda t: t.set_column(1, "id", pa.array([i + 10_000 for i in t.column("id").to_pylist()]))),
    ),
    "one key of another row": Bad("keys_to_equal_input", spoil=written(lambda t: first_values(t, "id", 99_999))),
    "a score is null": Bad("values_to_not_be_null", spoil=written(lambda t: first_values(t, "risk", None))),
    "another model's name": Bad("names_this_model", spoil=stamped("model_name", "other")),
    "another model version": Bad("names_this_model", spoil=stamped("model_version", 6)),
    "another model digest": Bad("names_this_model", spoil=stamped("model_digest", "0" * 64)),
    "another run": Bad("names_this_model", spoil=stamped("run_key", "f" * 16)),
    "no time of scoring": Bad("names_this_model", spoil=stamped("scored_at", None)),
    "another partition": Bad("only_this_partition", spoil=stamped("day", YESTERDAY)),
    "two partitions in one file": Bad(
        "only_this_partition", spoil=written(lambda t: first_values(t, "day", YESTERDAY))
    ),
    "a row of no partition": Bad(
        "only_this_partition|not_be_null", spoil=written(lambda t: first_values(t, "day", None))
    ),
    "a column is missing": Bad("columns_are_the_tables", spoil=written(lambda t: t.drop_columns(["depot"]))),
    "a column too many": Bad("columns_are_the_tables", spoil=written(lambda t: t.append_column("x", t["id"]))),
    "columns in another order": Bad(
        "columns_are_the_tables", spoil=written(lambda t: t.select([*t.column_names[1:], t.column_names[0]]))
    ),
    "nothing was written": Bad("staged_rows_equal_the_manifest", spoil=written(lambda t: t.slice(0, 0))),
    # The manifest is wrong.
    "a unit was forgotten": Bad("every_unit_is_accepted_once", spoil=manifest(lambda m: m["units"].pop())),
    "a unit counts twice": Bad(
        "every_unit_is_accepted_once|keys_are_unique", spoil=manifest(lambda m: m["units"].append(m["units"][0]))
    ),
    "the manifest counts rows that are not there": Bad(
        "rows_balance|staged_rows_equal",
        spoil=manifest(lambda m: m["units"][0].update(rows_scored=999, rows_staged=999)),
    ),
    "the manifest is of another run": Bad(
        "a passed audit of this run's manifest", spoil=manifest(lambda m: m.update(run_key="0" * 16))
    ),
    # Somebody or something changed a file behind the manifest's back.
    "a file was cut": Bad("files_are_unchanged", spoil=behind_its_back(lambda p: p.write_bytes(p.read_bytes()[:-9]))),
    "a bit flipped on the disk": Bad("files_are_unchanged", spoil=behind_its_back(flip_a_bit)),
    "a file is gone": Bad("files_are_unchanged", spoil=behind_its_back(lambda p: p.unlink())),
    "a file was written anew": Bad(
        "files_are_unchanged", spoil=behind_its_back(lambda p: pq.write_table(pq.read_table(p).slice(1), p))
    ),
}
# What no check of one day's output can see; docs/checks.md says what does.
OUT_OF_REACH: dict[str, Bad] = {
    "right scores on the wrong rows": Bad("", lambda b: np.random.default_rng(5).permutation(true_score(b))),
    "a difference in the last digits": Bad("", answers(lambda s: s * (1 + 1e-9))),
    "another model that answers alike": Bad("", answers(lambda s: np.clip(s + 0.004, 0, 1))),
}


def go_live(folder: RunFolder, root: Path) -> None:
    audit(folder, make_settings(root))
    publish(folder, make_settings(root))


def make(root: Path, kind: str, bad: Bad, *, day: dt.date | None = None) -> RunFolder:
    limits = {"max_quarantined_fraction": 0.1, "max_drift_psi": 100}
    loaded = make_spec(root, limits=limits, reporting={})
    (loaded.folder / "checks" / "audit.yaml").write_text(yaml.safe_dump({"expectations": CHECKS}))
    model = make_model(root, loaded, version=1, training=day_rows(rows=2_000), score=true_score)
    table = bad.table() if day is None else day_rows(day, rows=ROWS - 3)
    folder = plan_run(root, table, loaded, model, data=kind)
    score_run(folder, bad.score)
    return folder


@pytest.fixture(scope="module")
def after_yesterday(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place where yesterday was published."""
    root = tmp_path_factory.mktemp("bad")
    yesterday = pass_audit(make(root, "yesterday", Bad(""), day=YESTERDAY))
    publish(yesterday, make_settings(root))
    return root


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_caught(kind: str, after_yesterday: Path) -> None:
    root, bad = after_yesterday, KINDS[kind]
    folder = make(root, kind, bad)
    if bad.spoil is not None:
        bad.spoil(folder)
    with pytest.raises(LockstepError) as caught:
        go_live(folder, root)
    lines = caught.value.failures if isinstance(caught.value, CheckFailed) else (str(caught.value),)
    assert any(re.search(bad.caught, line) for line in lines), "\n".join(lines)
    assert isinstance(caught.value, CheckFailed | StepOutOfOrder)


def test_a_good_day_passes(after_yesterday: Path) -> None:
    folder = make(after_yesterday, "a good day", Bad(""))
    assert audit(folder, make_settings(after_yesterday))["passed"]


@pytest.mark.parametrize("kind", OUT_OF_REACH)
def test_it_is_out_of_reach_and_documented(kind: str, after_yesterday: Path) -> None:
    folder = make(after_yesterday, kind, OUT_OF_REACH[kind])
    assert audit(folder, make_settings(after_yesterday))["passed"]
    assert kind in Path("docs/checks.md").read_text(encoding="utf-8")


def test_the_docs_name_every_kind() -> None:
    page = Path("docs/checks.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if kind not in page] == []
    assert len(KINDS) >= 40
