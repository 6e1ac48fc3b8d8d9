"""Plain values and a batch of them are the same to the network, in every bit."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from hypothesis import given
from hypothesis import strategies as st

from lockstep.run.plan import Column
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.signature import Signature
from lockstep.scoring.torch_backend import Encoding, TorchBackend
from lockstep.scoring.torch_runner import TorchRunner

INPUTS = (
    Column(name="carrier", dtype="string"),
    Column(name="distance", dtype="double"),
    Column(name="rate", dtype="float"),
    Column(name="origin", dtype="string"),
)
SIGNATURE = Signature(INPUTS, (Column(name="score", dtype="double"),))
ENCODING = Encoding(
    {"carrier": pa.array(["UA", "AA", "UA"]), "origin": pa.array(["JFK", None, ""])}, numeric=("rate", "distance")
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.sampled_from(["UA", "AA", "JFK", "", "ü", None]) | st.text(max_size=3),
    "double": st.floats() | st.none() | st.sampled_from([1e300, 0.1, -0.0]),
    "float": st.floats() | st.none() | st.sampled_from([1e39, 0.1]),
}
ROWS = st.lists(st.tuples(*(VALUES[column.dtype] for column in INPUTS)), min_size=1, max_size=20)


class Network(torch.nn.Module):
    def forward(self, codes: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(torch.nan_to_num(numbers).clamp(-9, 9) @ torch.tensor([0.3, 0.7]) + codes.sum(1))


def backend() -> TorchBackend:
    return TorchBackend(TorchRunner(Network(), torch.device("cpu")), ENCODING)


def both(rows: list[tuple[Any, ...]]) -> tuple[list[list[Any]], pa.RecordBatch]:
    columns = [list(values) for values in zip(*rows, strict=True)]
    schema = SIGNATURE.schema
    arrays = [pa.array(c, field.type, from_pandas=True) for c, field in zip(columns, schema, strict=True)]
    return columns, pa.RecordBatch.from_arrays(arrays, schema=schema)


@given(ROWS)
def test_values_are_encoded_as_a_batch_of_them_is(rows: list[tuple[Any, ...]]) -> None:
    columns, batch = both(rows)
    (of_batch,) = backend().encode(batch).groups
    (of_values,) = backend().encode_values(dict(zip(SIGNATURE.names, columns, strict=True))).groups
    for one, other in zip(of_batch.arrays, of_values.arrays, strict=True):
        whole = np.asarray(one[: len(rows)])
        assert (whole.dtype, whole.shape) == (other.dtype, other.shape)
        nan = np.isnan(whole)
        assert (nan == np.isnan(other)).all()
        assert whole[~nan].tobytes() == other[~nan].tobytes()
        assert whole.flags.f_contiguous == other.flags.f_contiguous or len(rows) == 1


@given(ROWS)
def test_values_are_scored_as_a_batch_of_them_is(rows: list[tuple[Any, ...]]) -> None:
    scorer = Scorer(backend(), SIGNATURE, block_rows=8)
    columns, batch = both(rows)
    of_values = scorer.score_values(columns, len(rows))
    assert of_values is not None
    of_batch = scorer.score(batch)
    assert of_values.values.tobytes() == of_batch.values.tobytes()
    assert of_values.reasons == of_batch.reasons


def test_a_signature_whose_nulls_are_bad_rows_is_not_scored_by_values() -> None:
    wider = Signature((*INPUTS, Column(name="seats", dtype="long")), SIGNATURE.outputs)
    scorer = Scorer(backend(), wider, block_rows=8)
    assert scorer.score_values([["UA"], [1.0], [1.0], ["JFK"], [None]], 1) is None


def test_no_rows_and_many_rows_are_left_to_the_batch() -> None:
    scorer = Scorer(backend(), SIGNATURE, block_rows=8)
    assert scorer.score_values([[], [], [], []], 0) is None
    assert scorer.score_values([["UA"] * 999, [1.0] * 999, [math.nan] * 999, [None] * 999], 999) is None
