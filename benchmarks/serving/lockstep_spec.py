"""What `lockstep serve` is given: a user's spec with its defaults, and a `serving.yaml` that keeps a log beside."""

import shutil

import yaml

from benchmarks.job import Job
from benchmarks.serving.systems import LOGS, MODELS, config_of
from benchmarks.workloads.workload import KEYS, SCORE


def write_spec(job: Job) -> None:
    """Write the spec of a workload, and an empty inference log's configuration."""
    spec = {
        "name": job.workload,
        "model": {"name": job.model_name},
        "schedule": {"cron": "0 6 * * *", "start": "2026-01-01"},
        "input": {"table": {"path": job.data}},
        "partition": {"column": KEYS[0]},
        "key": list(KEYS),
        "output": {"column": SCORE},
        "publish": {"table": "scores"},
    }
    folder = MODELS / job.workload
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scoring.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    log = LOGS / job.workload
    shutil.rmtree(log, ignore_errors=True)
    model = {"spec": job.workload, "version": job.model_version}
    config_of(job).write_text(yaml.safe_dump({"models": [model], "log": {"path": str(log)}}), encoding="utf-8")
