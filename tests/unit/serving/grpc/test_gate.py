"""A call is turned away unread where no model could take it, and nowhere else."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from grpc import StatusCode

from lockstep.serving.data_plane import DataPlane, Limits
from lockstep.serving.errors import NotReady, Overloaded
from lockstep.serving.fleet import ModelSlot
from lockstep.serving.grpc.calls import Observer
from lockstep.serving.grpc.gate import Gate
from lockstep.serving.lane import ScoringLane
from lockstep.serving.versions import LoadedVersion
from tests.unit.serving.conftest import MakePlane
from tests.unit.serving.grpc.test_calls import METHOD, Aborted, Context

READY = "/inference.GRPCInferenceService/ModelReady"


async def never(_request: bytes, _context: Any) -> bytes:
    raise AssertionError("only looked up here")


READS = grpc.unary_unary_rpc_method_handler(never)
Fill = Callable[[LoadedVersion], None]


class Details:
    """What gRPC knows of a call whose message is not read."""

    invocation_metadata = ()

    def __init__(self, method: str) -> None:
        self.method = method


def gate_of(plane: DataPlane) -> Gate:
    return Gate({METHOD: READS, READY: READS}, scores=METHOD, plane=plane, observer=Observer(plane.metrics))


@pytest.fixture
def fill(monkeypatch: pytest.MonkeyPatch) -> Fill:
    def no_room() -> None:
        raise Overloaded("an answer would take about 9 s", retry_after_s=9)

    return lambda version: monkeypatch.setattr(version.lane, "require_room", no_room)


def another(version: LoadedVersion, number: int) -> LoadedVersion:
    identity = version.identity.model_copy(update={"version": number})
    return LoadedVersion(identity, version.scorer, ScoringLane(version.scorer))


def only(plane: DataPlane) -> ModelSlot:
    (slot,) = plane.fleet
    return slot


def test_with_room_every_call_is_read(plane: DataPlane) -> None:
    assert gate_of(plane).service(Details(METHOD)) is READS
    assert gate_of(plane).service(Details("/inference.GRPCInferenceService/Other")) is None


def test_without_room_a_call_is_refused_unread_and_counted(plane: DataPlane, fill: Fill) -> None:
    current = only(plane).current
    assert current is not None
    fill(current)
    handler, context = gate_of(plane).service(Details(METHOD)), Context()
    assert handler is not None
    assert handler.request_streaming  # one that takes a message has it read before
    with pytest.raises(Aborted):
        asyncio.run(handler.stream_unary(None, context))
    assert context.aborted is not None
    assert context.aborted[0] is StatusCode.RESOURCE_EXHAUSTED
    assert "try again in 9 s" in context.aborted[1]
    assert ("grpc-retry-pushback-ms", "9000") in context.trailing
    who = ("grpc", current.identity.name, current.number, "")
    assert dict(plane.metrics.snapshot()["lockstep_requests"]) == {(*who, "503"): 1}
    assert plane.metrics.in_progress == 0
    assert gate_of(plane).service(Details(READY)) is READS  # what does not score is answered all the same


def test_a_call_is_read_where_any_version_that_it_may_be_for_has_room(plane: DataPlane, fill: Fill) -> None:
    slot, gate = only(plane), gate_of(plane)
    assert slot.current is not None
    fill(slot.current)
    slot.pinned[7] = another(slot.current, 7)
    assert gate.service(Details(METHOD)) is READS
    fill(slot.pinned[7])
    slot.previous = another(slot.current, 6)  # idle, and no reason to read the call
    assert gate.service(Details(METHOD)) is not READS
    plane.fleet.slots["other"] = ModelSlot("other")  # not loaded: who asks for it is told so
    assert gate.service(Details(METHOD)) is READS


def test_when_all_places_are_taken_no_message_is_read(make_plane: MakePlane) -> None:
    plane = make_plane(Limits(in_progress=1))
    with plane.admitted:
        assert gate_of(plane).service(Details(METHOD)) is not READS
    assert gate_of(plane).service(Details(METHOD)) is READS


def test_a_call_is_refused_unread_while_the_worker_that_holds_the_model_is_away(
    plane: DataPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = only(plane).current
    assert current is not None

    def away() -> None:
        raise NotReady("m", reason="the worker that holds it is starting")

    monkeypatch.setattr(current.lane, "require_room", away)
    handler, context = gate_of(plane).service(Details(METHOD)), Context()
    assert handler is not None
    with pytest.raises(Aborted):
        asyncio.run(handler.stream_unary(None, context))
    assert context.aborted is not None
    assert context.aborted[0] is StatusCode.UNAVAILABLE
