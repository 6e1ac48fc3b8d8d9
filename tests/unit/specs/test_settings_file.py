"""The settings file lies beneath the environment, means the same in every folder, and keeps no mistake to itself."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import SettingsError
from lockstep.run.logs import is_json
from lockstep.run.submit import data_python, spark_submit, step_env
from lockstep.run.training import training_python
from lockstep.services.airflow import control_python
from lockstep.services.ports import choose_ports
from lockstep.specs.settings import Settings, device
from lockstep.specs.settings_file import Layers, layered
from lockstep.specs.variables import VARIABLES


def written(folder: Path, text: str) -> dict[str, str]:
    (folder / "lockstep.toml").write_text(text)
    return {"LOCKSTEP_PROJECT": str(folder)}


def test_a_variable_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    environ = written(tmp_path, 'home = "/state"\nspark_profile = ["standalone", "gpu"]\nwarehouse_wait_s = 5\n')
    settings = Settings.from_env({**environ, "LOCKSTEP_WAREHOUSE_WAIT_S": "7"})
    assert (settings.home, settings.spark_profile) == (Path("/state"), "standalone,gpu")
    assert (settings.warehouse_wait_s, settings.partition_wait_s) == (7, 60)


def test_an_empty_variable_wins_too(tmp_path: Path) -> None:
    environ = written(tmp_path, 'spark_archive = "/mnt/shared"')
    assert Settings.from_env(environ).spark_archive == "/mnt/shared"
    assert Settings.from_env({**environ, "LOCKSTEP_SPARK_ARCHIVE": ""}).spark_archive == ""


def test_paths_begin_at_the_files_folder_and_urls_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    text = 'home = "var"\nruns = "s3://bucket/runs"\niceberg = "catalog:lake"\nmlflow_tracking_uri = "sqlite:///m.db"'
    settings = Settings.from_env(written(tmp_path, text))
    assert settings.home == tmp_path / "var"
    assert str(settings.runs_root) == "s3://bucket/runs"
    assert settings.warehouse("iceberg") == "catalog:lake"
    assert settings.tracking_uri == f"sqlite:///{tmp_path}/m.db"


def test_everything_that_reads_a_variable_reads_the_file(tmp_path: Path) -> None:
    keys = ("data_python", "training_python", "control_python")
    text = "".join(f'{key} = "{key}"\n' for key in keys)
    environ = written(tmp_path, text + 'device = "cuda"\nlog_format = "json"\nonline_store_fast = "redis://h:1/0"\n')
    settings = Settings.from_env(environ)
    assert data_python(settings, environ) == tmp_path / "data_python"
    assert training_python(settings, environ) == tmp_path / "training_python"
    assert control_python(settings, environ) == tmp_path / "control_python"
    assert (device(environ), is_json(environ)) == ("cuda", True)
    assert settings.online_store("fast") == "redis://h:1/0"
    (tmp_path / "lockstep.toml").write_text("mlflow_port = 70000")
    with pytest.raises(SettingsError, match="line 1, key mlflow_port: expected a port, 1 to 65535, got a number"):
        choose_ports(environ, only_defaults=True)


def test_a_child_in_another_folder_has_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = tmp_path / "settings.toml"
    named.write_text('home = "state"\ndevice = "cuda"\nspark_profile = "yarn"\npostgresql = "postgresql://u@h/d"\n')
    monkeypatch.chdir(tmp_path)
    parent = Settings.from_env({"LOCKSTEP_SETTINGS": "settings.toml", "LOCKSTEP_ACTOR": "me"})
    monkeypatch.chdir("/")
    assert Settings.from_env(step_env(parent)) == parent


def test_a_driver_inside_a_cluster_gets_the_values_and_not_the_file(tmp_path: Path) -> None:
    named = tmp_path / "settings.toml"
    named.write_text('home = "state"\ndevice = "cuda"\nspark_profile = "yarn"\n')
    settings = Settings.from_env({"LOCKSTEP_SETTINGS": str(named)})
    submit = spark_submit(settings, "score", [], python=Path("/p/bin/python"), java_home=Path("/java"))
    prefix = "spark.yarn.appMasterEnv."
    told = {key.removeprefix(prefix): found.value for key, found in submit.properties.items() if prefix in key}
    assert (told["LOCKSTEP_HOME"], told["LOCKSTEP_DEVICE"]) == (str(tmp_path / "state"), "cuda")
    assert "LOCKSTEP_SETTINGS" not in told


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("# all\nhoem = 1", r"line 2, key hoem: unknown key. Did you mean 'home'\? Known keys: actor, airflow_port"),
        ("LOCKSTEP_HOME = '/x'", r"key LOCKSTEP_HOME: unknown key. Did you mean 'home'\?"),
        ("project = '/x'", "key project: it is set where the process is started, as LOCKSTEP_PROJECT"),
        ("[spark]\nprofile = 'local'", r"line 1, key spark: unknown key"),
        ("warehouse_wait_s = '5'", "expected a number of seconds, 0 or more, got a text"),
        ("warehouse_wait_s = true", "expected a number of seconds, 0 or more, got true or false"),
        ("warehouse_wait_s = -1", "expected a number of seconds, 0 or more, got a number"),
        ("home = 5", "expected a path, in quotes, got a number"),
        ("\ndevice = 'gpu'", "line 2, key device: it is 'gpu'; expected one of auto, cpu, cuda"),
        ("cache = 's3://b/c'", "line 1, key cache: it is 's3://b/c'; expected a path on a disk of this machine"),
        ("home = ", "it is not TOML: Invalid value"),
        ("home = '/a'\nhome = '/b'", "it is not TOML: Cannot overwrite a value"),
    ],
)
def test_a_mistake_names_the_file_the_line_and_the_key(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem) as caught:
        Settings.from_env(written(tmp_path, text))
    assert str(caught.value).startswith(f"settings file {tmp_path / 'lockstep.toml'}: ")


@pytest.mark.parametrize("key", ["postgresql", "online_store", "spark_archive", "delta"])
def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path: Path, key: str) -> None:
    with pytest.raises(SettingsError, match=f"line 1, key {key}") as caught:
        Settings.from_env(written(tmp_path, f'{key} = "s3://me:hunter2@host/d"'))
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none.toml: it does not exist; LOCKSTEP_SETTINGS"):
        Settings.from_env({"LOCKSTEP_SETTINGS": str(tmp_path / "none.toml")})
    (tmp_path / "odd.toml").write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="it cannot be read: it is not UTF-8"):
        Settings.from_env({"LOCKSTEP_SETTINGS": str(tmp_path / "odd.toml")})


NAMES = st.sampled_from([variable.name for variable in VARIABLES])
TEXTS = st.dictionaries(NAMES, st.text(max_size=5), max_size=5)


@given(environ=TEXTS, file=TEXTS)
def test_layers_are_a_mapping_in_which_the_environment_wins(environ: dict[str, str], file: dict[str, str]) -> None:
    layers = Layers(environ, file, Path("/f"), dict.fromkeys(file, 3))
    assert dict(layers) == {**file, **environ}
    assert len(layers) == len({**file, **environ})
    assert layered(layers) is layers
