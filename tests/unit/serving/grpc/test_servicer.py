"""Who calls is asked before a model is looked up, and counted before its rows are scored."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from lockstep.errors import RequestInvalid
from lockstep.serving.data_plane import DataPlane
from lockstep.serving.errors import ModelUnknown, Overloaded
from lockstep.serving.grpc import open_inference_pb2 as pb
from lockstep.serving.grpc.calls import Call
from lockstep.serving.grpc.servicer import InferenceServicer, Permit
from lockstep.serving.repository import Repository
from lockstep.serving.security.errors import Forbidden
from lockstep.serving.tensors import DATATYPES
from lockstep.serving.trace import Trace
from tests.unit.serving.tensor_requests import Sent
from tests.unit.serving.toy import INPUTS, ROW


def infer(name: str = "toy", rows: int = 2) -> bytes:
    request = pb.ModelInferRequest(model_name=name)
    for column in INPUTS:
        if column.required:
            sent = Sent(column, DATATYPES[column.dtype][0], rows, [ROW[column.name]] * rows)
            request.inputs.add(name=column.name, datatype=sent.datatype, shape=[rows])
            request.raw_input_contents.append(sent.raw)
    return bytes(request.SerializeToString())


class Noted:
    """A permit that notes what it is asked."""

    def __init__(self, *, most_rows: int = 10) -> None:
        self.most_rows = most_rows
        self.events: list[str] = []

    def __call__(self, call: Call, action: str, model: str) -> Permit:
        self.events.append(f"{action} {model}")
        return self

    def charge_rows(self, rows: int) -> None:
        self.events.append(f"{rows} rows")
        if rows > self.most_rows:
            raise RequestInvalid("too many rows")

    @contextlib.contextmanager
    def covering(self, operation: str, trace: Trace) -> Iterator[None]:
        try:
            yield
        finally:
            self.events.append(f"{operation} of {trace.model or 'none'} ended")


def answer(plane: DataPlane, message: bytes, admit: Any) -> pb.ModelInferResponse:
    async def run() -> bytes:
        repository = Repository(plane.fleet, {}, metrics=plane.metrics)
        servicer = InferenceServicer(plane, repository, admit=admit)
        return await servicer.model_infer(message, Call("/inference.GRPCInferenceService/ModelInfer", None, Trace("q")))

    return pb.ModelInferResponse.FromString(asyncio.run(run()))


def test_a_call_is_admitted_counted_and_followed_to_its_end(plane: DataPlane) -> None:
    noted = Noted()
    assert list(answer(plane, infer(), noted).outputs[0].shape) == [2]
    assert noted.events == ["infer toy", "2 rows", "ModelInfer of toy ended"]
    assert plane.admitted.taken == 0


def test_who_is_not_admitted_learns_nothing_of_the_model(plane: DataPlane) -> None:
    def refuse(call: Call, action: str, model: str) -> None:
        raise Forbidden("client", action=action, model=model)

    for name in ("toy", "other"):
        for padding in (b"", b"\x7a\x80\x80\x08" + bytes(2**17)):  # an unknown field makes it a long message
            with pytest.raises(Forbidden, match=f"lacks the role 'infer' on model '{name}'"):
                answer(plane, infer(name) + padding, refuse)
    assert plane.admitted.taken == 0


def test_rows_beyond_the_clients_share_are_not_scored(plane: DataPlane) -> None:
    noted = Noted(most_rows=1)
    with pytest.raises(RequestInvalid, match="too many rows"):
        answer(plane, infer(), noted)
    assert noted.events[-1] == "ModelInfer of toy ended"
    assert plane.fleet.find("toy", None).lane.cost.batches == 0


def test_an_error_is_followed_to_its_end_too(plane: DataPlane) -> None:
    noted = Noted()
    with pytest.raises(ModelUnknown):
        answer(plane, infer("other"), noted)
    assert noted.events == ["infer other", "ModelInfer of none ended"]


def test_a_long_message_gives_the_same_answer(plane: DataPlane) -> None:
    short = answer(plane, infer(), lambda *_: None)
    extra = pb.ModelInferRequest(parameters={"pad": pb.InferParameter(string_param="x" * 2**17)})
    long = infer() + bytes(extra.SerializeToString())
    assert len(long) > plane.limits.inline_bytes
    assert answer(plane, long, lambda *_: None).raw_output_contents == short.raw_output_contents


def test_when_all_places_are_taken_nothing_is_parsed(plane: DataPlane) -> None:
    with contextlib.ExitStack() as places:
        for _ in range(plane.limits.in_progress):
            places.enter_context(plane.admitted)
        with pytest.raises(Overloaded):
            answer(plane, b"no message at all", Noted())


def test_what_rest_tells_readers_alone_is_told_to_readers_alone(plane: DataPlane) -> None:
    asked: list[tuple[str, str]] = []

    def refuse(call: Call, action: str, model: str) -> None:
        asked.append((action, model))
        raise Forbidden("client", action=action, model=model)

    async def run() -> None:
        servicer = InferenceServicer(plane, Repository(plane.fleet, {}, metrics=plane.metrics), admit=refuse)
        call = Call("/inference.GRPCInferenceService/ModelReady", None, Trace("q"))
        for answering in (
            servicer.model_ready(pb.ModelReadyRequest(name="toy"), call),
            servicer.model_metadata(pb.ModelMetadataRequest(name="toy"), call),
            servicer.server_metadata(pb.ServerMetadataRequest(), call),
        ):
            with pytest.raises(Forbidden):
                await answering
        # What probes ask is open to all, as over REST.
        assert (await servicer.server_live(pb.ServerLiveRequest(), call)).live
        assert (await servicer.server_ready(pb.ServerReadyRequest(), call)).ready

    asyncio.run(run())
    assert asked == [("read", "toy"), ("read", "toy"), ("read", "")]
