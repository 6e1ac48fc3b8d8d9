"""Activations that overwrite their input: the same bits, and only where nobody else reads it."""

import pytest
import torch

from lockstep.scoring.torch_graph import IN_PLACE, bind_weights, overwrite_activations


class Network(torch.nn.Module):
    """A residual block: one activation may overwrite, one may not."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        hidden = self.first(rows)
        again = torch.relu(self.second(torch.tanh(hidden)))  # tanh's input is read once more below
        return torch.sigmoid(hidden + again)


class Single(torch.nn.Module):
    """A linear layer and one activation."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.layer, self.function = torch.nn.Linear(8, 8), function

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.function(self.layer(rows))  # type: ignore[operator,no-any-return]


def exported(module: torch.nn.Module, rows: torch.Tensor) -> torch.fx.GraphModule:
    return torch.export.export(module.eval(), (rows,)).module(check_guards=False)


def test_only_what_nobody_else_reads_is_overwritten() -> None:
    rows = torch.randn(16, 8)
    module = exported(Network(), rows)
    kept = rows.clone()
    with torch.inference_mode():
        expected = module.forward(rows)
        assert overwrite_activations(module) == 2
        found = module.forward(rows)
    assert torch.equal(found, expected)
    assert torch.equal(rows, kept), "the input stays as it was"
    targets = [node.target for node in module.graph.nodes]
    assert torch.ops.aten.tanh.default in targets
    assert torch.ops.aten.relu_.default in targets


@pytest.mark.parametrize("function", IN_PLACE, ids=lambda function: function.name())
def test_every_activation_gives_the_same_bits(function: torch._ops.OpOverload) -> None:
    rows = torch.randn(64, 8) * 4
    module = exported(Single(function), rows)
    with torch.inference_mode():
        expected = module.forward(rows)
        assert overwrite_activations(module) == 1
        assert torch.equal(module.forward(rows), expected)


def test_bound_weights_are_those_of_the_module() -> None:
    rows = torch.randn(4, 8)
    module = exported(Network(), rows)
    with torch.inference_mode():
        expected = module.forward(rows)
        assert bind_weights(module) == 4
        assert torch.equal(module.forward(rows), expected)
    assert all(node.target in vars(module) for node in module.graph.nodes if node.op == "get_attr")


def test_an_activation_of_the_input_itself_stays() -> None:
    rows = torch.randn(4, 8)
    module = exported(torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(8, 1)), rows)
    assert overwrite_activations(module) == 0
