"""A real Scorer over a backend of a few lines, and the application over it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lockstep.scoring.scorer import Scorer
from lockstep.scoring.signature import Signature
from lockstep.serving.data_plane import DataPlane, Limits
from lockstep.serving.fleet import Fleet, ModelSlot
from lockstep.serving.lane import ScoringLane
from lockstep.serving.metrics import Metrics
from lockstep.serving.versions import LoadedVersion
from tests.unit.serving.toy import BLOCK_ROWS, IDENTITY, ROW, SIGNATURE, ToyBackend, app_of

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
        version = LoadedVersion(IDENTITY, scorer, ScoringLane(scorer))
        plane = DataPlane(Fleet([ModelSlot(IDENTITY.name, current=version)]), metrics=Metrics(), limits=limits)
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
    return app_of(plane)
