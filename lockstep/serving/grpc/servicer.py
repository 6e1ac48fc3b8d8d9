"""The methods of the Open Inference Protocol over one data plane."""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import grpc
from google.protobuf.message import Message

from lockstep import __version__
from lockstep.errors import RequestInvalid
from lockstep.scoring.backends import Arrays
from lockstep.serving.data_plane import DataPlane
from lockstep.serving.errors import NotReady
from lockstep.serving.grpc import open_inference_pb2 as pb
from lockstep.serving.grpc.calls import Call, Observer, observed
from lockstep.serving.grpc.codec import GrpcInfer, decode_infer, encode_infer, encode_metadata
from lockstep.serving.grpc.gate import Gate
from lockstep.serving.grpc.turn import GrpcTurn
from lockstep.serving.grpc.wire import asked_model, parse, parse_infer
from lockstep.serving.repository import Repository
from lockstep.serving.repository_edge import repository_index
from lockstep.serving.routing.routed import answer_routed
from lockstep.serving.trace import Trace
from lockstep.serving.versions import LoadedVersion

SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
VERSION_DIGITS = 9


class Permit(Protocol):
    """What an admitted call may do on."""

    def charge_rows(self, rows: int) -> None:
        """Count the rows of the call, once they are known and before they are scored; may raise."""

    def sees(self, model: str) -> bool:
        """Return whether the client may know of a model."""

    def covering(self, operation: str, trace: Trace) -> AbstractContextManager[None]:
        """Run the call in this: whatever is to be known of its end is noted."""


# Checks that a client may do something (`infer`, `read`, `admin`) with a model (empty: with none in particular).
Admit = Callable[[Call, str, str], Permit | None]


def admit_all(_call: Call, _action: str, _model: str) -> None:
    """Let everybody do everything."""


class InferenceServicer:
    """Answers the calls of one server; belongs to one event loop.

    Args:
        plane: Answers.
        repository: Changes what is served.
        admit: Asked before anything is done for a client.
    """

    def __init__(self, plane: DataPlane, repository: Repository, *, admit: Admit = admit_all) -> None:
        self._plane = plane
        self._repository = repository
        self._admit = admit

    async def server_live(self, _: pb.ServerLiveRequest, _call: Call) -> pb.ServerLiveResponse:
        """Say whether no model is stuck."""
        return pb.ServerLiveResponse(live=self._plane.live)

    async def server_ready(self, _: pb.ServerReadyRequest, _call: Call) -> pb.ServerReadyResponse:
        """Say whether requests are taken."""
        return pb.ServerReadyResponse(ready=self._plane.ready)

    async def model_ready(self, request: pb.ModelReadyRequest, call: Call) -> pb.ModelReadyResponse:
        """Say whether a model takes requests; one that is not served is an error."""
        with self._admitted(call, "read", request.name):
            try:
                self._find(request.name, request.version)
            except NotReady:
                return pb.ModelReadyResponse(ready=False)
            return pb.ModelReadyResponse(ready=True)

    async def server_metadata(self, _: pb.ServerMetadataRequest, call: Call) -> pb.ServerMetadataResponse:
        """Say what this server is."""
        with self._admitted(call, "read", ""):
            return pb.ServerMetadataResponse(name="lockstep", version=__version__)

    async def model_metadata(self, request: pb.ModelMetadataRequest, call: Call) -> pb.ModelMetadataResponse:
        """Describe a model's inputs and outputs."""
        with self._admitted(call, "read", request.name):
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
        plane = self._plane
        with plane.admitted:
            apart = len(message) > plane.limits.inline_bytes
            request = None if apart else parse_infer(message)
            name, version = asked_model(message) if request is None else (request.model_name, request.model_version)
            with self._admitted(call, "infer", name) as permit, self._find(name, version) as target:
                _note(call, target)
                if plane.arms and not version and (arms := plane.arms.get(target.identity.name)) is not None:
                    charge = permit.charge_rows if permit is not None else None
                    turn = GrpcTurn(plane, call, request=request or message, charge=charge)
                    return await answer_routed(plane, arms, turn)
                return await self._scored(request or message, call, target, permit=permit)

    async def _scored(
        self, request: pb.ModelInferRequest | bytes, call: Call, target: LoadedVersion, *, permit: Permit | None
    ) -> bytes:
        plane, trace, apart = self._plane, call.trace, isinstance(request, bytes)
        target.lane.require_room()

        def decode(given: pb.ModelInferRequest | bytes) -> GrpcInfer:
            return decode_infer(parse_infer(given) if isinstance(given, bytes) else given, target.signature)

        clock = time.perf_counter()
        asked = await plane.run(decode, request, apart=apart)
        trace.stages_s["decode"] = time.perf_counter() - clock
        if permit is not None:
            permit.charge_rows(asked.request.rows.num_rows)
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
        with self._admitted(call, "read", "") as permit:
            found = repository_index(self._repository, ready=request.ready)
            listed = [model for model in found if permit is None or permit.sees(model["name"])]
            return pb.RepositoryIndexResponse(models=[pb.RepositoryIndexResponse.ModelIndex(**m) for m in listed])

    async def model_load(self, request: pb.RepositoryModelLoadRequest, call: Call) -> pb.RepositoryModelLoadResponse:
        """Let the version of a model's alias answer, or the one that a parameter names."""
        name, version = _model_of(request), _version_of(request)
        with self._admitted(call, "admin", name):
            _note(call, await self._repository.load(name, version=version))
        return pb.RepositoryModelLoadResponse(model_name=name, isLoaded=True)

    async def model_unload(
        self, request: pb.RepositoryModelUnloadRequest, call: Call
    ) -> pb.RepositoryModelUnloadResponse:
        """Stop serving a model."""
        name = _model_of(request)
        with self._admitted(call, "admin", name):
            await self._repository.unload(name)
        return pb.RepositoryModelUnloadResponse(model_name=name, isUnloaded=True)

    @property
    def plane(self) -> DataPlane:
        """Who answers."""
        return self._plane

    def _find(self, name: str, version: str) -> LoadedVersion:
        return self._plane.find(name or None, version or None)

    @contextmanager
    def _admitted(self, call: Call, action: str, model: str) -> Iterator[Permit | None]:
        permit = self._admit(call, action, model)
        with permit.covering(call.method.rpartition("/")[2], call.trace) if permit is not None else nullcontext():
            yield permit


def _model_of(request: pb.RepositoryModelLoadRequest | pb.RepositoryModelUnloadRequest) -> str:
    """Return the model that a request names in one of the two ways."""
    return request.model_name or request.repository_name


def _version_of(request: pb.RepositoryModelLoadRequest) -> int | None:
    """Return which version is to be loaded, from the parameter `version`; none: the alias's."""
    if not request.parameters.keys() <= {"version"}:
        raise RequestInvalid("a model is loaded as it is: there is no parameter but version")
    if "version" not in request.parameters:
        return None
    given = request.parameters["version"]
    text = str(getattr(given, given.WhichOneof("parameter_choice") or "string_param"))
    if not text.isascii() or not text.isdecimal() or len(text) > VERSION_DIGITS:
        raise RequestInvalid("the parameter version must be the number of a version")
    return int(text)


def _note(call: Call, target: LoadedVersion) -> None:
    """Note who answers, for the log, the metrics and the trailing metadata."""
    call.trace.model, call.trace.version = target.identity.name, target.number
    call.headers = target.headers


def inference_handlers(servicer: InferenceServicer, observer: Observer) -> grpc.GenericRpcHandler:
    """Return the handlers of the service; a method of the protocol that is not here is UNIMPLEMENTED."""
    answers: dict[str, Callable[[Any, Call], Awaitable[Any]]] = {
        "ServerLive": servicer.server_live,
        "ServerReady": servicer.server_ready,
        "ModelReady": servicer.model_ready,
        "ServerMetadata": servicer.server_metadata,
        "ModelMetadata": servicer.model_metadata,
        "RepositoryIndex": servicer.repository_index,
        "RepositoryModelLoad": servicer.model_load,
        "RepositoryModelUnload": servicer.model_unload,
    }
    handlers = {_full_name(name): _handler(name, answer, observer) for name, answer in answers.items()}
    infer = _full_name("ModelInfer")
    # Its messages stay bytes here: they are parsed where a large one keeps nobody waiting.
    handlers[infer] = grpc.unary_unary_rpc_method_handler(observed(infer, servicer.model_infer, observer))
    return Gate(handlers, scores=infer, plane=servicer.plane, observer=observer)


def _handler(name: str, answer: Callable[[Any, Call], Awaitable[Any]], observer: Observer) -> grpc.RpcMethodHandler:
    request: type[Message] = getattr(pb, SERVICE.methods_by_name[name].input_type.name)

    async def parsed(message: bytes, call: Call) -> bytes:
        response = await answer(parse(request, message), call)
        return bytes(response.SerializeToString())

    return grpc.unary_unary_rpc_method_handler(observed(_full_name(name), parsed, observer))


def _full_name(method: str) -> str:
    return f"/{SERVICE.full_name}/{method}"
