"""What goes into the archive of an environment."""

import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path, PurePosixPath

import pytest

from lockstep.errors import PackagingFailed
from lockstep.run.shipping import executor_packages
from lockstep.shipping.contents import (
    SITE_PACKAGES,
    check_pins,
    distribution_entries,
    distributions,
    interpreter_entries,
    is_needed,
)
from lockstep.specs.settings import Settings

Install = Callable[..., None]


def names(found: list[metadata.Distribution]) -> set[str]:
    return {one.metadata["Name"] for one in found}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install distributions of nothing but metadata."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def one(name: str, *requires: str, extras: tuple[str, ...] = ()) -> None:
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        lines = [f"Requires-Dist: {text}" for text in requires] + [f"Provides-Extra: {extra}" for extra in extras]
        (folder / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *lines]))

    return one


def test_requirements_are_followed_with_extras_and_markers(install: Install) -> None:
    install("toproot", "mid[more]>=1", "never; sys_platform == 'plan9'", "leaf9")
    install("mid", "leaf1; extra == 'more'", "leaf2; extra == 'other'", "toproot", extras=("more", "other"))
    for leaf in ("leaf1", "leaf2", "leaf9"):
        install(leaf)
    assert names(distributions(["TopRoot"])) == {"toproot", "mid", "leaf1", "leaf9"}
    assert names(distributions(["toproot"], leave_out=["mid"])) == {"toproot", "leaf9"}
    assert names(distributions(["mid", "mid[other]"])) == {"mid", "toproot", "leaf1", "leaf2", "leaf9"}


def test_what_is_not_installed_is_named(install: Install) -> None:
    install("toproot", "nowhere-to-be-found")
    with pytest.raises(PackagingFailed, match="nowhere-to-be-found is not installed"):
        distributions(["toproot"])


def test_versions_are_those_of_the_lock_but_for_the_build() -> None:
    found = distributions(["numpy", "torch"], leave_out=["setuptools"])
    pins = {one.metadata["Name"].lower().replace("_", "-"): one.version.partition("+")[0] for one in found}
    check_pins(found, pins)
    with pytest.raises(PackagingFailed, match=r"numpy is 2\S+, locked is 1.0"):
        check_pins(found, {**pins, "numpy": "1.0"})


@pytest.mark.parametrize(
    ("path", "needed"),
    [
        ("torch/__init__.py", True),
        ("torch/bin/torch_shm_manager", True),
        ("torch/testing/__init__.py", True),
        ("numpy/_core/tests/test_x.py", False),
        ("torch/include/ATen/ATen.h", False),
        ("torch/lib/libx.a", False),
        ("mlflow/server/js/build/x.js", False),
        ("../../../bin/torchrun", False),
        ("pkg/__pycache__/x.cpython-311.pyc", False),
        ("tests.py", True),
    ],
)
def test_tests_headers_and_programs_stay_here(path: str, needed: bool) -> None:
    assert is_needed(PurePosixPath(path)) is needed


def test_executors_get_what_they_ask_for_and_no_tools() -> None:
    found = distributions(executor_packages(Settings.from_env({})), leave_out=["pyspark"])
    assert {"torch", "pyarrow", "mlflow", "filelock", "duckdb"} <= {name.lower() for name in names(found)}
    assert not {"pytest", "ruff", "pyspark", "great-expectations", "deltalake"} & {
        name.lower() for name in names(found)
    }
    targets = [entry.target for one in found for entry in distribution_entries(one)]
    assert f"{SITE_PACKAGES}/pyarrow/__init__.py" in targets
    assert all(target.startswith(f"{SITE_PACKAGES}/") and ".." not in target for target in targets)


@pytest.mark.skipif(sys.platform != "linux", reason="interpreters of Linux alone can be moved")
def test_the_interpreter_brings_its_library_and_leaves_other_packages_behind() -> None:
    targets = [entry.target for entry in interpreter_entries()]
    assert targets[0] == "bin/python3.11"
    assert "lib/python3.11/os.py" in targets
    assert not [target for target in targets if "site-packages" in target or "/test/" in target]


def test_other_systems_are_told_where_to_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(PackagingFailed, match="on a Linux machine of the executors' kind"):
        list(interpreter_entries())
