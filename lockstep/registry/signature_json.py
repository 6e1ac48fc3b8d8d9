"""MLflow's JSON of a model signature, as columns: https://mlflow.org/docs/latest/ml/model/signatures/.

A signature holds columns or tensors, never both. A tensor becomes a column whose rows have its shape; the first
dimension is the rows. A tensor of one element per row, `(-1,)` or `(-1, 1)`, is a column of plain values.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lockstep.errors import ArtifactInvalid
from lockstep.run.plan import Column
from lockstep.scoring.signature import ARROW_TYPES, ELEMENT_TYPES

Side = Literal["input", "output"]

# What the one column is called when the signature gives it no name.
DEFAULT_NAMES: dict[Side, str] = {"input": "input", "output": "prediction"}
# NumPy's type names to MLflow's, where they differ.
NUMPY_NAMES = {
    "float32": "float",
    "float64": "double",
    "int32": "integer",
    "int64": "long",
    "bool": "boolean",
    "str": "string",
    "object": "string",
    "datetime64[ns]": "datetime",
    "datetime64": "datetime",
    "bytes": "binary",
}


@dataclass(frozen=True)
class Tensor:
    """An input that the signature declares as a tensor, beside the column that holds it.

    Attributes:
        column: Name of its column in `Signature.inputs`.
        shape: Shape of one row as declared: `(1,)` too, whose column holds plain values.
        dtype: NumPy's name of the elements' type.
        is_named: Whether the model takes it by this name; the one unnamed tensor of a model is its whole input.
    """

    column: str
    shape: tuple[int, ...]
    dtype: str
    is_named: bool


def signature_columns(text: str, *, model: str, side: Side) -> tuple[Column, ...]:
    """Read one side of a signature.

    Args:
        text: JSON list, as it stands in the MLmodel file.
        model: What to call the model in an error.
        side: For names and errors.

    Raises:
        ArtifactInvalid: A column without a name, of a type that no column can have, or a tensor of variable shape.
    """
    items: list[dict[str, Any]] = json.loads(text)
    columns = []
    for number, item in enumerate(items):
        name = _name(item) or (DEFAULT_NAMES[side] if len(items) == 1 else None)
        if name is None:
            raise ArtifactInvalid(model, f"{side} number {number} has no name; log the model with named {side}s")
        dtype, shape = _type(item, model=model, what=f"{side} {name!r}")
        columns.append(Column(name=name, dtype=dtype, required=item.get("required", True), shape=shape))
    return tuple(columns)


def signature_tensors(text: str, columns: Sequence[Column]) -> tuple[Tensor, ...]:
    """Return the tensors of a side that `signature_columns` has read; none where it holds columns."""
    tensors = []
    for item, column in zip(json.loads(text), columns, strict=True):
        if item["type"] == "tensor":
            spec = item["tensor-spec"]
            tensors.append(Tensor(column.name, tuple(spec["shape"][1:]), spec["dtype"], is_named="name" in item))
    return tuple(tensors)


def _name(item: dict[str, Any]) -> str | None:
    """Return the name of an item as text: of a data frame without names, MLflow stores the numbers of its columns."""
    name = item.get("name")
    return None if name is None else str(name)


def _type(item: dict[str, Any], *, model: str, what: str) -> tuple[str, tuple[int, ...] | None]:
    kind = item.get("type")
    if kind == "array":
        raise ArtifactInvalid(
            model, f"{what} is an array column, whose length no signature states; log the model with tensors instead"
        )
    if kind == "tensor" and "tensor-spec" in item:
        return _tensor(item["tensor-spec"], model=model, what=what)
    if kind not in ARROW_TYPES:
        raise ArtifactInvalid(model, f"{what} has type {kind!r}; columns can be {', '.join(ARROW_TYPES)}")
    return str(kind), None


def _tensor(spec: dict[str, Any], *, model: str, what: str) -> tuple[str, tuple[int, ...] | None]:
    dtype = NUMPY_NAMES.get(spec["dtype"], spec["dtype"])
    if dtype not in ELEMENT_TYPES:
        raise ArtifactInvalid(
            model, f"{what} is a tensor of {spec['dtype']}; its elements can be {', '.join(ELEMENT_TYPES)}"
        )
    rows, *rest = spec["shape"] or [0]
    if rows != -1 or any(size < 1 for size in rest):
        problem = (
            f"{what} has shape {tuple(spec['shape'])}; the first dimension must be -1, the rows, and all others fixed"
        )
        raise ArtifactInvalid(model, problem)
    return dtype, None if math.prod(rest) == 1 else tuple(rest)
