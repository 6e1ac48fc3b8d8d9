"""The registered model's code: MLflow stores this file and runs it on loading ("models from code").

It needs mlflow, numpy, pandas, torch and tokenizers, nothing of Lockstep, so any MLflow client can load and score the
model. Texts are padded to the same lengths as in Lockstep, whose scorer runs each length in blocks of a fixed number of
rows. The two agree to about 1e-7, not to the last bit (see docs/adr/0004-model-artifact.md).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext
from tokenizers import Tokenizer

BATCH_ROWS = 64


class TextEmbedding(PythonModel):  # type: ignore[misc]
    """Tokenizes a column of texts as `encoding.json` says and runs the exported network."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load network, tokenizer and encoding from the model's artifacts."""
        self.network = torch.export.load(context.artifacts["network"]).module()
        self.encoding = json.loads(Path(context.artifacts["encoding"]).read_text(encoding="utf-8"))
        self.tokenizer = Tokenizer.from_file(context.artifacts["tokenizer"])
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.encoding["lengths"][-1])

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 - MLflow's interface
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002 - MLflow's interface
    ) -> "np.ndarray[Any, np.dtype[np.float32]]":
        """Return `(rows, width) float32` embeddings; a row without a text is all NaN."""
        out = np.full((len(model_input), self.encoding["width"]), np.nan, dtype=np.float32)
        texts = model_input[self.encoding["input"]]
        rows = np.flatnonzero(texts.notna().to_numpy())
        tokens = dict(zip(rows, self.tokenizer.encode_batch([texts.iloc[row] for row in rows]), strict=True))
        for length in self.encoding["lengths"]:
            shorter = [size for size in self.encoding["lengths"] if size < length]
            chosen = [row for row in rows if max(shorter, default=0) < len(tokens[row]) <= length]
            for start in range(0, len(chosen), BATCH_ROWS):
                part = chosen[start : start + BATCH_ROWS]
                out[part] = self._embed([tokens[row].ids for row in part], length)
        return out

    def _embed(self, ids: list[list[int]], length: int) -> "np.ndarray[Any, np.dtype[np.float32]]":
        pad = self.encoding["pad_id"]
        padded = torch.tensor([text + [pad] * (length - len(text)) for text in ids])
        mask = torch.tensor([[1] * len(text) + [0] * (length - len(text)) for text in ids])
        with torch.inference_mode():
            embedded: np.ndarray[Any, np.dtype[np.float32]] = self.network(padded, mask).numpy()
        return embedded


set_model(TextEmbedding())
