"""Airflow and ports."""

from pathlib import Path

import pytest

from lockstep.doctor import services
from lockstep.doctor.services import check_airflow, check_ports
from tests.unit.doctor.worlds import Answers, Echo, states, world


@pytest.fixture
def airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "airflow").touch()
    (tmp_path / "dags").mkdir()
    monkeypatch.setattr(services, "airflow_version", lambda _: "3.1.0")
    return {
        "LOCKSTEP_CONTROL_PYTHON": str(tmp_path / "bin" / "python"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
    }


def test_without_airflow_a_shell_still_does(tmp_path: Path) -> None:
    environ = {"LOCKSTEP_CONTROL_PYTHON": str(tmp_path / "python")}
    (told,) = check_airflow(world(tmp_path, environ=environ))
    assert (told.state, "make setup-control" in told.advice) == ("warning", True)


def test_our_own_airflow_has_a_database_or_makes_one(tmp_path: Path, airflow: dict[str, str]) -> None:
    (told,) = check_airflow(world(tmp_path, environ=airflow))
    assert (told.state, told.found.endswith("database: made by `lockstep up`")) == ("ok", True)
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").touch()
    (told,) = check_airflow(world(tmp_path, environ=airflow))
    assert "database: of `lockstep up`" in told.found


def test_no_folder_of_dags_is_a_problem(tmp_path: Path, airflow: dict[str, str]) -> None:
    (tmp_path / "dags").rmdir()
    assert states(check_airflow(world(tmp_path, environ=airflow))) == ["problem"]


@pytest.mark.parametrize(
    ("asking", "state"),
    [
        (Echo({"dialect": "postgresql"}), "ok"),
        (Echo({"error": "does not answer: OperationalError"}), "problem"),
        (Answers(), "problem"),
    ],
)
def test_the_database_of_somebody_s_own_airflow_is_asked(
    tmp_path: Path, airflow: dict[str, str], asking: object, state: str
) -> None:
    environ = {**airflow, "AIRFLOW_HOME": str(tmp_path / "own")}
    assert states(check_airflow(world(tmp_path, environ=environ, asking=asking))) == [state]


def test_a_port_that_is_taken_is_told_with_who_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "is_free", lambda port: port != 5000)
    monkeypatch.setattr(services, "_holder", lambda port: f"mlflow (process {port})")
    told = {one.found.split()[0]: one for one in check_ports(world(tmp_path))}
    assert sorted(states(told.values())) == ["ok", "ok", "warning"]
    assert "taken by mlflow (process 5000)" in told["5000"].found
    assert "LOCKSTEP_MLFLOW_PORT" in told["5000"].advice
