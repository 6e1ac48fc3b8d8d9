"""Airflow's own DAG processor with 500 specs, one of which is broken."""

from pathlib import Path

from benchmarks.dag_parse import write_specs
from benchmarks.dag_processor import BROKEN_NAME, break_one, process

REPOSITORY = Path(__file__).parents[2]
GOOD = 499
# Airflow's defaults: longer than this, and the file has no DAGs at all.
IMPORT_TIMEOUT_S = 30.0


def test_499_specs_have_their_dags_and_the_broken_one_is_named(tmp_path: Path) -> None:
    models = write_specs(tmp_path / "models", GOOD)
    file = break_one(models)
    found = process(models, tmp_path, airflow=REPOSITORY / ".venv" / "control" / "bin" / "airflow")
    for name, prefix in {
        "scoring": "score",
        "maintenance": "maintain",
        "rollback": "rollback",
        "promotion": "promote",
    }.items():
        wanted = {f"{prefix}_spec_{number:03}" for number in range(GOOD)}
        assert found.dags[f"{name}.py"] == wanted
        assert found.seconds[f"{name}.py"] < IMPORT_TIMEOUT_S
    assert list(found.errors) == ["invalid_specs.py"]
    (text,) = found.errors.values()
    assert str(file) in text
    assert "key ownr: unknown key" in text
    assert BROKEN_NAME not in {dag for dags in found.dags.values() for dag in dags}
