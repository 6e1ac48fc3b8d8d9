"""MLServer with a runtime of one's own: the row as one tensor, the model in the server's process."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.serving.servers.calling import Caller
from benchmarks.workloads.workload import SCORE


class Scores(MLModel):  # type: ignore[misc]
    """The model behind MLServer's interface."""

    caller: Caller

    async def load(self) -> bool:
        self.caller = Caller()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        given = payload.inputs[0]
        text = given.datatype == "BYTES"
        rows = np.array(StringCodec.decode_input(given)) if text else NumpyCodec.decode_input(given)
        scores = np.array([await self.caller.score(rows)])
        outputs = [NumpyCodec.encode_output(SCORE, scores)]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)
