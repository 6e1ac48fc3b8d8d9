"""Matrix products of an ONNX graph in 8-bit integers, row by row.

ONNX Runtime's own `quantize_dynamic` takes one scale for all activations of a call, so that a row's result would depend
on its neighbours. Its operator MatMulNBits scales every 32 values of a row by themselves, as here the weights are.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

# Values that share a scale, of the activations and of the weights.
GROUP = 32
DOMAIN = "com.microsoft"
# Of MatMulNBits: 4 multiplies 8-bit integers, lower levels multiply floats.
INTEGER_ACCURACY = 4


def quantize(source: Path, target: Path) -> int:
    """Write a graph whose products with constant float32 matrices are those of 8-bit integers.

    Args:
        source: ONNX file; external data lies beside it.
        target: File to write.

    Returns:
        How many products were changed; other nodes stay in float32.
    """
    model = onnx.load(source)
    graph = model.graph
    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    packed: dict[str, npt.NDArray[np.generic]] = {}
    changed = 0
    for node in graph.node:
        weights = _weights(node, constants)
        if weights is None:
            nodes.append(node)
            continue
        changed += 1
        key = f"{node.output[0]}_int8"
        packed[f"{key}_values"], packed[f"{key}_scales"] = pack(weights)
        nodes.extend(_product(node, key, shape=weights.shape))
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in packed.items())
    _drop_unused(graph)
    if not any(opset.domain == DOMAIN for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    target.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, target)
    return changed


def pack(weights: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Pack a matrix as MatMulNBits has it.

    Args:
        weights: `(k, n) float32`.

    Returns:
        `(n, groups, GROUP) uint8` values around 128 and their `(n, groups) float32` scales.
    """
    k, n = weights.shape
    groups = -(-k // GROUP)
    padded = np.zeros((groups * GROUP, n), np.float32)
    padded[:k] = weights
    grouped = padded.T.reshape(n, groups, GROUP)
    scales = np.abs(grouped).max(axis=2) / 127
    scales[scales == 0] = 1
    values = np.rint(grouped / scales[:, :, None]) + 128
    return values.astype(np.uint8), scales.astype(np.float32)


def _weights(node: onnx.NodeProto, constants: dict[str, npt.NDArray[np.generic]]) -> npt.NDArray[np.float32] | None:
    """Return the constant `(k, n)` matrix that a node multiplies by, unless it is no such node."""
    if node.op_type not in {"MatMul", "Gemm"} or node.domain not in {"", "ai.onnx"}:
        return None
    matrix = constants.get(node.input[1])
    if matrix is None or matrix.ndim != 2 or matrix.dtype != np.float32:
        return None
    if node.op_type == "MatMul":
        return matrix.astype(np.float32)
    facts = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    if facts.get("transA", 0) or facts.get("alpha", 1.0) != 1.0 or facts.get("beta", 1.0) != 1.0:
        return None
    return (matrix.T if facts.get("transB", 0) else matrix).astype(np.float32)


def _product(node: onnx.NodeProto, key: str, *, shape: tuple[int, ...]) -> Iterable[onnx.NodeProto]:
    k, n = shape
    has_bias = len(node.input) > 2 and bool(node.input[2])
    result = f"{key}_product" if has_bias else node.output[0]
    yield helper.make_node(
        "MatMulNBits",
        [node.input[0], f"{key}_values", f"{key}_scales"],
        [result],
        domain=DOMAIN,
        K=k,
        N=n,
        bits=8,
        block_size=GROUP,
        accuracy_level=INTEGER_ACCURACY,
    )
    if has_bias:
        yield helper.make_node("Add", [result, node.input[2]], [node.output[0]])


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    kept = [item for item in graph.initializer if item.name in used or _has_subgraphs(graph)]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _has_subgraphs(graph: onnx.GraphProto) -> bool:
    """Whether a node (If, Loop) holds a graph of its own, which may use any constant of the outer one."""
    kinds = {onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS}
    return any(item.type in kinds for node in graph.node for item in node.attribute)
