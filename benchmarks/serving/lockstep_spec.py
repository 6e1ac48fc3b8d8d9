"""The spec that `lockstep serve` is given: a user's, with its defaults."""

import yaml

from benchmarks.job import Job
from benchmarks.serving.systems import MODELS
from benchmarks.workloads.workload import KEYS, SCORE


def write_spec(job: Job) -> None:
    """Write the spec of a workload."""
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
