"""Rewrites of a network's graph that change its speed and no bit of its results."""

import operator

import torch
from torch.fx import GraphModule, Node

aten = torch.ops.aten

# Functions of single values, and their form that overwrites its input.
IN_PLACE = {
    aten.elu.default: aten.elu_.default,
    aten.gelu.default: aten.gelu_.default,
    aten.hardsigmoid.default: aten.hardsigmoid_.default,
    aten.hardswish.default: aten.hardswish_.default,
    aten.hardtanh.default: aten.hardtanh_.default,
    aten.leaky_relu.default: aten.leaky_relu_.default,
    aten.relu.default: aten.relu_.default,
    aten.sigmoid.default: aten.sigmoid_.default,
    aten.silu.default: aten.silu_.default,
    aten.tanh.default: aten.tanh_.default,
}
# What always returns new memory, never a view of an input.
FRESH = {
    aten.add.Tensor,
    aten.addmm.default,
    aten.batch_norm.default,
    aten.bmm.default,
    aten.conv1d.default,
    aten.conv2d.default,
    aten.conv3d.default,
    aten.linear.default,
    aten.mm.default,
    aten.mul.Tensor,
}


def overwrite_activations(module: GraphModule) -> int:
    """Let activations overwrite what only they read, instead of writing as much memory again.

    An activation is changed if its input is new memory that no other node sees, of the activation's dtype. In a small
    network on large blocks, writing the second array takes as long as a quarter of the matrix products.

    Returns:
        How many were changed.
    """
    changed = 0
    for node in module.graph.nodes:
        if node.target in IN_PLACE and _may_overwrite(node):
            node.target = IN_PLACE[node.target]
            changed += 1
    module.recompile()
    return changed


def bind_weights(module: GraphModule) -> int:
    """Let the generated code read weights as plain attributes, not through nested modules.

    PyTorch looks a parameter up in Python, a microsecond for each step of its name, which in a small network on one
    block is a share of the products. To be called when the weights are on their device.

    Returns:
        How many weights were bound.
    """
    bound = 0
    for node in module.graph.nodes:
        if node.op == "get_attr":
            value = operator.attrgetter(str(node.target))(module)
            if isinstance(value, torch.Tensor):
                node.target = f"weight_{bound}"
                vars(module)[node.target] = value.detach()
                bound += 1
    module.recompile()
    return bound


def _may_overwrite(node: Node) -> bool:
    source = node.args[0]
    if not isinstance(source, Node) or source.target not in FRESH or len(source.users) != 1:
        return False
    return _dtype(source) is not None and _dtype(source) == _dtype(node)


def _dtype(node: Node) -> torch.dtype | None:
    value = node.meta.get("val")
    return value.dtype if isinstance(value, torch.Tensor) else None
