"""Executors that do not have the driver's versions: a real cluster, real other environments, one clear error."""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lockstep.errors import EnvironmentsDiffer
from lockstep.run.exit_codes import exit_code
from lockstep.run.folder import MANIFEST
from lockstep.run.versions import CODE, code_digest
from lockstep.shipping import environment
from lockstep.shipping.delivery import deliver
from lockstep.specs.settings import Settings
from lockstep.steps.spark import submit_job
from tests.integration.kill_runs import Template, make_model, make_template
from tests.spark.projects import ROOT, make_project
from tests.spark.standalone import cluster

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs two addresses of one machine")
TIMEOUT_S = 150


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    model = make_model(tmp_path_factory.mktemp("artifact") / "model")
    return make_template(tmp_path_factory.mktemp("plan"), model, units=4, unit_rows=300)


@pytest.fixture(scope="module")
def url(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster whose hosts have Python, and nothing of this repository on their path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONPATH", raising=False)
        patch.setenv("LOCKSTEP_DATA_PYTHON", sys.executable)
        with cluster(tmp_path_factory.mktemp("cluster"), {"JAVA_HOME": os.environ["JAVA_HOME"]}) as found:
            yield found


def refused(template: Template, settings: Settings, tmp_path: Path) -> str:
    """Score a run, which the executors must refuse before they touch a row; return what is said."""
    folder = template.copy(tmp_path / "run")
    with pytest.raises(EnvironmentsDiffer) as error:
        submit_job("score", folder, settings, timeout_s=TIMEOUT_S)
    assert not folder.has(MANIFEST)
    assert not list(folder.path.rglob("staging/*/*.parquet")), "something was scored"
    assert exit_code(error.value) == 4
    return str(error.value)


def test_executors_with_another_lockstep_do_not(url: str, template: Template, tmp_path: Path) -> None:
    for name in ("lockstep", "udfs"):
        shutil.copytree(ROOT / name, tmp_path / "other" / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "other" / "lockstep" / "scoring" / "pieces.py").open("a") as module:
        module.write("# another version\n")
    (tmp_path / "other" / "lockstep" / "run" / "queue.py").unlink()  # what the driver's function asks for
    other = {"spark_executorEnv_PYTHONPATH": str(tmp_path / "other")}
    settings = make_project(tmp_path / "project", url, **other)
    told = refused(template, settings, tmp_path)
    assert f"{CODE}: expected {code_digest(ROOT)}, found {code_digest(tmp_path / 'other')}" in told
    assert sys.executable in told
    assert "lockstep package" in told
    assert "numpy" not in told


def test_a_shipped_environment_of_other_packages_is_found_out(
    url: str, template: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive without torch, as one of another list of packages would be; its interpreter is the archive's own."""
    few = ["pyarrow", "pandas", "pydantic", "pyyaml", "packaging"]
    monkeypatch.setattr(environment, "executor_packages", lambda _: few)
    monkeypatch.setattr(environment, "COMPRESSION", 0)
    monkeypatch.setattr(environment, "check_environment", lambda *_: None)  # it imports torch
    settings = make_project(tmp_path / "project", url)
    settings = replace(settings, spark_archive=str(tmp_path / "archives"))
    environment_archive, code = deliver(settings, settings.spark_archive, driver=False, tell=lambda _: None)
    assert environment_archive.made
    assert code.made
    told = refused(template, settings, tmp_path)
    assert "torch: expected 2.13.0, found none" in told
    assert "/environment/bin/python" in told
    assert CODE not in told
    assert "pyarrow" not in told
