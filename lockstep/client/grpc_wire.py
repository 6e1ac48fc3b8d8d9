"""The Open Inference Protocol over gRPC, with raw tensors."""

from collections.abc import Callable
from typing import Any

import grpc
import pyarrow as pa

from lockstep.client.access import Access
from lockstep.client.answers import Answer, Arrays, Interface, Listed, answer_of, column_of
from lockstep.client.errors import (
    GRPC_ERRORS,
    AnswerInvalid,
    AnswerTooLate,
    ConnectionFailed,
    EndpointBusy,
    RequestTooLarge,
    RowsUnfit,
    TargetInvalid,
    refusal,
)
from lockstep.client.patience import Deadline
from lockstep.client.rest import UNREADABLE, new_request_id
from lockstep.client.tensors import described_tensor, one_array, raw_values, read_output
from lockstep.errors import LockstepError
from lockstep.serving.grpc import open_inference_pb2 as pb
from lockstep.serving.grpc.codec import DIGEST
from lockstep.serving.grpc.open_inference_pb2_grpc import GRPCInferenceServiceStub
from lockstep.serving.grpc.statuses import PUSHBACK

OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_retries", 0),  # patience is ours
    ("grpc.enable_http_proxy", 0),
)


class GrpcWire:
    """The Open Inference Protocol over gRPC."""

    names_versions = True

    def __init__(self, access: Access) -> None:
        if access.prefix:
            raise TargetInvalid(f"gRPC has no paths; expected grpc://host:port, got {access.url!r}")
        self._access = access
        host = f"[{access.host}]" if ":" in access.host else access.host
        target = f"{host}:{access.port}"
        if access.secure:
            self._channel = grpc.secure_channel(target, _credentials(access), OPTIONS)
        else:
            self._channel = grpc.insecure_channel(target, OPTIONS)
        self._stub = GRPCInferenceServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def describe(self, model: str | None, version: str | None, *, deadline: Deadline) -> Interface:
        """Ask what a model takes and gives; see `Wire`."""
        request = pb.ModelMetadataRequest(name=model or "", version=version or "")
        found, headers = self._call(self._stub.ModelMetadata, request, deadline=deadline)
        try:
            inputs = tuple(column_of(each.name, each.datatype, each.shape) for each in found.inputs)
            outputs = tuple(column_of(each.name, each.datatype, each.shape) for each in found.outputs)
        except UNREADABLE as error:
            raise AnswerInvalid(self._access.url, problem="it does not describe a model") from error
        own, digest = headers.get("x-lockstep-model-version", version or ""), headers.get("x-lockstep-model-digest", "")
        return Interface(found.name, own, tuple(found.versions), inputs, outputs, digest)

    def score(
        self, table: pa.Table, interface: Interface, *, version: str | None, request_id: str, deadline: Deadline
    ) -> tuple[Arrays, Answer]:
        """Score fitted rows; see `Wire`.

        Raises:
            RowsUnfit: A text or an integer is missing, for which this protocol has no form.
        """
        request = encode_request(table, interface)
        request.model_version = version or ""
        response, headers = self._call(self._stub.ModelInfer, request, deadline=deadline, request_id=request_id)
        try:
            outputs = {
                tensor.name: read_output(memoryview(raw), tensor.name, tensor.datatype, shape=list(tensor.shape))
                for tensor, raw in zip(response.outputs, response.raw_output_contents, strict=True)
            }
            if not outputs or any(len(values) != table.num_rows for values in outputs.values()):
                raise ValueError("another number of rows")
        except UNREADABLE as error:
            raise AnswerInvalid(self._access.url, problem="it holds no outputs for the rows") from error
        named = {"x-lockstep-model-version": response.model_version}
        named["x-lockstep-model-digest"] = response.parameters[DIGEST].string_param
        return outputs, answer_of({**named, **headers}, model=interface.model, request_id=request_id)

    def ready(self, model: str | None, *, deadline: Deadline) -> bool:
        """Ask whether the endpoint, or one model, answers; see `Wire`."""
        if model is None:
            found, _ = self._call(self._stub.ServerReady, pb.ServerReadyRequest(), deadline=deadline)
        else:
            found, _ = self._call(self._stub.ModelReady, pb.ModelReadyRequest(name=model), deadline=deadline)
        return bool(found.ready)

    def models(self, *, deadline: Deadline) -> tuple[Listed, ...]:
        """Ask which versions are loaded; see `Wire`."""
        found, _ = self._call(self._stub.RepositoryIndex, pb.RepositoryIndexRequest(), deadline=deadline)
        return tuple(Listed(each.name, each.version, each.state) for each in found.models)

    def close(self) -> None:
        """Close all connections."""
        self._channel.close()

    def _call(
        self, method: Callable[..., Any], request: Any, *, deadline: Deadline, request_id: str | None = None
    ) -> tuple[Any, dict[str, str]]:
        named = request_id or new_request_id()
        metadata = (("x-request-id", named), *self._access.headers.items())
        try:
            left_s = deadline.require(self._access.url)
            answer, call = method.with_call(request, timeout=left_s, metadata=metadata)  # type: ignore[attr-defined]
        except grpc.RpcError as error:
            raise self._refused(error, named, deadline) from error
        return answer, _texts(call.trailing_metadata())

    def _refused(self, error: Any, request_id: str, deadline: Deadline) -> LockstepError:
        url, code, headers = self._access.url, error.code(), _texts(error.trailing_metadata())
        said, pushback = error.details() or "no message", headers.get(PUSHBACK)
        if "x-request-id" not in headers:  # not from the endpoint itself
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                return AnswerTooLate(url, timeout_s=deadline.timeout_s)
            if code is grpc.StatusCode.UNAVAILABLE:
                return ConnectionFailed(url, problem=f"does not answer: {said}", refused="refused" in said.lower())
        kind = GRPC_ERRORS.get(code.name)
        if kind is EndpointBusy and code is grpc.StatusCode.RESOURCE_EXHAUSTED and pushback is None:
            kind = RequestTooLarge
        after_s = None if pushback is None else int(pushback) / 1000
        named = headers.get("x-request-id", request_id)
        return refusal(kind, url, code.name, said=said, request_id=named, retry_after_s=after_s)


def encode_request(table: pa.Table, interface: Interface) -> pb.ModelInferRequest:
    """Write an inference request with raw tensors.

    A column of texts or integers that are all missing is left out, which the endpoint reads as missing if it may be.

    Raises:
        RowsUnfit: A text or an integer is missing among others.
    """
    request = pb.ModelInferRequest(model_name=interface.model)
    for column in interface.inputs:
        if column.name not in table.column_names:
            continue
        array = one_array(table, column.name)
        raw = raw_values(array, column)
        if raw is None and array.null_count == len(array):
            continue
        if raw is None:
            row = array.is_null().index(True).as_py()
            problem = "is missing, for which gRPC has no form in a column of its type"
            raise RowsUnfit(f"column {column.name!r}, row {row}: {problem}; ask over http (protocol v2 or mlflow)")
        request.inputs.add(**described_tensor(table, column))
        request.raw_input_contents.append(raw)
    return request


def _credentials(access: Access) -> grpc.ChannelCredentials:
    try:
        ca = None if access.ca is None else access.ca.read_bytes()
        chain = None if access.certificate is None else access.certificate.read_bytes()
        key = chain if access.key is None else access.key.read_bytes()
    except OSError as error:
        raise TargetInvalid(f"the certificates for {access.url} cannot be read: {error}") from error
    return grpc.ssl_channel_credentials(ca, key, chain)


def _texts(metadata: Any) -> dict[str, str]:
    return {key: value for key, value in metadata or () if isinstance(value, str)}
