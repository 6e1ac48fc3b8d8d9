"""The network of all-MiniLM-L6-v2 in plain torch: a BERT encoder, mean pooling, a unit vector."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch.nn import functional


class MiniLm:
    """Token ids and mask to embeddings."""

    def __init__(self, weights: Mapping[str, torch.Tensor], *, layers: int, heads: int, epsilon: float) -> None:
        self._weights = weights
        self._layers = layers
        self._heads = heads
        self._epsilon = epsilon

    @classmethod
    def read(cls, folder: Path) -> "MiniLm":
        """Read `config.json` and `model.safetensors`."""
        from safetensors.torch import load_file

        facts = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return cls(
            load_file(folder / "model.safetensors"),
            layers=facts["num_hidden_layers"],
            heads=facts["num_attention_heads"],
            epsilon=facts["layer_norm_eps"],
        )

    def __call__(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Embed: two `(texts, tokens) int64` to `(texts, 384) float32`."""
        return self.embed(ids, mask, visible=None if bool(mask.all()) else mask.bool()[:, None, None, :])

    def embed(self, ids: torch.Tensor, mask: torch.Tensor, *, visible: torch.Tensor | None) -> torch.Tensor:
        """Embed with a given attention mask; none: all tokens are seen."""
        weights = self._weights
        hidden = weights["embeddings.word_embeddings.weight"][ids]
        hidden = hidden + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        hidden = hidden + weights["embeddings.token_type_embeddings.weight"][0]
        hidden = self._norm(hidden, "embeddings.LayerNorm")
        for number in range(self._layers):
            hidden = self._layer(hidden, visible, name=f"encoder.layer.{number}")
        share = mask.to(hidden.dtype)[:, :, None]
        return functional.normalize((hidden * share).sum(1) / share.sum(1))

    def _layer(self, hidden: torch.Tensor, visible: torch.Tensor | None, *, name: str) -> torch.Tensor:
        texts, tokens, width = hidden.shape

        def split(part: str) -> torch.Tensor:
            projected = self._linear(hidden, f"{name}.attention.self.{part}")
            return projected.view(texts, tokens, self._heads, -1).transpose(1, 2)

        mixed = functional.scaled_dot_product_attention(split("query"), split("key"), split("value"), visible)
        mixed = mixed.transpose(1, 2).reshape(texts, tokens, width)
        mixed = self._linear(mixed, f"{name}.attention.output.dense") + hidden
        mixed = self._norm(mixed, f"{name}.attention.output.LayerNorm")
        wide = functional.gelu(self._linear(mixed, f"{name}.intermediate.dense"))
        return self._norm(self._linear(wide, f"{name}.output.dense") + mixed, f"{name}.output.LayerNorm")

    def _linear(self, hidden: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(hidden, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, hidden: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return functional.layer_norm(hidden, weight.shape, weight, bias, self._epsilon)
