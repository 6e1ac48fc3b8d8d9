"""Who asks for a spec that is not there is told what to do."""

from pathlib import Path

import pytest

from lockstep.errors import SpecError
from lockstep.specs.loading import find_spec


def told(models_root: Path, name: str) -> str:
    with pytest.raises(SpecError) as caught:
        find_spec(models_root, name)
    (problem,) = caught.value.problems
    return problem


def test_a_slip_of_the_pen(spec_folder: Path) -> None:
    assert told(spec_folder.parent, "chrun") == (
        f"no spec of the name 'chrun'. Did you mean 'churn'? Specs below {spec_folder.parent}: churn"
    )


@pytest.mark.parametrize("name", ["models/churn", "churn/", "./churn/scoring.yaml", "churn/scoring.yaml"])
def test_a_path_instead_of_a_name(spec_folder: Path, name: str) -> None:
    assert (
        told(spec_folder.parent, name)
        == f"no spec of the name {name!r}: a spec is named by its folder, so give 'churn'"
    )


@pytest.mark.parametrize("name", ["churn", "models/churn", "models/churn/scoring.yaml"])
def test_a_spec_of_another_project(spec_folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = spec_folder.parent / "elsewhere"
    (here / "models").mkdir(parents=True)
    spec_folder.rename(here / "models" / "churn")
    (spec_folder.parent / "specs").mkdir()
    monkeypatch.chdir(here)
    problem = told(spec_folder.parent / "specs", name)
    assert f"one is in {here}/models/churn: move it to {spec_folder.parent}/specs/churn" in problem
    assert problem.endswith(f"or set LOCKSTEP_MODELS={here}/models")


def test_a_spec_in_a_folder_too_deep(spec_folder: Path) -> None:
    team = spec_folder.parent / "team"
    team.mkdir()
    spec_folder.rename(team / "churn")
    assert f"one is in {team}/churn: move it to {spec_folder}" in told(spec_folder.parent, "churn")


def test_a_folder_whose_file_has_another_name(spec_folder: Path) -> None:
    (spec_folder / "scoring.yaml").rename(spec_folder / "scoring.yml")
    assert told(spec_folder.parent, "churn") == f"the folder {spec_folder} has no scoring.yaml; in it: scoring.yml"


def test_no_folder_of_specs(tmp_path: Path) -> None:
    assert "none does not exist; LOCKSTEP_MODELS says where" in told(tmp_path / "none", "churn")
    assert told(tmp_path, "churn") == f"no spec of the name 'churn'. Specs below {tmp_path}: none"


@pytest.mark.parametrize("name", ["", ".", "..", "/", "*", "a[", "~"])
def test_an_odd_name_is_one_error(spec_folder: Path, name: str) -> None:
    told(spec_folder.parent, name)


def test_a_key_that_is_nearly_right(spec_folder: Path) -> None:
    file = spec_folder / "scoring.yaml"
    file.write_text(file.read_text().replace("alias:", "alais:"))
    with pytest.raises(SpecError, match=r"key model.alais: unknown key; known keys .*\. Did you mean 'alias'\?"):
        find_spec(spec_folder.parent, "churn")


def test_a_spec_without_a_folder_of_its_own(spec_folder: Path) -> None:
    (spec_folder / "scoring.yaml").rename(spec_folder.parent / "flights.yaml")
    problem = told(spec_folder.parent, "flights")
    assert problem.startswith("each spec has a folder of its own")
    assert problem.endswith(f"move it to {spec_folder.parent}/flights/scoring.yaml")
