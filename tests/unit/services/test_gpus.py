"""Counting GPUs, and the pools that follow."""

from pathlib import Path

import pytest

from lockstep.run.pools import scoring_pool
from lockstep.services.airflow import POOLS, pools
from lockstep.services.gpus import count_gpus
from lockstep.specs.settings import Settings


@pytest.mark.parametrize(
    ("visible", "count"), [(None, 3), ("0,2", 2), ("", 0), ("-1", 0), ("0,1,2,3,4", 3), ("GPU-8f6d,GPU-77aa", 2)]
)
def test_the_driver_lists_them_and_cuda_may_hide_some(tmp_path: Path, visible: str | None, count: int) -> None:
    for bus in ("0000:01:00.0", "0000:02:00.0", "0000:03:00.0"):
        (tmp_path / bus).mkdir()
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert count_gpus(environ, driver=tmp_path) == count
    assert count_gpus(environ, driver=tmp_path / "none") == 0


@pytest.mark.parametrize(("profile", "gpus", "slots"), [("gpu", 4, 4), ("gpu", 0, 1), ("local", 4, 1)])
def test_the_pool_has_a_slot_for_each_gpu_that_spark_hands_out(profile: str, gpus: int, slots: int) -> None:
    made = pools(Settings.from_env({"LOCKSTEP_SPARK_PROFILE": profile}), gpus=gpus)
    assert made == {**POOLS, "gpu": slots}


@pytest.mark.parametrize(
    ("device", "profile", "pool"),
    [("auto", "local", "spark"), ("cpu", "yarn", "spark"), ("cuda", "local", "gpu"), ("auto", "gpu", "gpu")],
)
def test_scoring_waits_for_a_gpu_where_it_is_told_to_use_one(device: str, profile: str, pool: str) -> None:
    assert scoring_pool(device=device, profile=profile) == pool
