"""Shipping as a whole: `lockstep package` of this environment, and a run scored by executors with nothing else."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.registry.loading import load_scorer
from lockstep.run.java import find_java_home
from lockstep.scoring.engine import UnitScorer
from lockstep.steps.score import write_manifest
from lockstep.steps.spark import submit_job
from tests.integration.kill_runs import Template, check_whole, content, make_model, make_template
from tests.spark.projects import ROOT, make_project
from tests.spark.standalone import cluster

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="interpreters of Linux alone can be moved"),
]
TIMEOUT_S = 400


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command makes."""
    folder = tmp_path_factory.mktemp("archives")
    assert [archive["made"] for archive in packaged(folder)] == [True, True]
    return folder


def packaged(folder: Path) -> list[dict[str, object]]:
    command = [sys.executable, "-m", "lockstep", "package", "--output", str(folder), "--json"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "LOCKSTEP_PROJECT": str(ROOT), "LOCKSTEP_HOME": str(folder / "home")}
    answer = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    assert answer.returncode == 0, answer.stderr
    found: list[dict[str, object]] = json.loads(answer.stdout)["archives"]
    return found


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A cluster whose hosts have Spark (found by this Python), and nothing of this repository on their path."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("LOCKSTEP_DATA_PYTHON", sys.executable)
    java_home = str(find_java_home(os.environ, cache_root=tmp_path / "java"))
    with cluster(tmp_path, {"JAVA_HOME": java_home, "PYSPARK_PYTHON": sys.executable}) as found:
        yield found


def test_what_is_there_is_not_made_again(archives: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in archives.glob("*.*")}
    assert [archive["made"] for archive in packaged(archives)] == [False, False]
    assert {path.name: path.stat().st_mtime_ns for path in archives.glob("*.*")} == before


def test_executors_with_nothing_but_the_archives_give_the_same_bytes(
    archives: Path, url: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    model = make_model(tmp_path / "model")
    template = make_template(tmp_path_factory.mktemp("plan"), model, units=4, unit_rows=600)
    settings = replace(make_project(tmp_path / "project", url), spark_archive=str(archives))
    folder = template.copy(tmp_path / "run")
    submit_job("score", folder, settings, timeout_s=TIMEOUT_S)
    check_whole(folder, template)
    assert content(folder) == expected(template, tmp_path)
    log = folder.file("logs", "score.log").read_text()
    assert "score: " in log


def expected(template: Template, tmp_path: Path) -> list[tuple[str, str, str | None]]:
    """Score the same in this process."""
    folder = template.copy(tmp_path / "expected")
    wanted, plan = folder.scoring_input(step="test"), folder.plan(step="test")
    scorer = load_scorer(Path(plan.model.location))
    units = UnitScorer(folder, plan, scorer, baseline=None, run_rows=wanted.rows)
    for unit in wanted.units:
        units.score(unit)
    write_manifest(folder)
    return content(folder)
