"""The doctor, in a sound world and in broken ones; other interpreters answer from here."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lockstep
from lockstep.doctor import diagnosis, machine, services
from lockstep.doctor.asking import Asker, NoAnswer
from lockstep.doctor.diagnosis import CHECKS, diagnose
from lockstep.doctor.environments import differences, pins_of
from lockstep.doctor.finding import Finding
from lockstep.doctor.world import World
from lockstep.specs.settings import Settings
from tests.unit.doctor.worlds import MODELS, states, world


def test_every_bad_setting_is_told_and_the_rest_still_holds(tmp_path: Path) -> None:
    environ = {"LOCKSTEP_DEVICE": "gpu", "LOCKSTEP_MLFLOW_PORT": "x", "LOCKSTEP_HOEM": "/x"}
    broken = world(tmp_path, environ=environ)
    found = list(CHECKS["settings"](broken))
    assert [one.state for one in found] == ["problem", "problem", "warning"]
    assert found[-1].advice == "did you mean LOCKSTEP_HOME?"
    assert broken.settings.home == tmp_path
    assert states(iter(CHECKS["settings"](world(tmp_path)))) == ["ok"]


def test_a_broken_settings_file_is_one_problem(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("hoem = 1")
    found = list(CHECKS["settings"](world(tmp_path, environ={"LOCKSTEP_SETTINGS": str(tmp_path / "s.toml")})))
    assert "Did you mean 'home'?" in found[0].found


def test_aliases_are_compared_with_the_specs(tmp_path: Path) -> None:
    uri = {"MLFLOW_TRACKING_URI": "http://me:hunter2@host:1"}
    names = [one.spec.model.name for one in world(tmp_path).specs]
    sound = {name: {"champion": 3} for name in names}
    assert set(states(services.check_mlflow(world(tmp_path, environ=uri, registry=sound)))) == {"ok"}
    broken = {names[0]: {"other": 1}, names[1]: None}
    found = list(services.check_mlflow(world(tmp_path, environ=uri, registry=broken)))
    assert [one.state for one in found] == ["ok", "problem", "warning"]
    down = list(services.check_mlflow(world(tmp_path, environ=uri)))
    assert [one.state for one in down] == ["problem"]
    assert "hunter2" not in str([*found, *down])


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ({"tables": 2}, "ok"),
        ({"missing": "no duckdb"}, "problem"),
        ({"busy": "PID 7"}, "warning"),
        ({"error": "x"}, "problem"),
    ],
)
def test_a_warehouse_says_how_it_is(tmp_path: Path, answer: dict[str, Any], state: str) -> None:
    (tmp_path / "warehouse.duckdb").touch()
    assert states(services.check_warehouses(world(tmp_path, warehouse=answer))) == [state]


def test_a_warehouse_that_is_not_made_yet_is_not_opened(tmp_path: Path) -> None:
    assert states(services.check_warehouses(world(tmp_path))) == ["ok"]
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_is_missed_only_where_one_is_asked_for(tmp_path: Path) -> None:
    none = {"torch": "2", "cuda": None, "gpus": []}
    assert states(machine.check_gpu(world(tmp_path, gpu=none))) == ["ok"]
    asked = {"LOCKSTEP_DEVICE": "cuda"}
    assert states(machine.check_gpu(world(tmp_path, gpu=none, environ=asked))) == ["problem"]
    assert states(machine.check_gpu(world(tmp_path, gpu={**none, "gpus": ["H"]}, environ=asked))) == ["ok"]


def test_a_home_that_is_a_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    assert "problem" in states(machine.check_places(world(tmp_path / "home")))


def test_a_lock_is_compared_with_what_is_installed(tmp_path: Path) -> None:
    (tmp_path / "x.lock").write_text("# made\nTorch==2.1\npsycopg[binary]==3.3\nnarwhals==1.0\n")
    installed = {"torch": "2.1+cpu", "Psycopg": "3.3", "extra": "1"}
    assert differences(pins_of(tmp_path / "x.lock"), installed) == ["narwhals missing (lock: 1.0)"]


def test_a_check_that_breaks_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_: World) -> Iterator[Finding]:
        raise ZeroDivisionError("hunter2")

    monkeypatch.setitem(diagnosis.CHECKS, "java", breaks)
    found = list(diagnose(world(tmp_path), ["java", "locale"], timeout_s=30))
    assert [one.check for one in found] == ["java", "locale"]
    assert found[0].found == "the check itself broke: ZeroDivisionError"


def test_who_does_not_answer_is_ended_and_says_no_secret() -> None:
    asker = Asker({"PATH": "/usr/bin:/bin"}, timeout_s=0.3)
    with pytest.raises(NoAnswer, match=r"no answer within 0.3 s"):
        asker.ask(["/bin/sh", "-c", "sleep 60"])
    with pytest.raises(NoAnswer, match=r"exit code 1: it said nothing of use|exit code 1: ValueError") as caught:
        asker.ask(["/bin/sh", "-c", "echo 'ValueError: hunter2' >&2; exit 1"])
    assert "hunter2" not in str(caught.value)
    with pytest.raises(NoAnswer, match="does not start"):
        asker.ask(["/none"])


def test_the_settings_are_those_of_the_commands(tmp_path: Path) -> None:
    assert world(tmp_path).settings == Settings.from_env(
        {"LOCKSTEP_HOME": str(tmp_path), "LOCKSTEP_MODELS": str(MODELS)}
    )


def test_the_other_environment_must_have_the_same_version_of_us(tmp_path: Path) -> None:
    python = tmp_path / "airflow" / "bin" / "python"
    environ = {"LOCKSTEP_PROJECT": str(tmp_path), "LOCKSTEP_CONTROL_PYTHON": str(python)}
    environ["LOCKSTEP_DATA_PYTHON"] = sys.executable
    for version, state in {lockstep.__version__: "ok", "0.0.9": "problem"}.items():
        installed = {"python": "3.11.9", "packages": {"lockstep": version}}
        here, other = CHECKS["environments"](world(tmp_path, environ=environ, **{str(python): installed}))
        assert (here.state, other.state) == ("ok", state)
        assert version in other.found
    assert "pip install 'lockstep[control]==" in other.advice
    (_, silent) = CHECKS["environments"](world(tmp_path, environ=environ))
    assert (silent.state, silent.advice) == ("problem", "correct LOCKSTEP_CONTROL_PYTHON")
