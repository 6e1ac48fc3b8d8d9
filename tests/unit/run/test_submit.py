"""The one description of a spark-submit."""

from pathlib import Path

from lockstep.run.submit import data_python, spark_submit, step_env
from lockstep.specs.settings import Settings

ENV = {"LOCKSTEP_PROJECT": "/project", "LOCKSTEP_HOME": "/state"}


def test_the_command_names_profile_job_and_arguments() -> None:
    settings = Settings.from_env(ENV)
    python = data_python(settings, {})
    submit = spark_submit(settings, "score", ["--run-folder", "/r"], python=python, java_home=Path("/java"))
    assert submit.command() == [
        "/project/.venv/data/bin/spark-submit",
        *("--properties-file", "/project/spark-conf/local.conf"),
        *("--name", "lockstep-score"),
        *("/project/jobs/score.py", "--run-folder", "/r"),
    ]
    assert submit.env["JAVA_HOME"] == "/java"
    assert submit.env["PYSPARK_PYTHON"] == str(python)
    assert submit.env["SPARK_LOCAL_IP"] == "127.0.0.1"


def test_only_the_local_profile_binds_to_loopback() -> None:
    settings = Settings.from_env({**ENV, "LOCKSTEP_SPARK_PROFILE": "yarn"})
    submit = spark_submit(settings, "score", [], python=Path("/p/bin/python"), java_home=Path("/java"))
    assert "SPARK_LOCAL_IP" not in submit.env


def test_a_child_resolves_the_same_settings() -> None:
    settings = Settings.from_env({**ENV, "LOCKSTEP_RUNS": "/elsewhere", "LOCKSTEP_WAREHOUSE_WAIT_S": "5"})
    assert Settings.from_env(step_env(settings)) == settings


def test_the_data_interpreter_can_be_named() -> None:
    assert data_python(Settings.from_env(ENV), {"LOCKSTEP_DATA_PYTHON": "/x/python"}) == Path("/x/python")
