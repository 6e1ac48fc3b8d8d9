"""What would be refused once it is decoded is refused before."""

import asyncio

import pytest

from lockstep.serving.cost import Cost
from lockstep.serving.errors import Overloaded
from lockstep.serving.lane_limits import LaneLimits
from tests.unit.serving.test_lane import BLOCK_ROWS, Counting, batch, lane_of


@pytest.fixture
def backend() -> Counting:
    return Counting()


def test_what_has_no_chance_is_refused_before_it_is_decoded(backend: Counting) -> None:
    cost = Cost()
    for rows in (1, BLOCK_ROWS):
        cost.learn(rows, 0.4)
    lane = lane_of(backend, LaneLimits(slo_s=1.0), cost=cost)
    lane.require_room()
    backend.hold.clear()

    async def run() -> None:
        waiting = [asyncio.create_task(lane.score(batch(1))) for _ in range(20)]
        await asyncio.sleep(0.05)
        try:
            with pytest.raises(Overloaded, match="an answer would take about"):
                lane.require_room()
        finally:
            backend.hold.set()
        await asyncio.gather(*waiting, return_exceptions=True)
        lane.require_room()

    asyncio.run(run())


def test_a_request_like_those_before_it_is_refused_before_it_is_decoded(backend: Counting) -> None:
    """The queue is full for four rows, not for one: decided by how many rows the requests have that came last."""
    lane = lane_of(backend, LaneLimits(slo_s=100.0), cost=Cost(seconds_per_row=8.0, batches=1))
    backend.hold.clear()

    async def run() -> None:
        waiting = [asyncio.create_task(lane.score(batch(BLOCK_ROWS))) for _ in range(2)]
        await asyncio.sleep(0.05)
        lane.require_room()
        for _ in range(60):
            with pytest.raises(Overloaded):
                await lane.score(batch(BLOCK_ROWS))
        try:
            with pytest.raises(Overloaded, match="an answer would take about"):
                lane.require_room()
            waiting.append(asyncio.create_task(lane.score(batch(1))))
            await asyncio.sleep(0.05)
            lane.require_room()  # small ones come too, and have a chance
        finally:
            backend.hold.set()
        assert all(isinstance(scored, tuple) for scored in await asyncio.gather(*waiting))

    asyncio.run(run())
