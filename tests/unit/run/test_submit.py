"""The one description of a spark-submit."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.errors import ArchiveMissing, RunFolderUnusable
from lockstep.run.profiles import read_profile
from lockstep.run.shipping import code_name, environment_name
from lockstep.run.submit import SparkSubmit, data_python, spark_submit, step_env
from lockstep.specs.settings import TELEMETRY_OFF, Settings

ROOT = Path(__file__).parents[3]
ENV = {"LOCKSTEP_HOME": "/state"}


def submitted(settings: Settings) -> SparkSubmit:
    return spark_submit(
        settings, "score", ["--run-folder", "/r"], python=Path("/p/bin/python"), java_home=Path("/java")
    )


def properties(settings: Settings) -> dict[str, str]:
    return {key: found.value for key, found in submitted(settings).properties.items()}


def test_the_command_names_profile_job_and_arguments() -> None:
    submit = submitted(Settings.from_env(ENV))
    assert submit.command() == [
        "/p/bin/spark-submit",
        *("--properties-file", str(submit.properties_file)),
        *("--name", "lockstep-score"),
        *(str(ROOT / "jobs" / "score.py"), "--run-folder", "/r"),
    ]
    assert submit.properties_file.parent == Path("/state/spark/profiles")
    assert submit.env["JAVA_HOME"] == "/java"
    assert submit.env["PYSPARK_PYTHON"] == "/p/bin/python"
    assert submit.env["SPARK_LOCAL_IP"] == "127.0.0.1"


def test_preparing_writes_the_properties_and_makes_folders_again_and_again(tmp_path: Path) -> None:
    settings = Settings.from_env({"LOCKSTEP_HOME": str(tmp_path), "LOCKSTEP_SPARK_PROFILE": "standalone,gpu"})
    submit = submitted(settings)
    submit.prepare()
    submit.prepare()
    assert read_profile(submit.properties_file) == properties(settings)
    assert [path.name for path in submit.folder.iterdir()] == [submit.properties_file.name]
    assert submit.properties_file.stat().st_mode & 0o077 == 0
    assert Path(properties(settings)["spark.eventLog.dir"]).is_dir()


def test_a_home_that_is_a_file_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    with pytest.raises(RunFolderUnusable):
        submitted(Settings.from_env({"LOCKSTEP_HOME": str(tmp_path / "home")})).prepare()


def test_only_the_local_profile_binds_to_loopback() -> None:
    settings = Settings.from_env({**ENV, "LOCKSTEP_SPARK_PROFILE": "yarn"})
    assert "SPARK_LOCAL_IP" not in submitted(settings).env


def test_a_driver_inside_the_cluster_gets_the_settings_and_every_executor_is_silent() -> None:
    settings = Settings.from_env({**ENV, "LOCKSTEP_SPARK_PROFILE": "yarn"})
    found = properties(settings)
    assert found["spark.yarn.appMasterEnv.LOCKSTEP_HOME"] == "/state"
    assert found["spark.eventLog.dir"] == "hdfs:///spark-history"
    assert all(found[f"spark.executorEnv.{name}"] == value for name, value in TELEMETRY_OFF.items())
    assert "spark.archives" not in found
    kubernetes = properties(replace(settings, spark_profile="k8s"))
    assert kubernetes["spark.kubernetes.driverEnv.MLFLOW_TRACKING_URI"] == settings.tracking_uri


@pytest.fixture
def shipped(tmp_path: Path) -> Settings:
    """Settings of a standalone cluster whose executors get archives of this code, and those archives, empty."""
    settings = Settings.from_env(
        {**ENV, "LOCKSTEP_SPARK_PROFILE": "standalone", "LOCKSTEP_SPARK_ARCHIVE": str(tmp_path)}
    )
    (tmp_path / environment_name(settings, driver=False)).touch()
    (tmp_path / code_name(settings)).touch()
    return settings


def test_executors_get_the_archives_of_this_lock_and_code(shipped: Settings, tmp_path: Path) -> None:
    found = properties(shipped)
    environment, code = found["spark.archives"].split(",")
    assert environment == f"{tmp_path}/{environment_name(shipped, driver=False)}#environment"
    assert code == f"{tmp_path}/{code_name(shipped)}#lockstep-code"
    assert found["spark.pyspark.python"] == "./environment/bin/python"
    assert found["spark.pyspark.driver.python"] == "/p/bin/python"
    assert found["spark.executorEnv.PYTHONPATH"] == "./lockstep-code"


def test_one_machine_needs_no_archives(shipped: Settings) -> None:
    assert "spark.archives" not in properties(replace(shipped, spark_profile="local"))


def test_a_store_is_named_as_spark_knows_it() -> None:
    environ = {**ENV, "LOCKSTEP_SPARK_PROFILE": "yarn", "LOCKSTEP_SPARK_ARCHIVE": "s3://bucket/ship/"}
    found = properties(Settings.from_env(environ))
    assert found["spark.archives"].startswith("s3a://bucket/ship/lockstep-driver-")
    assert found["spark.pyspark.driver.python"] == "./environment/bin/python"


def test_archives_that_are_not_there_are_named_before_spark_starts(shipped: Settings, tmp_path: Path) -> None:
    (tmp_path / code_name(shipped)).unlink()
    with pytest.raises(ArchiveMissing, match=f"lockstep package --output {tmp_path}"):
        submitted(shipped)


def test_names_follow_from_lock_and_code(tmp_path: Path) -> None:
    for name in ("lockstep", "udfs", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    here, there = (Settings.from_env({**ENV, "LOCKSTEP_PROJECT": str(path)}) for path in (ROOT, tmp_path))
    assert code_name(here) == code_name(there)
    assert environment_name(here, driver=False) == environment_name(there, driver=False)
    assert environment_name(here, driver=True) != environment_name(there, driver=False)
    (tmp_path / "udfs" / "more.py").touch()
    assert code_name(here) != code_name(there)
    lock = tmp_path / "requirements" / "data.lock"
    lock.write_text("# another comment\n" + lock.read_text())
    assert environment_name(here, driver=False) == environment_name(there, driver=False)
    lock.write_text(lock.read_text() + "further==1.0\n")
    assert environment_name(here, driver=False) != environment_name(there, driver=False)


def test_a_child_resolves_the_same_settings() -> None:
    settings = Settings.from_env(
        {**ENV, "LOCKSTEP_RUNS": "/elsewhere", "LOCKSTEP_WAREHOUSE_WAIT_S": "5", "LOCKSTEP_SPARK_ARCHIVE": "/ship"}
    )
    assert Settings.from_env(step_env(settings)) == settings


def test_the_data_interpreter_can_be_named() -> None:
    settings = Settings.from_env({"LOCKSTEP_PROJECT": "/project"})
    assert data_python(settings, {"LOCKSTEP_DATA_PYTHON": "/x/python"}) == Path("/x/python")
    assert data_python(settings, {}) == Path("/project/.venv/data/bin/python")
