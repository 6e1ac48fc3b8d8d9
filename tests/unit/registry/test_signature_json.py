"""Signatures as MLflow writes them, read as columns."""

import numpy as np
import pytest
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import Array

from lockstep.errors import ArtifactInvalid
from lockstep.registry.signature_json import Tensor, signature_columns, signature_tensors
from lockstep.run.plan import Column


def written(*specs: ColSpec | TensorSpec) -> str:
    return Schema(list(specs)).to_json()


def tensor(dtype: str, shape: tuple[int, ...], name: str | None = None) -> TensorSpec:
    return TensorSpec(np.dtype(dtype), shape, name)


def test_columns() -> None:
    text = written(ColSpec(DataType.string, "carrier"), ColSpec(DataType.double, "temp_f", required=False))
    columns = signature_columns(text, model="m", side="input")
    assert columns == (Column(name="carrier", dtype="string"), Column(name="temp_f", dtype="double", required=False))
    assert signature_tensors(text, columns) == ()


def test_named_tensors_are_columns_of_their_rows_shape() -> None:
    text = written(tensor("float32", (-1, 3, 8, 8), "image"), tensor("int64", (-1,), "place"))
    columns = signature_columns(text, model="m", side="input")
    assert columns == (Column(name="image", dtype="float", shape=(3, 8, 8)), Column(name="place", dtype="long"))
    assert signature_tensors(text, columns) == (
        Tensor("image", (3, 8, 8), "float32", is_named=True),
        Tensor("place", (), "int64", is_named=True),
    )


@pytest.mark.parametrize(("side", "name"), [("input", "input"), ("output", "prediction")])
def test_an_unnamed_tensor_gets_a_name(side: str, name: str) -> None:
    text = written(tensor("float32", (-1, 20)))
    columns = signature_columns(text, model="m", side=side)  # type: ignore[arg-type]
    assert columns == (Column(name=name, dtype="float", shape=(20,)),)
    assert signature_tensors(text, columns) == (Tensor(name, (20,), "float32", is_named=False),)


def test_one_element_per_row_is_a_plain_value_that_keeps_its_declared_shape() -> None:
    text = written(tensor("float64", (-1, 1), "temp_f"))
    columns = signature_columns(text, model="m", side="input")
    assert columns == (Column(name="temp_f", dtype="double"),)
    assert signature_tensors(text, columns)[0].shape == (1,)


@pytest.mark.parametrize(
    ("dtype", "read"), [("int32", "integer"), ("bool", "boolean"), ("object", "string"), ("U", "string")]
)
def test_element_types(dtype: str, read: str) -> None:
    assert signature_columns(written(tensor(dtype, (-1, 2))), model="m", side="input")[0].dtype == read


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (ColSpec(Array(DataType.float), "embedding"), "array column, whose length no signature states"),
        (tensor("complex64", (-1, 2), "x"), "is a tensor of complex64"),
        (tensor("float32", (-1, -1), "x"), r"has shape \(-1, -1\); the first dimension must be -1"),
        (tensor("float32", (8, 2), "x"), "the first dimension must be -1"),
    ],
)
def test_what_cannot_be_a_column(spec: ColSpec | TensorSpec, told: str) -> None:
    with pytest.raises(ArtifactInvalid, match=told):
        signature_columns(written(spec), model="m", side="output")
