"""Clients of a gateway over gRPC, as `load.Load` has them over REST."""

import collections
import threading
import time

import grpc
from gateways import Gateway, own_channel

from lockstep.serving.grpc import open_inference_pb2 as pb
from lockstep.serving.grpc.open_inference_pb2_grpc import GRPCInferenceServiceStub


def churn_request() -> pb.ModelInferRequest:
    """The row of `load.BODY`."""
    request = pb.ModelInferRequest(model_name="churn")
    for name, kind, value in (("city", "BYTES", b"bern"), ("age", "FP64", 3.0), ("spend", "FP64", 0.1)):
        tensor = request.inputs.add(name=name, datatype=kind, shape=[1])
        getattr(tensor.contents, "bytes_contents" if kind == "BYTES" else "fp64_contents").append(value)
    return request


class GrpcLoad:
    """Clients, each over a connection of its own, until they are told to stop.

    Attributes:
        outcomes: Answers by status, with details of those that are not OK.
        answers: Scores by the version that the answer names.
    """

    def __init__(self, gateway: Gateway, clients: int, *, pause_s: float = 0.0) -> None:
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.answers: dict[str, set[float]] = collections.defaultdict(set)
        self._target = gateway.target
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> "GrpcLoad":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        request = churn_request()
        with own_channel(self._target) as channel:
            infer = GRPCInferenceServiceStub(channel).ModelInfer
            while not self._stop.is_set():
                try:
                    answer = infer(request, timeout=20)
                except grpc.RpcError as error:
                    self.outcomes[f"{error.code().name}: {error.details()}"] += 1
                else:
                    self.outcomes["OK"] += 1
                    self.answers[answer.model_version].add(answer.outputs[0].contents.fp64_contents[0])
                time.sleep(self._pause_s)
