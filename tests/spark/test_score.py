"""Scoring a run through Spark: the same bytes everywhere, one attempt per unit, a stop when too many rows are bad."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lockstep.errors import TooManyBadRows
from lockstep.registry.loading import load_scorer
from lockstep.run.exit_codes import exit_code
from lockstep.run.folder import MANIFEST, RunFolder
from lockstep.run.plan import ModelIdentity
from lockstep.run.profiles import FOLDER, read_profile
from lockstep.run.queue import QUEUE, UnitQueue
from lockstep.scoring.engine import UnitScorer
from lockstep.scoring.reasons import NOT_FINITE
from lockstep.steps import score
from lockstep.steps.job import ERROR_MARK, error_in_log, run_job
from lockstep.steps.score import score_units_with_spark, write_manifest
from tests.integration.held_units import LOST, holding
from tests.integration.kill_runs import Template, check_whole, content, make_model, make_template
from tests.integration.line_child import ROOT, LineChild
from tests.spark.standalone import cluster
from udfs.bulk import RESULT_SCHEMA, score_units

UNITS, UNIT_ROWS = 6, 600
# Those of the profiles, but looked at sooner and for shorter tasks.
PROFILE = read_profile(ROOT / FOLDER / "cluster.conf")
SPECULATION = {
    **{key: value for key, value in PROFILE.items() if key.startswith("spark.speculation")},
    "spark.speculation.interval": "100ms",
    "spark.speculation.minTaskRuntime": "100ms",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelIdentity:
    return make_model(tmp_path_factory.mktemp("artifact") / "model")


@pytest.fixture(scope="module")
def template(model: ModelIdentity, tmp_path_factory: pytest.TempPathFactory) -> Template:
    limits = {"batch_rows": 128}  # several batches per unit
    return make_template(tmp_path_factory.mktemp("plan"), model, units=UNITS, unit_rows=UNIT_ROWS, limits=limits)


@pytest.fixture(scope="module")
def expected(
    template: Template, model: ModelIdentity, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[str, str, str | None]]:
    """The run's content, scored in this process."""
    folder = template.copy(tmp_path_factory.mktemp("expected") / "run")
    wanted = folder.scoring_input(step="test")
    scorer = load_scorer(Path(model.location))
    units = UnitScorer(folder, folder.plan(step="test"), scorer, baseline=None, run_rows=wanted.rows)
    for unit in wanted.units:
        units.score(unit)
    write_manifest(folder)
    check_whole(folder, template)
    return content(folder)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the job often, and tell what is seen each time."""
    monkeypatch.setattr(score, "WATCH_S", 0.02)
    monkeypatch.setattr(score, "TELL_EVERY", 1)


def scored_elsewhere(folder: RunFolder, scratch: Path, **settings: str) -> Iterator[None]:
    """Score a run in a session of another process; yields once it is done and again when that session has ended."""
    own = {"spark.ui.enabled": "false", "spark.driver.memory": "512m", "spark.local.dir": str(scratch / "local")}
    env = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    held = {name: settings.pop(name) for name in ("HELD_UNIT", "TROUBLE") if name in settings}
    arguments = [f"{name}={value}" for name, value in {**own, **settings}.items()]
    with closing(LineChild("spark_runs", *arguments, env={**env, **held}, log=scratch / "log")) as session:
        assert session.answer() == "ready"
        session.tell(str(folder.path))
        assert session.answer() == "done"
        yield
    yield


def attempts(folder: RunFolder) -> int:
    """How many attempts are in staging, finished or not."""
    return len(list(folder.file("staging").glob("*/*.parquet")))


def test_a_session_gives_the_bytes_of_one_process(
    spark: SparkSession, template: Template, expected: list[tuple[str, str, str | None]], tmp_path: Path, watch: None
) -> None:
    folder, lines = template.copy(tmp_path / "run"), list[str]()
    rival = UnitQueue(folder, "a-driver-that-is-thought-dead")
    rival.open(folder.scoring_input(step="test").units)

    def tell(line: str) -> None:
        assert next(iter(rival.units(task=0)), None), "its tasks would end with units unfinished"
        lines.append(line)

    udf = score_units(str(folder.path), run_rows=template.rows)
    manifest = score_units_with_spark(spark, folder, udf=udf, result_schema=RESULT_SCHEMA, tell=tell)
    check_whole(folder, template)
    assert not folder.file(QUEUE).exists()
    assert content(folder) == expected
    assert manifest.reasons == {NOT_FINITE: len(template.bad)}
    assert manifest.profile["rows"] == template.rows
    told = [int(line.partition(" of ")[0].replace(",", "")) for line in lines]
    assert told == sorted(told), "progress goes forward"
    assert lines[-1].startswith(f"{template.rows:,} of {template.rows:,} rows (100 %)")
    assert f"{len(template.bad)} quarantined" in lines[-1]


def test_finished_units_are_not_scored_again(spark: SparkSession, template: Template, tmp_path: Path) -> None:
    folder = template.copy(tmp_path / "run")
    udf = score_units(str(folder.path), run_rows=template.rows)
    first = score_units_with_spark(spark, folder, udf=udf, result_schema=RESULT_SCHEMA)
    lost = first.units[2]
    folder.file(lost.staged).with_suffix(".json").unlink()
    folder.file(MANIFEST).unlink()
    second = score_units_with_spark(spark, folder, udf=udf, result_schema=RESULT_SCHEMA)
    assert [unit.staged for unit in second.units if unit.unit != lost.unit] == [
        unit.staged for unit in first.units if unit.unit != lost.unit
    ]
    assert second.units[2].staged != lost.staged
    assert second.units[2].sha256 == lost.sha256
    check_whole(folder, template)


def test_no_units_give_an_empty_manifest(spark: SparkSession, model: ModelIdentity, tmp_path: Path) -> None:
    empty = make_template(tmp_path, model, units=0, unit_rows=UNIT_ROWS)
    folder = RunFolder(empty.path)
    manifest = score_units_with_spark(spark, folder, udf=score_units(str(folder.path)), result_schema=RESULT_SCHEMA)
    assert manifest == folder.manifest(step="test")
    assert (manifest.units, manifest.rows_in, manifest.profile) == ((), 0, {})


def test_a_task_that_dies_is_tried_again_and_its_rows_come_once(
    spark: SparkSession, template: Template, expected: list[tuple[str, str, str | None]], tmp_path: Path
) -> None:
    """On one core, of which the task's first worker dies half-way through its unit."""
    folder = template.copy(tmp_path / "run")
    held = {"HELD_UNIT": template.units()[1], "TROUBLE": "die_half_way"}
    for _ in scored_elsewhere(folder, tmp_path, **{"spark.master": "local[1,2]"}, **held):
        assert not (folder.path / LOST).exists()
        check_whole(folder, template)
        assert content(folder) == expected


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs two addresses of one machine")
def test_speculation_gives_each_row_once(
    spark: SparkSession, template: Template, expected: list[tuple[str, str, str | None]], tmp_path: Path
) -> None:
    """The first attempt at a unit waits until its rival, which Spark starts on the other host, has finished."""
    folder = template.copy(tmp_path / "run")
    held = {"HELD_UNIT": template.units()[1], "TROUBLE": "wait_for_rival"}
    own = {"spark.executor.memory": "512m", "spark.driver.host": "127.0.0.1", "spark.cores.max": "2"}
    with cluster(tmp_path, {"PYTHONPATH": str(ROOT), "JAVA_HOME": os.environ["JAVA_HOME"]}) as url:
        for _ in scored_elsewhere(folder, tmp_path, **{"spark.master": url}, **own, **SPECULATION, **held):
            wait_until_lost(folder)
            check_whole(folder, template)
            assert content(folder) == expected


def wait_until_lost(folder: RunFolder) -> None:
    deadline = time.monotonic() + 60
    while not (folder.path / LOST).exists():
        assert time.monotonic() < deadline, "the first attempt did not end"
        time.sleep(0.05)


def test_bad_rows_of_several_units_stop_the_job(
    spark: SparkSession,
    model: ModelIdentity,
    tmp_path: Path,
    watch: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No unit has more than the run may have; together they have, while one unit is still in work."""
    bad = [unit * UNIT_ROWS + i for unit in range(1, UNITS) for i in range(80)]
    folder = RunFolder(make_template(tmp_path, model, units=UNITS, unit_rows=UNIT_ROWS, bad=bad).path)
    rows = UNITS * UNIT_ROWS
    allowed, last = folder.plan(step="test").bad_rows_allowed(rows), "u00000"
    assert 80 < allowed < len(bad)

    def work(session: SparkSession, run: RunFolder) -> int:
        udf = score_units(str(run.path), bad_rows_allowed=allowed, run_rows=rows)
        held = holding(udf, run.path, unit=last, trouble="wait_in_vain")
        return score_units_with_spark(session, run, udf=held, result_schema=RESULT_SCHEMA).rows_in

    error = failed_job(work, folder, monkeypatch, capsys)
    assert f"allows {allowed} of the whole run" in str(error)
    assert f"Most often: {NOT_FINITE}" in str(error)
    assert not list(folder.file("staging", last).glob("*.json"))


def test_bad_rows_of_one_unit_stop_the_job(
    spark: SparkSession,
    model: ModelIdentity,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = UNITS * UNIT_ROWS
    template = make_template(
        tmp_path, model, units=UNITS, unit_rows=UNIT_ROWS, bad=range(UNIT_ROWS), limits={"batch_rows": 128}
    )

    def work(session: SparkSession, run: RunFolder) -> int:
        udf = score_units(str(run.path), bad_rows_allowed=100, run_rows=rows)
        return score_units_with_spark(session, run, udf=udf, result_schema=RESULT_SCHEMA).rows_in

    error = failed_job(work, RunFolder(template.path), monkeypatch, capsys)
    assert "128 of the 128 rows that were read have no score" in str(error)
    assert "allows 100 of the whole run" in str(error)


def failed_job(
    work: Callable[[SparkSession, RunFolder], int],
    folder: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> TooManyBadRows:
    """Run work as a job, which must fail with one line that says why and leave no manifest; return the error."""
    monkeypatch.setattr(sys, "argv", ["score.py", "--run-folder", str(folder.path)])
    code = run_job("score", work)
    text = capsys.readouterr().err
    lines = [line for line in text.splitlines() if line.startswith(ERROR_MARK)]
    assert len(lines) == 1
    assert json.loads(lines[0].removeprefix(ERROR_MARK))["type"] == "TooManyBadRows"
    error = error_in_log(text)
    assert isinstance(error, TooManyBadRows)
    assert code == exit_code(error)
    assert not folder.has(MANIFEST)
    return error
