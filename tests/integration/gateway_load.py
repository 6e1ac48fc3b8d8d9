"""Clients of a gateway over gRPC."""

import time

import grpc
from gateways import Gateway, own_channel
from load import Asking

from lockstep.serving.grpc import open_inference_pb2 as pb
from lockstep.serving.grpc.open_inference_pb2_grpc import GRPCInferenceServiceStub


def churn_request() -> pb.ModelInferRequest:
    """The row of `load.BODY`."""
    request = pb.ModelInferRequest(model_name="churn")
    for name, kind, value in (("city", "BYTES", b"bern"), ("age", "FP64", 3.0), ("spend", "FP64", 0.1)):
        tensor = request.inputs.add(name=name, datatype=kind, shape=[1])
        getattr(tensor.contents, "bytes_contents" if kind == "BYTES" else "fp64_contents").append(value)
    return request


class GrpcLoad(Asking):
    """Clients over gRPC; outcomes that are not OK have their details."""

    def __init__(self, gateway: Gateway, clients: int, *, pause_s: float = 0.0) -> None:
        super().__init__(clients, pause_s=pause_s)
        self._target = gateway.target

    def ask(self) -> None:
        """Ask until told to stop."""
        request = churn_request()
        with own_channel(self._target) as channel:
            infer = GRPCInferenceServiceStub(channel).ModelInfer
            while not self.stop.is_set():
                try:
                    answer = infer(request, timeout=20)
                except grpc.RpcError as error:
                    self.outcomes[f"{error.code().name}: {error.details()}"] += 1
                else:
                    self.outcomes["OK"] += 1
                    self.answers[answer.model_version].add(answer.outputs[0].contents.fp64_contents[0])
                time.sleep(self.pause_s)
