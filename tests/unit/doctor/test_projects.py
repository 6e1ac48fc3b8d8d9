"""Specs and Java."""

from pathlib import Path

import pytest

from lockstep.doctor import projects
from lockstep.doctor.projects import check_java, check_specs
from lockstep.errors import JavaNotFound
from lockstep.run.java import JavaRuntime
from tests.unit.doctor.worlds import states, world


def test_specs_that_are_valid_are_named(tmp_path: Path) -> None:
    (told,) = check_specs(world(tmp_path))
    assert (told.state, "flight_delay" in told.found) == ("ok", True)


def test_a_spec_that_is_not_is_told_with_its_mistake_and_the_others_too(tmp_path: Path) -> None:
    (tmp_path / "models" / "bad").mkdir(parents=True)
    (tmp_path / "models" / "bad" / "scoring.yaml").write_text("name: bad\n")
    (told,) = check_specs(world(tmp_path, environ={"LOCKSTEP_MODELS": str(tmp_path / "models")}))
    assert told.state == "problem"
    assert "bad/scoring.yaml" in told.found
    assert "key model: required key is missing" in told.found


def test_no_specs_are_a_warning_and_no_folder_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    assert states(check_specs(world(tmp_path, environ={"LOCKSTEP_MODELS": str(tmp_path / "models")}))) == ["warning"]
    (told,) = check_specs(world(tmp_path, environ={"LOCKSTEP_MODELS": str(tmp_path / "none")}))
    assert (told.state, "LOCKSTEP_MODELS" in told.advice) == ("problem", True)


def test_the_java_of_spark_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projects, "find_java_home", lambda *_, **__: tmp_path / "jdk-21")
    monkeypatch.setattr(projects, "probe", lambda java: JavaRuntime(java, 21))
    (told,) = check_java(world(tmp_path))
    assert (told.state, told.found) == ("ok", f"Java 21 of {tmp_path / 'jdk-21'}")


def test_no_java_is_a_problem_with_all_that_was_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> Path:
        raise JavaNotFound(["JAVA_HOME=/jdk-11: it is Java 11, older than 17", "java on the PATH: none"])

    monkeypatch.setattr(projects, "find_java_home", none)
    (told,) = check_java(world(tmp_path))
    assert told.state == "problem"
    assert "JAVA_HOME=/jdk-11: it is Java 11, older than 17; java on the PATH: none" in told.found
    assert "openjdk-17" in told.advice
