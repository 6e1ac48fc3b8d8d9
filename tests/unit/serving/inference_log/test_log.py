"""The log as the lanes of an endpoint see it."""

import asyncio
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lockstep.errors import SpecError
from lockstep.scoring.scorer import Scorer
from lockstep.serving.inference_log.errors import LogUnwritable, PolicyUnused
from lockstep.serving.inference_log.log import InferenceLog
from lockstep.serving.lane import ScoringLane
from lockstep.serving.metrics import Metrics
from lockstep.specs.inference_log_spec import InferenceLogging
from tests.unit.serving.inference_log.micro_batches import rows, trace
from tests.unit.serving.toy import IDENTITY


def dropped(metrics: Metrics) -> float:
    return sum(value for _, value in metrics.snapshot().get("lockstep_log_dropped", []))


def serve(log: InferenceLog, scorer: Scorer, asked: list[tuple[Any, int]]) -> None:
    """Score requests through a lane that the log listens to, then stop."""

    async def run() -> None:
        writing = asyncio.get_running_loop().create_task(log.run())
        lane = ScoringLane(scorer, on_scored=log.listen(IDENTITY, scorer, precision="float32"))
        await asyncio.sleep(0)
        await asyncio.gather(*(lane.score(rows(0, count), label=label) for label, count in asked))
        await asyncio.sleep(0)
        lane.close()
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)

    asyncio.run(run())


def test_what_lanes_score_is_in_the_table_when_the_server_has_stopped(tmp_path: Path, scorer: Scorer) -> None:
    metrics = Metrics()
    log = InferenceLog(InferenceLogging(path="log"), home=tmp_path, metrics=metrics)
    serve(log, scorer, [(trace("a"), 3), (None, 2), (trace("b"), 30)])
    found = pq.read_table(tmp_path / "log" / "toy")
    assert sorted(zip(found["request_id"].to_pylist(), found["row"].to_pylist(), strict=True)) == [
        *(("a", number) for number in range(3)),
        *(("b", number) for number in range(30)),
    ]
    assert set(found["model_digest"].to_pylist()) == {IDENTITY.digest}
    assert dropped(metrics) == 0


def test_rows_for_which_there_is_no_room_are_counted(tmp_path: Path, scorer: Scorer) -> None:
    metrics = Metrics()
    wanted = InferenceLogging(path=str(tmp_path / "log"), waiting_rows=5)
    serve(InferenceLog(wanted, home=tmp_path / "elsewhere", metrics=metrics), scorer, [(trace("big"), 40)])
    assert dropped(metrics) == 40
    assert not (tmp_path / "log" / "toy").exists()


def test_rows_that_the_disk_refuses_are_counted(tmp_path: Path, scorer: Scorer) -> None:
    metrics = Metrics()
    log = InferenceLog(InferenceLogging(path="log", flush_s=0.01), home=tmp_path, metrics=metrics)

    async def run() -> None:
        (tmp_path / "log" / ".open").rmdir()
        (tmp_path / "log" / ".open").write_text("in the way")
        writing = asyncio.get_running_loop().create_task(log.run())
        lane = ScoringLane(scorer, on_scored=log.listen(IDENTITY, scorer, precision="float32"))
        await lane.score(rows(0, 4), label=trace("a"))
        for _ in range(1000):
            if dropped(metrics):
                break
            await asyncio.sleep(0.01)
        lane.close()
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)

    asyncio.run(run())
    assert dropped(metrics) == 4


def test_a_policy_without_a_column_is_an_error_at_the_start(tmp_path: Path, scorer: Scorer) -> None:
    wanted = InferenceLogging(columns={"carrier": "drop", "client": "null", "cariler": "drop"})
    log = InferenceLog(wanted, home=tmp_path, metrics=Metrics())
    log.listen(IDENTITY, scorer, precision="float32")
    with pytest.raises(PolicyUnused, match="'cariler' is a column of no served model") as caught:
        log.check_policies()
    assert isinstance(caught.value, SpecError)
    fine = InferenceLog(InferenceLogging(columns={"carrier": "drop"}), home=tmp_path, metrics=Metrics())
    fine.listen(IDENTITY, scorer, precision="float32")
    fine.check_policies()


def test_a_folder_that_cannot_be_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file")
    with pytest.raises(LogUnwritable, match="cannot be written to"):
        InferenceLog(InferenceLogging(path="log"), home=tmp_path, metrics=Metrics())
