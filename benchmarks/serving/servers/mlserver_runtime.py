"""MLServer with a runtime of one's own: the rows as one tensor, the model called in the server's process."""

import os

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.job import Job
from benchmarks.serving.sample import one_thread_model
from benchmarks.workloads.workload import SCORE, Model


class Scores(MLModel):  # type: ignore[misc]
    """The model behind MLServer's interface."""

    model: Model

    async def load(self) -> bool:
        self.model = one_thread_model(Job.from_json(os.environ["BENCHMARK_JOB"]))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        given = payload.inputs[0]
        text = given.datatype == "BYTES"
        rows = np.array(StringCodec.decode_input(given)) if text else NumpyCodec.decode_input(given)
        scores = self.model.predict(self.model.from_numpy(rows))
        outputs = [NumpyCodec.encode_output(SCORE, scores)]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)
