import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import lockstep
from lockstep.cli import installation
from lockstep.cli.installation import SCORING, SPARK, check_caller, missing_library, need_checkout
from lockstep.errors import CheckoutNeeded, VersionsDiffer
from lockstep.run.submit import CALLER, step_env
from lockstep.specs.settings import Settings

ROOT = Path(lockstep.__file__).parents[1]
# Where the name of the package is not that of the module.
PACKAGES = {
    "grpc": "grpcio",
    "grpc_health": "grpcio-health-checking",
    "grpc_reflection": "grpcio-reflection",
    "jwt": "pyjwt",
    "opentelemetry": "opentelemetry-sdk",
    "sklearn": "scikit-learn",
    "sqlalchemy": "mlflow",  # which brings it
    "openlineage": "openlineage-python",
}


@pytest.mark.parametrize(
    ("module", "command", "extra"),
    [
        ("pyspark", "run", "data"),
        ("pyspark.sql", "serve", "data"),
        ("mlflow", "run", "data"),
        ("mlflow", "serve", "serve"),
        ("orjson", "predict", "data"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(module: str, command: str, extra: str) -> None:
    told = missing_library(ModuleNotFoundError(name=module), command=command)
    assert told is not None
    assert f"pip install 'lockstep[{extra}]'" in str(told)
    assert f"the module {module.partition('.')[0]} is not installed" in str(told)


@pytest.mark.parametrize("module", ["churn_features", "lockstep.nowhere", ""])
def test_any_other_module_is_a_bug(module: str) -> None:
    assert missing_library(ModuleNotFoundError(name=module), command="run") is None


def test_the_extra_that_is_named_has_the_library() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["tool"]["setuptools"]["dynamic"]["optional-dependencies"]
    for extra, modules in (("serve", SCORING), ("data", (*SCORING, *SPARK))):
        files = [(ROOT / file).read_text(encoding="utf-8") for file in extras[extra]["file"]]
        lines = [line for text in files for line in text.splitlines() if line and not line.startswith("#")]
        wanted = {PACKAGES.get(module, module).replace("_", "-") for module in modules}
        assert wanted <= {Requirement(line).name for line in lines}


def test_a_process_of_another_version_is_refused(tmp_path: Path) -> None:
    env = step_env(Settings.from_env({"LOCKSTEP_HOME": str(tmp_path)}))
    check_caller(env)
    check_caller({})
    with pytest.raises(VersionsDiffer, match=rf"lockstep 9\.9\.9 has started lockstep {lockstep.__version__}"):
        check_caller({**env, CALLER: "9.9.9"})


def test_commands_of_the_repository_say_so_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.from_env({"LOCKSTEP_PROJECT": str(tmp_path), "LOCKSTEP_HOME": str(tmp_path)})
    need_checkout("lockstep up", settings, instead="")
    monkeypatch.setattr(installation, "checkout", lambda: None)
    with pytest.raises(CheckoutNeeded, match=r"`lockstep up` needs the repository.*Begin with this"):
        need_checkout("lockstep up", settings, instead="Begin with this.")
    need_checkout("lockstep up", replace(settings, project_root=ROOT), instead="")
