"""Linear layers in 8-bit integers, scaled row by row.

torch's own dynamic quantisation takes one scale for all rows of a call, so that a row's result would depend on its
neighbours. Here each row of the activations has its own scale, as each output of the weights has; the integers in
between are added up exactly, in any order.
"""

import torch

LARGEST = 127
# Before cuBLAS takes an integer product: rows, and a multiple of its matrices' sides.
CUDA_ROWS, CUDA_SIDE = 17, 8


class Int8Linear(torch.nn.Module):
    """A linear layer with 8-bit weights, and activations that are rounded to 8 bits as they come."""

    weights: torch.Tensor
    scales: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, layer: torch.nn.Linear) -> None:
        super().__init__()
        weights = layer.weight.detach().float()
        scales = _scales(weights)
        self.outputs = layer.out_features
        self.register_buffer("weights", _padded((weights / scales).round().to(torch.int8)).t())
        self.register_buffer("scales", scales[:, 0])
        bias: torch.Tensor | None = layer.bias  # torch declares that there always is one
        self.register_buffer("bias", None if bias is None else bias.detach().float())

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Return `(..., outputs) float32` for `(..., inputs)` floats."""
        rows = given.reshape(-1, given.shape[-1]).float()
        scales = _scales(rows)
        codes = _padded((rows / scales).round().to(torch.int8), least_rows=CUDA_ROWS)
        sums = torch._int_mm(codes, self.weights)[: len(rows), : self.outputs]  # noqa: SLF001 - it has no other name
        result = sums.float() * scales * self.scales
        if self.bias is not None:
            result = result + self.bias
        return result.reshape(*given.shape[:-1], self.outputs)


def quantize(network: torch.nn.Module) -> int:
    """Replace all linear layers inside a module; return how many there were."""
    changed = 0
    for name, child in network.named_children():
        if type(child) is torch.nn.Linear:  # a subclass may do more
            setattr(network, name, Int8Linear(child))
            changed += 1
        else:
            changed += quantize(child)
    return changed


def _scales(matrix: torch.Tensor) -> torch.Tensor:
    """Return `(rows, 1)` scales, such that the largest value of a row becomes 127."""
    largest = matrix.abs().amax(dim=1, keepdim=True) / LARGEST
    return torch.where(largest > 0, largest, torch.ones_like(largest))


def _padded(codes: torch.Tensor, *, least_rows: int = 0) -> torch.Tensor:
    """Add zeros until the sides are what cuBLAS takes; they add nothing to a sum."""
    rows, columns = codes.shape
    wanted_rows = max(rows, least_rows)
    below, right = wanted_rows + -wanted_rows % CUDA_SIDE - rows, -columns % CUDA_SIDE
    return torch.nn.functional.pad(codes, (0, right, 0, below)) if below or right else codes
