"""The text backend: a tokenizer and a `torch.export` program from token ids to one tensor per text.

A text is padded to the shortest of a few lengths that holds it, so that its arrays depend on it alone, and the model
runs in as many shapes as there are lengths.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from tokenizers import Encoding as Tokens
from tokenizers import Tokenizer

from lockstep.scoring.backends import Arrays, Encoded, Execution, Group
from lockstep.scoring.reasons import NULL_REFUSED
from lockstep.scoring.torch_program import load_exported
from lockstep.scoring.torch_runner import TorchRunner, choose_device

# With which tokens begin that begin a word, in tokenizers that keep spaces.
SPACES = "\u0120\u2581"
NETWORK_FILE, TOKENIZER_FILE, ENCODING_FILE = "network.pt2", "tokenizer.json", "encoding.json"


@dataclass(frozen=True)
class TextEncoding:
    """How a text becomes the network's inputs; stored with the model as `encoding.json`.

    Attributes:
        input: The string column.
        lengths: Padded lengths in tokens, ascending; a text of more tokens than the last is cut to it.
        pad_id: Token id of padding.
    """

    input: str
    lengths: tuple[int, ...]
    pad_id: int

    @classmethod
    def read(cls, path: Path) -> "TextEncoding":
        """Read `encoding.json`."""
        stored = json.loads(path.read_text(encoding="utf-8"))
        return cls(stored["input"], tuple(sorted(stored["lengths"])), int(stored["pad_id"]))

    def padded(self, tokens: list[Tokens], *, length: int) -> Arrays:
        """Return `(rows, length) int64` token ids and the `(rows, length) int64` mask that is 0 on padding."""
        ids = np.full((len(tokens), length), self.pad_id, dtype=np.int64)
        mask = np.zeros((len(tokens), length), dtype=np.int64)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = text.ids
            mask[row, : len(text)] = 1
        return ids, mask


class TextBackend:
    """A tokenizer and a network, on one device."""

    parallel = True

    def __init__(self, runner: TorchRunner, tokenizer: Tokenizer, encoding: TextEncoding) -> None:
        self._runner = runner
        self._tokenizer = tokenizer
        self._encoding = encoding
        self.device = str(runner.device)

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """Return a group per padded length: token ids and mask, both `(rows, length) int64`."""
        texts = batch.column(self._encoding.input)
        rows = np.flatnonzero(texts.is_valid().to_numpy(zero_copy_only=False))
        tokens = self._tokenizer.encode_batch_fast(texts.drop_null().to_pylist())
        buckets = self._buckets(tokens)
        groups = []
        for place, length in enumerate(self._encoding.lengths):
            chosen = np.flatnonzero(buckets == place)
            if len(chosen):
                arrays = self._encoding.padded([tokens[row] for row in chosen], length=length)
                groups.append(Group(arrays, rows[chosen]))
        refused = NULL_REFUSED.format(column=self._encoding.input, dtype="string")
        return Encoded(tuple(groups), dict.fromkeys(np.flatnonzero(texts.is_null()).tolist(), refused))

    def run(self, arrays: Arrays) -> Arrays:
        """Run the network on a block of one length: one `(rows, ...) float32` array."""
        return self._runner.run(arrays)

    def draw(self, rows: int) -> pa.RecordBatch:
        """Draw texts of words that the tokenizer knows: of each padded length as many tokens."""
        rng, lengths = np.random.default_rng(), np.asarray(self._encoding.lengths)
        pieces = (token.lstrip(SPACES) for token in self._tokenizer.get_vocab())
        words = np.array(sorted({piece for piece in pieces if piece.isalpha()}) or ["a"])
        marks = len(self._tokenizer.encode(""))
        places = rng.choice(len(lengths), size=rows, p=1 / lengths / (1 / lengths).sum())
        shortest = np.array([marks, *(lengths[:-1] + 1)])[places]
        tokens = rng.integers(shortest, lengths[places], endpoint=True) - marks
        texts = [" ".join(rng.choice(words, size=max(count, 0))) for count in tokens]
        return pa.RecordBatch.from_pydict({self._encoding.input: pa.array(texts, pa.string())})

    def _buckets(self, tokens: list[Tokens]) -> npt.NDArray[np.intp]:
        """Return the place in `lengths` of the shortest that holds each text."""
        sizes = np.fromiter((len(text) for text in tokens), dtype=np.int64, count=len(tokens))
        return np.searchsorted(np.asarray(self._encoding.lengths), sizes)


def load(files: Path, execution: Execution) -> TextBackend:
    """Load `network.pt2`, `tokenizer.json` and `encoding.json`.

    The tokenizer runs on the calling thread: Spark and the endpoint already run one process per core.

    Raises:
        DeviceMissing: A GPU is asked for and there is none.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    device = choose_device(execution.device)
    torch.set_num_threads(execution.threads)
    encoding = TextEncoding.read(files / ENCODING_FILE)
    network = load_exported(files / NETWORK_FILE, device, cache=execution.cache)
    runner = TorchRunner(network, device, precision=execution.precision)
    return TextBackend(runner, _tokenizer(files / TOKENIZER_FILE, longest=encoding.lengths[-1]), encoding)


def _tokenizer(path: Path, *, longest: int) -> Tokenizer:
    """Load a tokenizer that cuts at `longest` tokens and pads nothing, whatever its file asks for."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(longest)
    return tokenizer
