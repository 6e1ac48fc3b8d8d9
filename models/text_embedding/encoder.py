"""The network of `text_embedding`: a BERT encoder, mean pooling and normalisation, in plain torch.

Modules are named as in the published weights, so that these load without a table of names. A row of tokens padded to
some length gives what it gives alone: padding is never attended to, and counts as exact zeros in the mean.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

# In the published file, and of no use here: a buffer of torch and the head that pooling replaces.
UNUSED = ("embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias")


@dataclass(frozen=True)
class Shape:
    """Sizes of an encoder, by the names of its published `config.json`."""

    vocab_size: int
    max_position_embeddings: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    layer_norm_eps: float = 1e-12
    type_vocab_size: int = 2


class Embeddings(nn.Module):
    """Token, position and segment embeddings, summed and normalised; there is one segment."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.position_embeddings = nn.Embedding(shape.max_position_embeddings, shape.hidden_size)
        self.token_type_embeddings = nn.Embedding(shape.type_vocab_size, shape.hidden_size)
        self.LayerNorm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Embed `(rows, length)` token ids: `(rows, length, hidden)`."""
        positions = self.position_embeddings.weight[: ids.shape[1]]
        return self.LayerNorm(self.word_embeddings(ids) + self.token_type_embeddings.weight[0] + positions)


class Layer(nn.Module):
    """Self-attention and a feed-forward part, each with its residual and a normalisation after it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, eps = shape.hidden_size, shape.layer_norm_eps
        self.heads = shape.num_attention_heads
        projections = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")})
        after = nn.ModuleDict({"dense": nn.Linear(width, width), "LayerNorm": nn.LayerNorm(width, eps=eps)})
        self.attention = nn.ModuleDict({"self": projections, "output": after})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, shape.intermediate_size)})
        self.output = nn.ModuleDict(
            {"dense": nn.Linear(shape.intermediate_size, width), "LayerNorm": nn.LayerNorm(width, eps=eps)}
        )

    def forward(self, hidden: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        """Transform `(rows, length, hidden)`; `allowed` is a `(rows, 1, 1, length)` bool, false on padding."""
        after, wide = self.attention["output"], self.intermediate["dense"]
        hidden = after["LayerNorm"](after["dense"](self._attend(hidden, allowed)) + hidden)
        inner = self.output["dense"](nn.functional.gelu(wide(hidden)))
        return self.output["LayerNorm"](inner + hidden)

    def _attend(self, hidden: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        query, key, value = (self._split(part(hidden)) for part in self.attention["self"].values())
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        return mixed.transpose(1, 2).flatten(2)

    def _split(self, projected: torch.Tensor) -> torch.Tensor:
        """Return `(rows, heads, length, hidden / heads)`."""
        return projected.unflatten(2, (self.heads, -1)).transpose(1, 2)


class TextEncoder(nn.Module):
    """Tokens in, a vector of length one out."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embeddings = Embeddings(shape)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer(shape) for _ in range(shape.num_hidden_layers))})

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Embed rows.

        Args:
            ids: `(rows, length) int64` token ids, at least one of each row no padding.
            mask: `(rows, length) int64`, 1 for a token and 0 for padding.

        Returns:
            `(rows, hidden) float32` vectors of length one.
        """
        hidden = self.embeddings(ids)
        allowed = mask.bool()[:, None, None, :]
        for layer in self.encoder["layer"]:
            hidden = layer(hidden, allowed)
        counted = mask.to(hidden.dtype)[:, :, None]
        mean = (hidden * counted).sum(dim=1) / counted.sum(dim=1)
        return nn.functional.normalize(mean, dim=1)


def load_weights(encoder: TextEncoder, path: Path) -> TextEncoder:
    """Load published weights into an encoder, every one of them, and return it in evaluation mode."""
    from safetensors.torch import load_file

    weights = {name: tensor for name, tensor in load_file(path).items() if name not in UNUSED}
    encoder.load_state_dict(weights)
    return encoder.eval()


def export(encoder: TextEncoder, path: Path, *, longest: int) -> None:
    """Save the encoder as a `torch.export` program for any number of rows of any length up to `longest`."""
    ids = torch.ones((2, 16), dtype=torch.int64)
    rows, length = torch.export.Dim("rows", min=1), torch.export.Dim("length", min=2, max=longest)
    shapes = {"ids": {0: rows, 1: length}, "mask": {0: rows, 1: length}}
    program = torch.export.export(encoder, (ids, torch.ones_like(ids)), dynamic_shapes=shapes)
    torch.export.save(program, path)
