"""The DAG that measures scores by what happened: when it runs, what it runs, and when it asks for a new model."""

import re
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, Asset
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.serialization.serialized_objects import DagSerialization

from lockstep.airflow.labels import MeasureOperator, RetrainOperator, measure_options
from tests.dags.bags import parse
from tests.dags.tasks import DataPlane, Ti, context

pytestmark = pytest.mark.filterwarnings("ignore")
FORM = {"first_day": None, "last_day": None, "dry_run": False}
RETRAIN = Asset(name="retrain/m", uri="lockstep://retrain/m")
BREACH = '{"limit": "min_auc", "allowed": 0.6, "value": 0.5}'


def dag_of(models: Path, addition: str = "") -> DAG | None:
    file = models / "flight_delay" / "scoring.yaml"
    if addition:
        file.write_text(file.read_text().replace("\nlabels:\n", f"\nlabels:\n{addition}"))
    bag = parse()
    assert bag.import_errors == {}
    return bag.dags.get("label_flight_delay")


def test_a_spec_without_labels_has_no_such_dag(models: Path) -> None:
    file = models / "flight_delay" / "scoring.yaml"
    file.write_text(re.sub(r"\nlabels:\n(  .*\n)+", "\n", file.read_text()))
    assert dag_of(models) is None


def test_it_runs_every_night_and_by_the_asset_and_the_last_task_asks_for_a_model(models: Path) -> None:
    nightly = dag_of(models)
    assert nightly is not None
    assert nightly.timetable.expression == "0 5 * * *"
    addition = "  asset: lockstep://duckdb/flights\n  cron: 0 7 * * *\n"
    dag = dag_of(models, addition + ("" if "retrain" in nightly.task_dict else "  retrain: {min_auc: 0.6}\n"))
    assert dag is not None
    dag.params.validate()
    stored = DagSerialization.to_dict(dag)["dag"]
    assert "lockstep://duckdb/flights" in str(stored["timetable"])
    assert "0 7 * * *" in str(stored["timetable"])
    assert [outlet.name for outlet in dag.get_task("retrain").outlets] == ["retrain/flight_delay"]
    assert [outlet.uri for outlet in dag.get_task("retrain").outlets] == ["lockstep://retrain/flight_delay"]
    assert dag.get_task("retrain").upstream_task_ids == {"measure"}
    assert {task.pool for task in dag.tasks} == {"warehouse_duckdb"}


def test_the_form_becomes_options() -> None:
    assert measure_options(FORM) == ["--no-dry-run"]
    one = {**FORM, "first_day": "2013-08-01", "dry_run": True}
    assert measure_options(one) == ["--from", "2013-08-01", "--to", "2013-08-01", "--dry-run"]
    with pytest.raises(AirflowFailException, match="a first day"):
        measure_options({**FORM, "last_day": "2013-08-01"})


def test_what_was_measured_is_its_xcom_and_days_without_labels_are_in_the_log(
    data_plane: DataPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    data_plane("""echo '{"without_labels": ["2013-08-02"], "asked": "'"$*"'"}'""")
    task = MeasureOperator(task_id="measure", arguments=["labels", "measure", "m", "--json"])
    done = task.execute(context(**FORM))
    assert done["asked"].endswith("labels measure m --json --no-dry-run")
    assert "no row has a label yet of: 2013-08-02" in capsys.readouterr().out


def judged(new: bool, *, breaches: str = BREACH) -> str:
    facts = f'"judgement": {{"model_version": 3, "breaches": [{breaches}]}}, "new": {str(new).lower()}'
    return f"""echo "$*" >> $LOCKSTEP_HOME.asked; echo '{{{facts}}}'"""


def retrain() -> RetrainOperator:
    return RetrainOperator(task_id="retrain", arguments=["labels", "judge", "m", "--json"], outlets=[RETRAIN])


def test_a_new_breach_updates_the_asset_and_says_so(
    data_plane: DataPlane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_plane(judged(new=True))
    given = context(**FORM)
    assert retrain().execute(given)["new"]
    extra = given["outlet_events"][RETRAIN].extra
    assert (extra["model_version"], extra["breaches"][0]["limit"]) == (3, "min_auc")
    assert "a new model is asked for: min_auc 0.6: it is 0.5000" in capsys.readouterr().out
    assert "labels judge m --json --signal score_m b/1" in (tmp_path / "var.asked").read_text()


@pytest.mark.parametrize(
    ("breaches", "message"), [(BREACH, "was asked for already"), ("", "no limit is exceeded")], ids=["old", "none"]
)
def test_without_a_new_breach_nothing_is_updated_and_the_judgement_is_kept(
    data_plane: DataPlane, breaches: str, message: str
) -> None:
    data_plane(judged(new=False, breaches=breaches))
    ti = Ti()
    given: Any = context(ti, **FORM)
    with pytest.raises(AirflowSkipException, match=message):
        retrain().execute(given)
    assert ti.pushed["return_value"]["judgement"]["model_version"] == 3
    assert not given["outlet_events"]


def test_a_dry_run_asks_for_nothing(data_plane: DataPlane, tmp_path: Path) -> None:
    data_plane(judged(new=True))
    with pytest.raises(AirflowSkipException, match="dry run"):
        retrain().execute(context(**{**FORM, "dry_run": True}))
    assert not (tmp_path / "var.asked").exists()
