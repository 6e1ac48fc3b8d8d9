"""Lockstep: the very function of `jobs/score.py`, over run folders made by the project's own planning.

The spec names the folder of input files as its table, so the files are scored in place; each run gets a run folder of
its own, because finished units are never scored again. A run is snapshot, units, scoring, staged files and manifest.
The session has the profile `spark-conf/local.conf`. Beyond what the peers write, the staged files carry five stamp
columns, and each unit is counted, profiled and given a digest.
"""

import datetime as dt
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.job import Job
from benchmarks.prepare import DAY
from benchmarks.systems.spark_session import start_session
from benchmarks.workloads.workload import KEYS, SCORE
from jobs.score import score
from lockstep.data.snapshot import take_snapshot
from lockstep.data.table_input import plan_table_input
from lockstep.registry.resolve import resolve_model
from lockstep.run.folder import PLAN, RunFolder
from lockstep.run.java import find_java_home
from lockstep.run.plan import Plan
from lockstep.run.submit import spark_submit
from lockstep.scoring.attempts import STAGING
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ScoringSpec
from lockstep.steps.plan import code_version

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


# Of a cluster, instead of a local session.
MASTER = "LOCKSTEP_BENCH_MASTER"


class LockstepJob:
    """The scoring job in a live session."""

    spark: "SparkSession"

    def __init__(self, job: Job, variant: str) -> None:
        self._job = job
        self._variant = variant
        self._settings = Settings.from_env(os.environ)
        self._spec = make_spec(job)
        self._model = resolve_model(job.tracking_uri, job.model_name, version=job.model_version)
        self._code = code_version(self._settings.project_root)

    def start(self) -> None:
        master = os.environ.get(MASTER)
        conf = {} if master is None else executors(master, self._job.cores)
        self.spark = start_session("lockstep", cores=self._job.cores, conf=conf)

    def run(self, output: Path) -> Path:
        folder = self._plan(output)
        rows = score(self.spark, folder)
        if rows != self._job.rows:
            raise RuntimeError(f"{rows} rows scored, expected {self._job.rows}")
        return folder.file(STAGING)

    def stop(self) -> None:
        self.spark.stop()

    def submission(self, output: Path) -> dict[str, Any]:
        """Plan the run and say how its job is submitted: what precedes a cold run."""
        folder = self._plan(output)
        java = find_java_home(os.environ, cache_root=self._settings.cache_root)
        args = ["--run-folder", str(folder.path)]
        submit = spark_submit(self._settings, "score", args, python=Path(sys.executable), java_home=java)
        submit.prepare()
        written = str(folder.file(STAGING))
        return {"command": submit.command(), "environment": dict(submit.env), "written": written}

    def _plan(self, path: Path) -> RunFolder:
        """Make a run folder with plan and units."""
        folder, settings = RunFolder(path), self._settings
        plan = Plan(
            run_key="bench",
            partition=DAY,
            spec=self._spec,
            spec_hash="bench",
            model=self._model,
            input_digest="bench",
            sources=take_snapshot(self._spec, DAY, settings.data_root),
            data_root=str(settings.data_root),
            warehouse=settings.warehouse("duckdb"),
            cache_root=str(settings.cache_root),
            code_version=self._code,
            planned_at=dt.datetime.now(dt.UTC),
        )
        folder.write_json(PLAN, plan)
        if self._spec.input.table is not None:
            plan_table_input(folder, self._spec.input.table)
        return folder


def executors(master: str, cores: int) -> dict[str, str]:
    """Return the settings of a session with an executor of one core for each core."""
    return {
        "spark.master": master,
        "spark.cores.max": str(cores),
        "spark.executor.cores": "1",
        "spark.executor.memory": "512m",
        "spark.executorEnv.PYTHONPATH": os.environ["PYTHONPATH"],
    }


def make_spec(job: Job) -> ScoringSpec:
    """Declare the scoring of the input files, with the defaults of a user's spec."""
    return ScoringSpec.model_validate(
        {
            "name": job.workload,
            "model": {"name": job.model_name},
            "schedule": {"cron": "0 6 * * *", "start": DAY},
            "input": {"table": {"path": job.data}},
            "partition": {"column": KEYS[0]},
            "key": list(KEYS),
            "output": {"column": SCORE},
            "publish": {"table": "scores"},
        }
    )
