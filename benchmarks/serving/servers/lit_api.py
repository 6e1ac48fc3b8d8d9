"""LitServe: one API server and one worker, with the queue that it has for hundreds of requests a second."""

import os
import sys
from typing import Any

import litserve
import numpy as np

from benchmarks.job import Job
from benchmarks.serving.sample import one_thread_model, score_array
from benchmarks.workloads.workload import Model


class Scores(litserve.LitAPI):  # type: ignore[misc]
    """The model behind LitServe's hooks."""

    model: Model

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's interface
        self.model = one_thread_model(Job.from_json(os.environ["BENCHMARK_JOB"]))

    def decode_request(self, request: dict[str, Any]) -> Any:
        text = request.get("text")
        return np.array([text]) if text is not None else np.array([request["features"]], dtype=np.float32)

    def predict(self, row: Any) -> float:
        return score_array(self.model, row)

    def encode_response(self, output: float) -> dict[str, float]:
        return {"score": output}


if __name__ == "__main__":
    server = litserve.LitServer(
        Scores(api_path="/score"), accelerator="cpu", workers_per_device=1, fast_queue=True, healthcheck_path="/ready"
    )
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False,
        log_level="warning", access_log=False, loop="uvloop", http="httptools",
    )  # fmt: skip
