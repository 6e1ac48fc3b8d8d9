"""Long micro-batches run beside each other, and everybody still gets the scores of their own rows."""

import asyncio
import threading
import time

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.errors import OutputMismatch
from lockstep.run.plan import Column
from lockstep.scoring.backends import Arrays, Encoded, Group
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.signature import Signature
from lockstep.serving.cost import Cost
from lockstep.serving.lane import ScoringLane
from lockstep.serving.lane_limits import LaneLimits

BLOCK_ROWS = 4
CULPRIT = 666.0
TIMEOUT_S = 10


class Beside:
    """Doubles its input; may be called by several threads. Notes how many were in it at a time, and with which rows.

    Attributes:
        first_ends_last: Whether the block with row 0 waits for another one to end.
        company: How many blocks each waits for to be there together; none: it waits for nobody.
    """

    device = "cpu"
    parallel = True

    def __init__(self, *, company: int | None = None, first_ends_last: bool = False) -> None:
        self.most, self._now, self.blocks = 0, 0, list[list[float]]()
        self._count = threading.Lock()
        self._there = threading.Barrier(company) if company else None
        self._first_ends_last, self._another_ended = first_ends_last, threading.Event()

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        return Encoded((Group((batch.column("x").to_numpy(zero_copy_only=False),)),))

    def run(self, arrays: Arrays) -> Arrays:
        with self._count:
            self._now += 1
            self.most = max(self.most, self._now)
            self.blocks.append(arrays[0].tolist())
        if self._there is not None:
            self._there.wait(TIMEOUT_S)
        first = arrays[0][0] == 0
        if self._first_ends_last and first:
            assert self._another_ended.wait(TIMEOUT_S)
        if CULPRIT in arrays[0]:
            raise OutputMismatch(expected="one output", got="none")
        with self._count:
            self._now -= 1
        if not first:
            self._another_ended.set()
        return (np.asarray(arrays[0], dtype=np.float64) * 2,)


class Fragile(Scorer):
    """Fails as a whole when a row is the culprit, as running out of memory does."""

    def score(self, batch: pa.RecordBatch, *, where: str = "the input") -> object:  # type: ignore[override]
        if CULPRIT in batch.column("x").to_pylist():
            raise OutputMismatch(expected="one output", got="none")
        return super().score(batch, where=where)


def lane_of(backend: object, *, row_s: float, batch_s: float = 0.0, **limits: object) -> ScoringLane:
    """Return a lane on two cores, if not said otherwise, that knows what its micro-batches take."""
    column = Column(name="x", dtype="double")
    scorer = Fragile(backend, Signature((column,), (column,)), block_rows=BLOCK_ROWS)  # type: ignore[arg-type]
    cost = Cost()
    for rows in (1, 2, 100):
        cost.learn(rows, row_s * rows + batch_s)
    cost.seconds_per_row, cost.seconds_per_batch = row_s, batch_s
    return ScoringLane(scorer, LaneLimits(**{"cores": 2, "slo_s": 1e6, **limits}), cost=cost)  # type: ignore[arg-type]


def batch(rows: int, first: float = 0.0) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"x": pa.array(np.arange(rows, dtype=np.float64) + first)})


async def values(lane: ScoringLane, rows: pa.RecordBatch) -> npt.NDArray[np.float64]:
    scored, _ = await lane.score(rows)
    return scored.values


async def all_of(lane: ScoringLane, *batches: pa.RecordBatch) -> list[list[float]]:
    found = [each.tolist() for each in await asyncio.gather(*(values(lane, rows) for rows in batches))]
    lane.close()
    return found


def test_long_micro_batches_run_at_the_same_time() -> None:
    backend = Beside(company=2)  # neither would end alone
    lane = lane_of(backend, row_s=0.5)
    assert asyncio.run(all_of(lane, batch(1), batch(1, 10))) == [[0.0], [20.0]]


def test_no_more_than_there_are_cores() -> None:
    backend = Beside()
    lane = lane_of(backend, row_s=0.5, cores=3)
    asyncio.run(all_of(lane, *(batch(BLOCK_ROWS, 10.0 * n) for n in range(20))))
    assert backend.most <= 3


@pytest.mark.parametrize("row_s", [0.0, 1e-3])
def test_short_ones_wait_for_each_other(row_s: float) -> None:
    backend = Beside()
    lane = lane_of(backend, row_s=row_s, batch_rows=1)
    asyncio.run(all_of(lane, *(batch(1, n) for n in range(20))))
    assert backend.most == 1


def test_a_model_that_does_not_say_that_it_may_is_called_by_one_thread() -> None:
    backend = Beside()
    backend.parallel = False
    lane = lane_of(backend, row_s=0.5, cores=8)
    asyncio.run(all_of(lane, *(batch(BLOCK_ROWS, 10.0 * n) for n in range(20))))
    assert backend.most == 1


def test_waiting_rows_are_split_among_free_threads_where_that_makes_them_quicker() -> None:
    split, together = Beside(company=2), Beside()
    asyncio.run(all_of(lane_of(split, row_s=0.5), *(batch(1, n) for n in range(4))))
    assert sorted(len(set(block)) for block in split.blocks) == [2, 2]
    asyncio.run(all_of(lane_of(together, row_s=0.0, batch_s=0.5), *(batch(1, n) for n in range(4))))
    assert together.blocks == [[0.0, 1.0, 2.0, 3.0]]


def test_parts_that_end_in_another_order_are_put_together_in_theirs() -> None:
    lane = lane_of(Beside(first_ends_last=True), row_s=0.5)
    assert asyncio.run(all_of(lane, batch(3 * BLOCK_ROWS + 1))) == [[2.0 * x for x in range(3 * BLOCK_ROWS + 1)]]


def test_a_request_of_which_a_part_fails_fails_once_and_no_other_does() -> None:
    lane = lane_of(Beside(), row_s=0.5)

    async def run() -> list[object]:
        big, small = values(lane, batch(40, CULPRIT - 20)), values(lane, batch(3))
        return await asyncio.gather(big, small, return_exceptions=True)

    failed, scores = asyncio.run(run())
    lane.close()
    assert isinstance(failed, OutputMismatch)
    assert scores.tolist() == [0.0, 2.0, 4.0]  # type: ignore[attr-defined]
    assert lane.waiting == 0


def test_one_that_is_stuck_is_seen_though_others_end() -> None:
    backend = Beside(first_ends_last=True)
    lane = lane_of(backend, row_s=0.5)

    async def run() -> float:
        held = asyncio.ensure_future(values(lane, batch(1)))
        while not backend.blocks:
            await asyncio.sleep(0.001)
        stuck = lane.stuck_s(time.monotonic() + 60)
        await asyncio.gather(held, values(lane, batch(1, 10)))
        return stuck

    assert asyncio.run(run()) > 59
    assert lane.stuck_s(time.monotonic() + 60) == 0
    lane.close()


def test_several_threads_make_waits_shorter() -> None:
    now = time.monotonic()
    alone, beside = (lane_of(Beside(), row_s=0.01, cores=cores).predicted_wait_s(0, now) for cores in (1, 4))
    assert alone == beside == 0
    waits = []
    for cores in (1, 4):
        lane = lane_of(Beside(), row_s=0.01, cores=cores)
        lane._queue.rows = 40
        waits.append(lane.predicted_wait_s(1, now))
        assert lane.predicted_wait_s(400, now) > lane.predicted_wait_s(1, now)
    assert waits[0] == pytest.approx(0.41, rel=0.01)
    assert waits[1] == pytest.approx(0.11, rel=0.01)


@pytest.mark.parametrize("cores", [1, 2])
def test_who_will_be_answered_in_time_is_not_refused(cores: int) -> None:
    lane = lane_of(Beside(), row_s=0.01, cores=cores, slo_s=1.0)
    asked = (batch(1, n) for n in range(32))
    assert asyncio.run(all_of(lane, *asked)) == [[2.0 * n] for n in range(32)]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=12),
    st.integers(1, 12),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.003, 0.5]),
)
def test_everybody_gets_the_scores_of_their_own_rows(
    sizes: list[int], batch_rows: int, cores: int, row_s: float
) -> None:
    lane = lane_of(Beside(), row_s=row_s, cores=cores, batch_rows=batch_rows)
    got = asyncio.run(all_of(lane, *(batch(n, 1000.0 * (i + 1)) for i, n in enumerate(sizes))))
    assert got == [[2.0 * (1000 * (i + 1) + r) for r in range(n)] for i, n in enumerate(sizes)]
    assert (lane.waiting, lane._queue.rows, lane._queue.bytes) == (0, 0, 0)
