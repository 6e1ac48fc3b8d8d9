"""Airflow's pools: how many tasks of a kind run at once, whatever the number of active days."""

from lockstep.run.profiles import profile_names

SPARK_POOL = "spark"
TRAINING_POOL = "training"
GPU_POOL = "gpu"
GPU_PROFILE = "gpu"  # of spark-conf/
# How many may publish into a warehouse of a kind side by side. DuckDB has one writer. Writers of the lake formats get
# into each other's way and repeat their commits; servers only queue for the same day.
WRITERS = {"duckdb": 1, "iceberg": 2, "delta": 2, "postgresql": 4, "snowflake": 4, "bigquery": 4}


def warehouse_pool(kind: str) -> str:
    """Return the pool of the tasks that publish into a kind of warehouse."""
    return f"warehouse_{kind}"


def scoring_pool(*, device: str, profile: str) -> str:
    """Return the pool of the tasks that score: that of the GPUs where scoring is told to use them.

    Args:
        device: `LOCKSTEP_DEVICE`; `auto` may find a GPU, but nobody has said so.
        profile: Spark profiles, separated by commas.
    """
    return GPU_POOL if device == "cuda" or GPU_PROFILE in profile_names(profile) else SPARK_POOL
