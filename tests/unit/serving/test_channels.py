"""How many micro-batches run at a time: cores that there are, for models that may be called by several threads."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from lockstep.scoring.pipeline import GPU_CHANNELS
from lockstep.serving.channels import channels_of, cores_of_each


@pytest.mark.parametrize(
    ("parallel", "device", "cores", "channels"),
    [(False, "cpu", 8, 1), (True, "cpu", 8, 8), (True, "cpu", 1, 1), (True, "cuda:0", 1, GPU_CHANNELS)],
)
def test_a_model_gets_as_many_threads_as_it_can_use(parallel: bool, device: str, cores: int, channels: int) -> None:
    scorer = SimpleNamespace(parallel=parallel, device=device)
    assert channels_of(scorer, cores=cores) == channels  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("quota", "workers", "cores"),
    [("max 100000", 1, 8), ("max 100000", 3, 2), ("max 100000", 9, 1), ("250000 100000", 1, 2), ("50000 100000", 1, 1)],
)
def test_workers_share_what_the_scheduler_gives(
    quota: str, workers: int, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    (tmp_path / "cpu.max").write_text(quota)
    assert cores_of_each(workers, quota=tmp_path / "cpu.max") == cores
    assert cores_of_each(1, quota=tmp_path / "none") == 8


def test_where_cores_cannot_be_bound_all_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert cores_of_each(2, quota=tmp_path / "none") == 2
