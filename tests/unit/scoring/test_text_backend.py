"""Texts by their own padded length: no neighbour, no order and no batch changes what a text gives."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from lockstep.run.plan import Column
from lockstep.scoring.backends import Execution
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.signature import Signature
from lockstep.scoring.text_backend import TextBackend, load

WORDS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "late", "flight", "the", "is"]
WIDTH, BLOCK_ROWS = 6, 4
SIGNATURE = Signature(
    (Column(name="text", dtype="string"),), (Column(name="embedding", dtype="float", shape=(WIDTH,)),)
)
TEXTS = ["the flight is late", "", "late", "the flight " * 5, "the flight " * 50, "unknown words"]


class Network(torch.nn.Module):
    """The mean of the embeddings of all tokens but padding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(len(WORDS), WIDTH)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Embed `(rows, length)` tokens."""
        counted = mask.float()[:, :, None]
        return (self.embedding(ids) * counted).sum(1) / counted.sum(1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`network.pt2`, `tokenizer.json` and `encoding.json`."""
    folder = tmp_path_factory.mktemp("text")
    torch.manual_seed(7)
    ids = torch.ones((2, 8), dtype=torch.int64)
    free = {0: torch.export.Dim("rows", min=1), 1: torch.export.Dim("length", min=2, max=64)}
    shapes = {"ids": free, "mask": free}
    torch.export.save(torch.export.export(Network().eval(), (ids, ids), dynamic_shapes=shapes), folder / "network.pt2")
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()  # type: ignore[assignment]
    ends = [("[CLS]", 1), ("[SEP]", 2)]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)  # type: ignore[assignment]
    tokenizer.enable_padding(length=128)  # as published tokenizers do; the encoding decides
    tokenizer.enable_truncation(3)
    tokenizer.save(str(folder / "tokenizer.json"))
    encoding = {"input": "text", "output": "embedding", "width": WIDTH, "lengths": [8, 4, 16], "pad_id": 0}
    (folder / "encoding.json").write_text(json.dumps(encoding))
    return folder


@pytest.fixture(scope="module")
def backend(files: Path) -> TextBackend:
    return load(files, Execution(device="cpu"))


def batch(texts: list[str | None]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.string())})


def test_a_group_for_each_length_in_use(backend: TextBackend) -> None:
    encoded = backend.encode(batch(TEXTS))
    shapes = [(group.arrays[0].shape, group.rows.tolist()) for group in encoded.groups if group.rows is not None]
    assert shapes == [((3, 4), [1, 2, 5]), ((1, 8), [0]), ((2, 16), [3, 4])]
    ids, mask = encoded.groups[0].arrays
    assert ids.tolist() == [[1, 2, 0, 0], [1, 4, 2, 0], [1, 3, 3, 2]]
    assert mask.tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert ids.dtype == mask.dtype == np.int64
    longest = encoded.groups[2].arrays[0]
    assert (longest[1, 0], longest[1, -1]) == (1, 2), "a text that is cut keeps its first and last token"
    assert encoded.reasons == {}


def test_null_is_refused_and_empty_text_is_not(backend: TextBackend) -> None:
    encoded = backend.encode(batch([None, "", None]))
    assert [group.rows.tolist() for group in encoded.groups if group.rows is not None] == [[1]]
    assert list(encoded.reasons) == [0, 2]
    assert encoded.reasons[0].startswith("null_refused: column text is null")
    assert backend.encode(batch([None])).groups == ()


def test_the_tokenizer_starts_no_threads(backend: TextBackend) -> None:
    assert os.environ["TOKENIZERS_PARALLELISM"] == "false"
    assert backend.device == "cpu"


def test_a_text_depends_on_itself_alone(backend: TextBackend) -> None:
    scorer = Scorer(backend, SIGNATURE, block_rows=BLOCK_ROWS)
    many = scorer.score(batch([*TEXTS, None] * 3))
    assert many.values.shape == (21, WIDTH)
    assert many.values.dtype == np.float32
    assert list(many.reasons) == [6, 13, 20]
    backwards = scorer.score(batch(TEXTS[::-1])).values[::-1]
    for row, text in enumerate(TEXTS):
        alone = scorer.score(batch([text])).values[0]
        for place in (row, row + 7, row + 14):
            assert many.values[place].tobytes() == alone.tobytes()
        assert backwards[row].tobytes() == alone.tobytes()


def test_drawn_texts_have_all_lengths_and_are_certified(files: Path) -> None:
    scorer = Scorer(load(files, Execution(device="cpu")), SIGNATURE, block_rows=BLOCK_ROWS)
    assert scorer.certificate.sizes == {}
    drawn = scorer.draw(10_000)
    assert drawn is not None
    assert drawn.schema.equals(SIGNATURE.schema)
    scored = scorer.score(drawn)
    assert not scored.reasons
    assert scorer.certify(drawn, seconds=5)
    assert set(scorer.certificate.sizes) == {f"int64[{length}] int64[{length}]" for length in (4, 8, 16)}
    assert all(BLOCK_ROWS in sizes for sizes in scorer.certificate.sizes.values())
    assert scorer.score(drawn).values.tobytes() == scored.values.tobytes()
