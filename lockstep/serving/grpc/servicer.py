"""The methods of the Open Inference Protocol over one data plane."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import Message

from lockstep import __version__
from lockstep.scoring.backends import Arrays
from lockstep.serving.data_plane import DataPlane
from lockstep.serving.errors import NotReady
from lockstep.serving.fleet import ModelSlot
from lockstep.serving.grpc import open_inference_pb2 as pb
from lockstep.serving.grpc.calls import Call, Observer, observed
from lockstep.serving.grpc.codec import GrpcInfer, decode_infer, encode_infer, encode_metadata
from lockstep.serving.grpc.wire import asked_model, parse, parse_infer
from lockstep.serving.versions import LoadedVersion

SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
READY, UNAVAILABLE = "READY", "UNAVAILABLE"

# Checks that a client may do something (`infer`, `read`; none: open to all) with a model (empty: with none in
# particular), or raises; may note in the call's trace who it is.
Admit = Callable[[Call, str | None, str], None]


def admit_all(_call: Call, _action: str | None, _model: str) -> None:
    """Let everybody do everything."""


class InferenceServicer:
    """Answers the calls of one server; belongs to one event loop.

    Args:
        plane: Answers.
        admit: Asked before anything is done for a client.
    """

    def __init__(self, plane: DataPlane, admit: Admit = admit_all) -> None:
        self._plane = plane
        self._admit = admit

    async def server_live(self, _: pb.ServerLiveRequest, _call: Call) -> pb.ServerLiveResponse:
        """Say whether no model is stuck."""
        return pb.ServerLiveResponse(live=self._plane.live)

    async def server_ready(self, _: pb.ServerReadyRequest, _call: Call) -> pb.ServerReadyResponse:
        """Say whether requests are taken."""
        return pb.ServerReadyResponse(ready=self._plane.ready)

    async def model_ready(self, request: pb.ModelReadyRequest, call: Call) -> pb.ModelReadyResponse:
        """Say whether a model takes requests; one that is not served is an error."""
        self._admit(call, None, request.name)
        try:
            self._find(request.name, request.version)
        except NotReady:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=True)

    async def server_metadata(self, _: pb.ServerMetadataRequest, _call: Call) -> pb.ServerMetadataResponse:
        """Say what this server is."""
        return pb.ServerMetadataResponse(name="lockstep", version=__version__)

    async def model_metadata(self, request: pb.ModelMetadataRequest, call: Call) -> pb.ModelMetadataResponse:
        """Describe a model's inputs and outputs."""
        self._admit(call, "read", request.name)
        target = self._find(request.name, request.version)
        _note(call, target)
        versions = [loaded.identity.version for loaded in self._plane.fleet.slot(target.identity.name).versions]
        return encode_metadata(target.identity, versions)

    async def model_infer(self, message: bytes, call: Call) -> bytes:
        """Score rows.

        Args:
            message: An `inference.ModelInferRequest`, not parsed yet.
            call: The call.

        Returns:
            An `inference.ModelInferResponse`.
        """
        plane, trace = self._plane, call.trace
        with plane.admitted:
            apart = len(message) > plane.limits.inline_bytes
            request = None if apart else parse_infer(message)
            name, version = asked_model(message) if request is None else (request.model_name, request.model_version)
            self._admit(call, "infer", name)
            target = self._find(name, version)
            _note(call, target)

            def decode(given: bytes) -> GrpcInfer:
                return decode_infer(request or parse_infer(given), target.signature)

            with target:
                clock = time.perf_counter()
                asked = await plane.run(decode, message, apart=apart)
                trace.stages_s["decode"] = time.perf_counter() - clock
                outputs = await plane.answer(target, asked.request.rows, trace=trace)

                def encode(scores: Arrays) -> bytes:
                    return bytes(encode_infer(target.identity, asked, scores).SerializeToString())

                clock = time.perf_counter()
                answer = await plane.run(encode, outputs, apart=apart)
                trace.stages_s["encode"] = time.perf_counter() - clock
            call.headers = (*call.headers, ("server-timing", trace.server_timing))
            return answer

    async def repository_index(self, request: pb.RepositoryIndexRequest, call: Call) -> pb.RepositoryIndexResponse:
        """List the models and their loaded versions."""
        self._admit(call, "read", "")
        found = [model for slot in self._plane.fleet for model in _indexed(slot)]
        return pb.RepositoryIndexResponse(models=[m for m in found if m.state == READY or not request.ready])

    def _find(self, name: str, version: str) -> LoadedVersion:
        return self._plane.find(name or None, version or None)


def _note(call: Call, target: LoadedVersion) -> None:
    """Note who answers, for the log, the metrics and the trailing metadata."""
    call.trace.model, call.trace.version = target.identity.name, target.number
    call.headers = target.headers


def _indexed(slot: ModelSlot) -> list[pb.RepositoryIndexResponse.ModelIndex]:
    index = pb.RepositoryIndexResponse.ModelIndex
    if not slot.versions:
        return [index(name=slot.name, state=UNAVAILABLE, reason="no version is loaded")]
    return [index(name=slot.name, version=str(v.identity.version), state=READY) for v in slot.versions]


def inference_handlers(servicer: InferenceServicer, observer: Observer) -> grpc.GenericRpcHandler:
    """Return the handlers of the service; a method of the protocol that is not here is UNIMPLEMENTED."""
    answers: dict[str, Callable[[Any, Call], Awaitable[Any]]] = {
        "ServerLive": servicer.server_live,
        "ServerReady": servicer.server_ready,
        "ModelReady": servicer.model_ready,
        "ServerMetadata": servicer.server_metadata,
        "ModelMetadata": servicer.model_metadata,
        "RepositoryIndex": servicer.repository_index,
    }
    handlers = {name: _handler(name, answer, observer) for name, answer in answers.items()}
    # Its messages stay bytes here: they are parsed where a large one keeps nobody waiting.
    infer = observed(_full_name("ModelInfer"), servicer.model_infer, observer)
    handlers["ModelInfer"] = grpc.unary_unary_rpc_method_handler(infer)
    return grpc.method_handlers_generic_handler(SERVICE.full_name, handlers)


def _handler(name: str, answer: Callable[[Any, Call], Awaitable[Any]], observer: Observer) -> grpc.RpcMethodHandler:
    request: type[Message] = getattr(pb, SERVICE.methods_by_name[name].input_type.name)

    async def parsed(message: bytes, call: Call) -> bytes:
        response = await answer(parse(request, message), call)
        return bytes(response.SerializeToString())

    return grpc.unary_unary_rpc_method_handler(observed(_full_name(name), parsed, observer))


def _full_name(method: str) -> str:
    return f"/{SERVICE.full_name}/{method}"
