"""A real Scorer over a backend of a few lines, and the application over it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lockstep.scoring.scorer import Scorer
from lockstep.scoring.signature import Signature
from lockstep.serving.app import build_app
from lockstep.serving.data_plane import DataPlane, Limits, ServedModel
from lockstep.serving.metrics import Metrics
from tests.unit.serving.toy import BLOCK_ROWS, IDENTITY, ROW, SIGNATURE, ToyBackend

MakePlane = Callable[[Limits], DataPlane]


@pytest.fixture
def signature() -> Signature:
    return SIGNATURE


@pytest.fixture
def row() -> dict[str, Any]:
    return dict(ROW)


@pytest.fixture
def scorer() -> Scorer:
    return Scorer(ToyBackend(), SIGNATURE, block_rows=BLOCK_ROWS)


@pytest.fixture
def make_plane(scorer: Scorer) -> Iterator[MakePlane]:
    made: list[DataPlane] = []

    def make(limits: Limits) -> DataPlane:
        plane = DataPlane(ServedModel(IDENTITY, scorer), metrics=Metrics.create(IDENTITY), limits=limits)
        made.append(plane)
        return plane

    yield make
    for plane in made:
        plane.close()


@pytest.fixture
def plane(make_plane: MakePlane) -> DataPlane:
    return make_plane(Limits())


@pytest.fixture
def app(plane: DataPlane) -> Any:
    return build_app(plane)
