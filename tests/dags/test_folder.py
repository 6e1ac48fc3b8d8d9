"""`dags_from`: the one line of a DAG file in somebody's own DAG folder."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.serialization.serialized_objects import DagSerialization

from lockstep.airflow import dags_from, raise_for_missing_dags
from lockstep.airflow.ours import models_root_of
from lockstep.airflow.spark import SparkJobOperator
from lockstep.airflow.step import StepOperator
from lockstep.errors import LockstepError, SettingsError, SpecError
from lockstep.specs.settings import Settings
from tests.dags.bags import parse

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
ONE_LINE = "from lockstep.airflow import dags_from; globals().update(dags_from({folder!r}))\n"
MISSING = "from lockstep.airflow import raise_for_missing_dags; raise_for_missing_dags({folder!r})\n"


def broken(models: Path) -> Path:
    """A copy of the spec with a key that there is none of."""
    folder = models / "broken"
    shutil.copytree(models / "flight_delay", folder)
    file = folder / "scoring.yaml"
    file.write_text(file.read_text().replace("name: flight_delay\nd", "name: broken\nownr: me\nd", 1))
    return folder


def parse_theirs(tmp_path: Path, models: Path) -> BundleDagBag:
    """Parse a DAG folder with both files, as the DAG processor does."""
    dags = tmp_path / "their-dags"
    dags.mkdir()
    (dags / "lockstep.py").write_text(ONE_LINE.format(folder=str(models)))
    (dags / "lockstep_missing.py").write_text(MISSING.format(folder=str(models)))
    return BundleDagBag(dag_folder=str(dags), bundle_path=dags, bundle_name="theirs")


def test_one_line_gives_the_dags_and_pages_of_this_repository(tmp_path: Path, models: Path) -> None:
    ours = parse().dags
    theirs = parse_theirs(tmp_path, models)
    assert theirs.import_errors == {}
    assert {name: (dag.doc_md, dag.task_ids) for name, dag in theirs.dags.items()} == {
        name: (dag.doc_md, dag.task_ids) for name, dag in ours.items()
    }


def test_a_broken_spec_is_an_import_error_of_the_other_file_alone(tmp_path: Path, models: Path) -> None:
    broken(models)
    bag = parse_theirs(tmp_path, models)
    assert "score_flight_delay" in bag.dags
    assert "score_broken" not in bag.dags
    (error,) = bag.import_errors.items()
    assert error[0] == "lockstep_missing.py"
    assert "key ownr: unknown key" in error[1]


def test_where_no_spec_is_right_one_file_is_enough_to_see_it(models: Path) -> None:
    broken(models)
    shutil.rmtree(models / "flight_delay")
    with pytest.raises(LockstepError, match="key ownr: unknown key"):
        dags_from(models)


def test_tasks_look_for_specs_where_their_dag_came_from(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the worker's own LOCKSTEP_MODELS says; also in Airflow's own copy of the DAG, which listeners see."""
    monkeypatch.setenv("LOCKSTEP_MODELS", "/elsewhere")
    for dag in dags_from(models).values():
        tasks = [task for task in dag.tasks if isinstance(task, StepOperator | SparkJobOperator)]
        assert {task.models_root for task in tasks} == {str(models)}
        kept = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        assert models_root_of(SimpleNamespace(dag=kept)) == models
    assert models_root_of(SimpleNamespace(dag=None)) == Settings.from_env(os.environ).models_root


def test_a_spec_in_the_wrong_folder_is_said_so(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpecError, match="there is no such folder"):
        dags_from(tmp_path / "nowhere")
    with pytest.raises(SpecError, match=r"no spec is there; .*there is .*flight_delay/scoring.yaml: name the folder"):
        dags_from(models / "flight_delay")
    with pytest.raises(SpecError, match="name the folder above its folder"):
        dags_from(models.parent)
    monkeypatch.setenv("LOCKSTEP_MODELS", str(tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match=r"LOCKSTEP_MODELS is .*nowhere, which is no folder"):
        dags_from()
    raise_for_missing_dags(tmp_path / "nowhere")  # which the other file has told of
