"""The rows that are asked for, with the bare model's scores of them, each scored alone as a request is."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.job import Job
from benchmarks.serving.asking import Row
from benchmarks.workloads.workload import SEED, Model, find_workload

ROWS = 256
WARM_UP_CALLS = 50


@dataclass(frozen=True)
class Sample:
    """Rows and their scores.

    Attributes:
        columns: Of the model's input.
        rows: One for each request; they are asked for in turn, again and again.
        expected: The score of each.
    """

    columns: tuple[str, ...]
    rows: list[Row]
    expected: list[float]


def draw_sample(job: Job) -> Sample:
    """Draw the rows, the same ones each time, and score them."""
    workload = find_workload(job.workload)
    columns = workload.features(np.random.default_rng(SEED + 1), ROWS)
    names = tuple(workload.inputs)
    rows: list[Row]
    if len(names) == 1:
        rows = columns[names[0]].to_pylist()
    else:
        rows = list(np.stack([columns[name].to_numpy() for name in names], axis=1))
    model = one_thread_model(job)
    return Sample(names, rows, [score(model, row) for row in rows])


def one_thread_model(job: Job) -> Model:
    """Load a workload's model as every system that brings no model format does."""
    import torch

    torch.set_num_threads(1)
    return find_workload(job.workload).load(Path(job.model))


def score(model: Model, row: Row) -> float:
    """Call the bare model for one row."""
    return score_array(model, np.array([row]))


def score_array(model: Model, rows: npt.NDArray[Any]) -> float:
    """Call the bare model for an array of one row: `(1, columns) float32` or `(1,)` of text."""
    return float(model.predict(model.from_numpy(rows))[0])


def time_calls(model: Model, rows: Sequence[Row], *, seconds: float) -> list[float]:
    """Call the bare model for a while, one row after the other; return the seconds of each call."""
    for number in range(WARM_UP_CALLS):
        score(model, rows[number % len(rows)])
    times: list[float] = []
    end = time.perf_counter() + seconds
    began = time.perf_counter()
    while began < end:
        score(model, rows[len(times) % len(rows)])
        ended = time.perf_counter()
        times.append(ended - began)
        began = ended
    return times
