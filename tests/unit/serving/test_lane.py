"""Big and small requests share one model without waiting for each other."""

import asyncio
import threading

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from lockstep.run.plan import Column
from lockstep.scoring.backends import Arrays, Encoded, Group
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.signature import Signature
from lockstep.serving.lane import SLICE_BLOCKS, ScoringLane

BLOCK_ROWS = 4
SLICE = BLOCK_ROWS * SLICE_BLOCKS


class Counting:
    """Notes by which thread it is called, and that two calls never overlap."""

    def __init__(self) -> None:
        self.threads: list[str] = []
        self.busy = threading.Lock()
        self.hold = threading.Event()
        self.hold.set()

    device = "cpu"

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        return Encoded((Group((batch.column("x").to_numpy(zero_copy_only=False),)),))

    def run(self, arrays: Arrays) -> Arrays:
        assert self.busy.acquire(blocking=False), "two calls at a time"
        try:
            self.threads.append(threading.current_thread().name)
            assert self.hold.wait(10)
            return (np.where(arrays[0] == 13, np.nan, np.asarray(arrays[0], dtype=np.float64) * 2),)
        finally:
            self.busy.release()


@pytest.fixture
def backend() -> Counting:
    return Counting()


@pytest.fixture
def lane(backend: Counting) -> ScoringLane:
    column = Column(name="x", dtype="double")
    return ScoringLane(Scorer(backend, Signature((column,), (column,)), block_rows=BLOCK_ROWS))


def batch(rows: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"x": pa.array(np.arange(rows, dtype=np.float64))})


def test_a_lone_small_batch_runs_on_the_event_loop(lane: ScoringLane, backend: Counting) -> None:
    scored = asyncio.run(lane.score(batch(BLOCK_ROWS)))
    assert scored.values.tolist() == [0.0, 2.0, 4.0, 6.0]
    assert backend.threads == ["MainThread"]


@pytest.mark.parametrize("rows", [BLOCK_ROWS + 1, SLICE, SLICE + 1, 3 * SLICE])
def test_slices_are_put_together_in_order_with_their_reasons(rows: int, lane: ScoringLane, backend: Counting) -> None:
    shifted = pa.RecordBatch.from_pydict({"x": pa.array(np.arange(rows, dtype=np.float64) + 13 - (rows - 1))})
    scored = asyncio.run(lane.score(shifted))
    assert scored.reasons.keys() == {rows - 1}
    assert scored.values[:-1].tolist() == [2.0 * (x + 13 - (rows - 1)) for x in range(rows - 1)]
    assert "MainThread" not in backend.threads


def test_no_rows_are_no_scores(lane: ScoringLane) -> None:
    assert len(asyncio.run(lane.score(batch(0))).values) == 0


def test_a_small_batch_goes_between_the_slices_of_a_big_one(lane: ScoringLane) -> None:
    order: list[str] = []

    async def score(name: str, rows: int) -> None:
        await lane.score(batch(rows))
        order.append(name)

    async def both() -> None:
        big = asyncio.create_task(score("big", 20 * SLICE))
        await asyncio.sleep(0)
        await score("small", 1)
        await big

    asyncio.run(both())
    assert order == ["small", "big"]


def test_a_cancelled_request_does_not_let_two_calls_overlap(lane: ScoringLane, backend: Counting) -> None:
    async def cancel_then_ask() -> npt.NDArray[np.float64]:
        backend.hold.clear()
        big = asyncio.create_task(lane.score(batch(SLICE)))
        while not backend.threads:
            await asyncio.sleep(0.001)
        big.cancel()
        with pytest.raises(asyncio.CancelledError):
            await big
        small = asyncio.create_task(lane.score(batch(1)))
        await asyncio.sleep(0.01)
        backend.hold.set()
        return (await small).values

    assert asyncio.run(cancel_then_ask()).tolist() == [0.0]
    assert "MainThread" not in backend.threads
