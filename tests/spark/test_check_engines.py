"""Both engines of the checks, over the same rows and suites: every figure, verdict and sample is the same."""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from lockstep.errors import FileUnreadable
from lockstep.quality.asks import HashSum, Question, Uncomputable
from lockstep.quality.catalogue import EXPECTATIONS
from lockstep.quality.expectations import Decision
from lockstep.quality.measurement import Engine
from lockstep.quality.measuring import EMBEDDED
from lockstep.quality.metrics import mismatches
from lockstep.quality.results import CheckResult
from lockstep.quality.rows import Rows, staged_rows
from lockstep.quality.samples import MASKED, with_samples
from lockstep.quality.spark_measuring import spark_engine
from lockstep.quality.suites import Suite
from tests.spark.check_rows import FURTHER, ODD, PLAIN, RECORDS, REGEXES, TABLE, check, figures, records, texts

AT = dt.datetime(2024, 3, 5, tzinfo=dt.UTC)
RELATIVE = 1e-12  # sums of floats are taken in another order


@pytest.fixture(scope="module")
def engine(spark: SparkSession) -> Engine:
    return spark_engine(spark)


def written(folder: Path, columns: Mapping[str, pa.Array], *, parts: int = 3) -> Rows:
    table = pa.table(dict(columns))
    files = []
    size = math.ceil(table.num_rows / parts) or 1
    for number in range(parts):
        files.append(folder / f"day={number}.parquet")
        pq.write_table(table.slice(number * size, size), files[-1])
    return staged_rows(files, where="the rows")


def measured(
    suite: Suite, rows: Rows, engine: Engine, folder: Path, *, samples: int = 0, sensitive: Sequence[str] = ()
) -> tuple[dict[Any, Any], list[CheckResult]]:
    """The answers, and what comes of them."""
    decision = Decision(suite)
    with engine.measuring(rows, names=(*suite.needs, *rows.schema.names[:1])) as measurement:
        answers = measurement.answer(decision.questions(measurement.columns))
        results = decision.results(answers, name="x", docs=folder / engine.name, at=AT)
        key = rows.schema.names[:1]
        found = with_samples(results, suite.checks, measured=measurement, key=key, sensitive=sensitive, rows=samples)
    return answers, found


def alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return one == other or math.isclose(one, other, rel_tol=RELATIVE)
    if isinstance(one, Uncomputable) or isinstance(other, Uncomputable):
        return isinstance(one, Uncomputable) and isinstance(other, Uncomputable)
    return bool(one == other)


def compare(checks: Sequence[Mapping[str, Any]], rows: Rows, engine: Engine, folder: Path) -> list[CheckResult]:
    suite = Suite.model_validate({"expectations": list(checks)})
    ours, verdict = measured(suite, rows, EMBEDDED, folder)
    theirs, other_verdict = measured(suite, rows, engine, folder)
    names = {metric.id: metric for metrics in Decision(suite)._metrics for metric in metrics}
    different = [
        (m.metric_name, m.metric_domain_kwargs, m.metric_value_kwargs, ours[key], theirs[key])
        for key, m in names.items()
        if key in ours and not alike(ours[key], theirs[key])
    ]
    assert not different, "\n".join(map(str, different))
    assert [(a, b) for a, b in zip(verdict, other_verdict, strict=True) if a != b] == []
    return verdict


def test_figures_of_every_column(engine: Engine, tmp_path: Path) -> None:
    rows = written(tmp_path, PLAIN)
    found = compare([*TABLE, *figures([*PLAIN])], rows, engine, tmp_path)
    assert {result.success for result in found} == {True, False}


def test_texts_and_records(engine: Engine, tmp_path: Path) -> None:
    rows = written(tmp_path, PLAIN)
    found = compare([*texts(["text"], REGEXES), *records(*RECORDS)], rows, engine, tmp_path)
    assert {result.success for result in found} == {True, False}


@pytest.mark.parametrize("name", ["x", "n", "unsigned", "flag", "at", "day"])
def test_texts_of_other_values(engine: Engine, tmp_path: Path, name: str) -> None:
    """Those that a data frame gives, which is what Great Expectations looks at."""
    compare(texts([name], [r"\.0$"]), written(tmp_path, PLAIN), engine, tmp_path)


def test_what_only_workers_can_read(engine: Engine, tmp_path: Path) -> None:
    rows = written(tmp_path, {"id": PLAIN["id"], "A": PLAIN["A"], "a": PLAIN["a"], **FURTHER})
    names = ["v.norm", "v.mean", *(name for name in FURTHER if name != "v")]
    further = [*records(("v.norm", "a", "A"), ("bytes", "half"), ("list", "v.norm")), *texts(["fine", "v.max"], ["5$"])]
    compare([*TABLE, *figures(names), *further], rows, engine, tmp_path)


def test_plain_columns_read_by_workers(engine: Engine, tmp_path: Path) -> None:
    """As those of a table with filters or constants are."""
    rows = replace(written(tmp_path, PLAIN), files=None)
    some = ["n", "big", "money", "yes", "text", "naive", ODD]
    compare([*figures(some), *records(RECORDS[1])], rows, engine, tmp_path)


def test_no_rows(engine: Engine, tmp_path: Path) -> None:
    some = ["x", "whole", "text", "day"]
    checks = [*TABLE, *figures(some), *texts(["text"], REGEXES[-1:]), *records(RECORDS[0])]
    compare(checks, written(tmp_path, {name: array[:0] for name, array in PLAIN.items()}, parts=1), engine, tmp_path)
    compare(TABLE, staged_rows([], where="x"), engine, tmp_path)
    no_part = Rows(pa.schema([(name, pa.null()) for name in some]), "x", lambda _: iter(()))
    compare([*TABLE, *figures(some[:2])], no_part, engine, tmp_path)


def test_keys_that_differ_and_those_that_only_look_different(engine: Engine, tmp_path: Path) -> None:
    columns = {"id": pa.array([1, 2, 3, 4]), "zero": pa.array([0.0, -0.0, 1.0, None])}
    checks = [check("column_values_to_be_unique", {}, name) for name in columns]
    found = compare(checks, written(tmp_path, columns, parts=2), engine, tmp_path)
    assert [result.unexpected_count for result in found] == [0, 2]


def test_samples_and_what_is_sensitive(engine: Engine, tmp_path: Path) -> None:
    rows = written(tmp_path, PLAIN)
    checks = [
        check("column_values_to_not_be_null", {}, "text"),
        check("column_values_to_be_between", {"min_value": 0.15}, "f"),
        check("column_values_to_be_in_set", {"value_set": ["it's", "a\\d"]}, "text"),
        check("column_values_to_match_regex", {"regex": r"^[a-z][0-9]?\.?$"}, "text"),
        check("column_value_lengths_to_equal", {"value": 1}, "word"),
        check("column_value_z_scores_to_be_less_than", {"threshold": 0.5, "double_sided": True}, "at"),
        check("column_value_z_scores_to_be_less_than", {"threshold": 0.5, "double_sided": True}, "unsigned"),
        check("compound_columns_to_be_unique", {}, "day", "flag"),
        check("multicolumn_sum_to_equal", {"sum_total": 3}, "x", "whole", "money"),
        check("column_pair_values_to_be_equal", {}, "f", "big"),
    ]
    suite = Suite.model_validate({"expectations": checks})
    ours, theirs = (
        measured(suite, rows, one, tmp_path, samples=3, sensitive=["word"])[1] for one in (EMBEDDED, engine)
    )
    assert [(a.sample, b.sample) for a, b in zip(ours, theirs, strict=True) if a != b] == []
    assert all(result.sample is not None and result.sample.rows for result in ours)
    assert {row[-1] for row in ours[4].sample.rows if ours[4].sample} == {MASKED}


def test_every_expectation_is_compared() -> None:
    made = [*TABLE, *figures(["x"]), *texts(["text"], ["a"]), *records(("x", "n"))]
    known = {name for name, rule in EXPECTATIONS.items() if rule.against is None}
    assert {one["expectation"] for one in made} == known


def test_sums_of_hashes_tell_keys_apart_in_any_order(engine: Engine, tmp_path: Path) -> None:
    def sums(rows: Rows) -> Any:
        def question(salt: int) -> Question:
            return (yield (HashSum(tuple(measurement.columns[name] for name in names), salt=salt),))[0]

        names = ["day", "n", "text"]
        with engine.measuring(rows, names=names) as measurement:
            return measurement.answer({salt: question(salt) for salt in (0, 8191)})

    base = {name: PLAIN[name] for name in ("day", "n", "text")}
    order = pa.array([*range(12, 24), *range(12)])
    (tmp_path / "other").mkdir()
    (tmp_path / "wide").mkdir()
    known = sums(written(tmp_path, base))
    assert sums(written(tmp_path / "other", {name: a.take(order) for name, a in base.items()}, parts=2)) == known
    narrow = {**base, "n": base["n"].cast(pa.int8())}
    assert sums(written(tmp_path / "wide", narrow)) == known, "whole numbers of another width are the same"
    swapped = {**base, "n": pa.array([*base["n"].to_pylist()[1:], 5])}
    assert sums(written(tmp_path / "wide", swapped)) != known


def test_the_session_of_the_caller_is_left_as_it_was(spark: SparkSession, engine: Engine, tmp_path: Path) -> None:
    def kind_of_times() -> object:
        active = SparkSession.getActiveSession()
        return active and active.conf.get("spark.sql.timestampType")

    before = kind_of_times()
    for some in (written(tmp_path, PLAIN), staged_rows([], where="x"), replace(written(tmp_path, PLAIN), files=None)):
        names = some.schema.names[:1]
        with engine.measuring(some, names=names) as measurement:
            measurement.answer(
                {name: mismatches(measurement.columns[name], {"regex": "a"}, when=True) for name in names}
            )
    assert kind_of_times() == before
    assert spark.sql("SELECT TIMESTAMP '2024-01-01 00:00:00' AS t").dtypes == [("t", "timestamp")]


def test_text_that_is_no_text_is_an_error_without_the_text(engine: Engine, tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(pa.string(), 1, pa.array([b"SECRET\xff"], pa.binary()).buffers())
    rows = written(tmp_path, {"a": bad}, parts=1)
    for some in (rows, replace(rows, files=None)):
        with engine.measuring(some, names=["a"]) as measurement, pytest.raises(FileUnreadable) as caught:
            measurement.answer({0: mismatches(measurement.columns["a"], {"regex": "^a"}, when=False)})
        assert "SECRET" not in str(caught.value)
