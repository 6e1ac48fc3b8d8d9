"""What a model's requirements.txt says, against what is installed."""

import logging
from importlib import metadata
from pathlib import Path

import pytest

from lockstep.errors import RequirementsDiffer
from lockstep.registry.environment import differences, require_environment

NUMPY = metadata.version("numpy")


def write(folder: Path, text: str) -> Path:
    (folder / "requirements.txt").write_text(text)
    return folder


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"numpy=={NUMPY}",
        f"numpy=={NUMPY}+cu126",
        "numpy>=1.26  # any new one",
        "numpy",
        "mlflow==1.2.3\nmlflow-skinny==1.2.3\nmlflow[extras]==1",
        "-c constraints.txt\n--extra-index-url https://example.org\n\n# nothing",
        "colorama==0.0.1; sys_platform == 'win32'",
        "./local.whl\nnot a requirement ==",
    ],
)
def test_nothing_differs(tmp_path: Path, text: str) -> None:
    assert differences(write(tmp_path, text)) == ()


def test_no_requirements_are_no_difference(tmp_path: Path) -> None:
    assert differences(tmp_path) == ()


def test_missing_and_different(tmp_path: Path) -> None:
    found = differences(write(tmp_path, "numpy==1.0.0\nno-such-library==2.1\nother-missing\npandas>=99"))
    assert found[0] == f"numpy: wanted ==1.0.0, found {NUMPY}"
    assert found[1:3] == (
        "no-such-library: wanted ==2.1, found none",
        "other-missing: wanted any version, found none",
    )
    assert found[3].startswith("pandas: wanted >=99, found ")


def test_policies(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "numpy==1.0.0\nno-such-library==2.1")
    with caplog.at_level(logging.WARNING):
        assert require_environment(tmp_path, "ignore", title="m version 1") == ()
        assert not caplog.records
        assert len(require_environment(tmp_path, "warn", title="m version 1")) == 2
    assert "numpy: wanted ==1.0.0" in caplog.text
    with pytest.raises(
        RequirementsDiffer, match=r"(?s)numpy: wanted ==1.0.0.*no-such-library.*model.environment: warn"
    ):
        require_environment(tmp_path, "refuse", title="m version 1")


def test_a_model_that_is_the_environment_s_own(tmp_path: Path) -> None:
    assert require_environment(write(tmp_path, f"numpy=={NUMPY}"), "refuse", title="m version 1") == ()
