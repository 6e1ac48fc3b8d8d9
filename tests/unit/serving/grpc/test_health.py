"""The health of a server, its models and their versions."""

import pytest

from lockstep.scoring.scorer import Scorer
from lockstep.serving.data_plane import DataPlane, Limits
from lockstep.serving.fleet import Fleet, ModelSlot
from lockstep.serving.grpc.health import NOT_SERVING, SERVING, UNKNOWN, health_of
from lockstep.serving.lane import ScoringLane
from lockstep.serving.metrics import Metrics
from lockstep.serving.versions import LoadedVersion
from tests.unit.serving.toy import BLOCK_ROWS, IDENTITY, SIGNATURE, ToyBackend

SERVICE = "inference.GRPCInferenceService"


@pytest.mark.parametrize(
    ("service", "status"),
    [
        ("", SERVING),
        (SERVICE, SERVING),
        ("toy", SERVING),
        ("toy/versions/3", SERVING),
        ("toy/versions/4", UNKNOWN),
        ("t", UNKNOWN),
    ],
)
def test_what_is_loaded_serves(service: str, status: int) -> None:
    scorer = Scorer(ToyBackend(), SIGNATURE, block_rows=BLOCK_ROWS)
    slot = ModelSlot("toy", current=LoadedVersion(IDENTITY, scorer, ScoringLane(scorer)))
    plane = DataPlane(Fleet([slot]), metrics=Metrics(), limits=Limits())
    assert health_of(plane, service) == status
    plane.close()
    assert health_of(plane, service) == NOT_SERVING


def test_a_model_that_is_not_loaded_and_the_whole_do_not_serve() -> None:
    plane = DataPlane(Fleet([ModelSlot("toy")]), metrics=Metrics(), limits=Limits())
    assert [health_of(plane, name) for name in ("", SERVICE, "toy")] == [NOT_SERVING] * 3
    assert health_of(plane, "other") == UNKNOWN
    plane.close()
