"""PySpark's worker daemon with the model loaded before it forks: a killed worker costs a fork, not imports of seconds.

Named by `spark.python.daemon.module`; `WARM_RUN` names a run folder of the model.
"""

import os
from pathlib import Path

import pyspark.worker
from pyspark.daemon import manager

from lockstep.run.folder import RunFolder
from udfs.worker import load_once

__all__ = ["pyspark"]

if __name__ == "__main__":
    plan = RunFolder(Path(os.environ["WARM_RUN"])).plan(step="test")
    load_once(plan.model, plan.cache_root, device="cpu")
    manager()
