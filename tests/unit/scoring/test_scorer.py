"""The Scorer: a row's score is the row's alone, and a bad row harms no other."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockstep.errors import ColumnMissing, ColumnTypeMismatch
from lockstep.run.plan import Column
from lockstep.scoring.backends import Arrays, Encoded, Group
from lockstep.scoring.reasons import NOT_FINITE
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.signature import Signature

NUMBERS = Signature((Column(name="x", dtype="double"),), (Column(name="y", dtype="double"),))


class Fragile:
    """A model that raises on 13, gives NaN for 17 and infinity for 19, else doubles; demands one block shape."""

    device = "cpu"

    def __init__(self, block_rows: int) -> None:
        self.block_rows = block_rows

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """Return the column."""
        return Encoded((Group((batch.column("x").to_numpy(),)),))

    def run(self, arrays: Arrays) -> Arrays:
        """Double it."""
        x = arrays[0]
        assert len(x) == self.block_rows
        if (x == 13).any():
            raise ValueError("a message with data in it: 13")
        return (np.where(x == 17, np.nan, np.where(x == 19, np.inf, x * 2)),)


def numbers(values: list[float]) -> pa.RecordBatch:
    """Return a batch of the column x."""
    return pa.RecordBatch.from_pydict({"x": pa.array(values, pa.float64())})


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_rows_bits_do_not_depend_on_its_batch(scorer: Scorer, batch: pa.RecordBatch, data: st.DataObject) -> None:
    whole = scorer.score(batch).values
    rows = data.draw(st.lists(st.integers(0, batch.num_rows - 1), min_size=1, max_size=150))
    taken = batch.take(pa.array(rows))
    assert scorer.score(taken).values.tobytes() == whole[rows].tobytes()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([1.0, 2.0, 13.0, 17.0, 19.0, -3.5]), max_size=70), st.sampled_from([1, 4, 16]))
def test_bad_rows_are_found_and_the_others_scored(values: list[float], block_rows: int) -> None:
    scored = Scorer(Fragile(block_rows), NUMBERS, block_rows=block_rows).score(numbers(values))
    for row, value in enumerate(values):
        if value in (13.0, 17.0, 19.0):
            assert np.isnan(scored.values[row])
            assert scored.reasons[row] == ("model_raised: the model raised ValueError" if value == 13.0 else NOT_FINITE)
        else:
            assert scored.values[row] == value * 2
            assert row not in scored.reasons


def test_no_rows(scorer: Scorer, batch: pa.RecordBatch) -> None:
    scored = scorer.score(batch.slice(0, 0))
    assert scored.values.shape == (0,)
    assert not scored.reasons


def test_nulls_and_unknown_values_have_scores(scorer: Scorer, batch: pa.RecordBatch) -> None:
    scored = scorer.score(batch)
    assert not scored.reasons
    assert np.isfinite(scored.values).all()
    assert len(np.unique(scored.values)) > 50, "the model does tell rows apart"


def test_a_model_that_returns_too_few_results_scores_nothing() -> None:
    class Short(Fragile):
        def run(self, arrays: Arrays) -> Arrays:
            return (super().run(arrays)[0][:-1],)

    scored = Scorer(Short(4), NUMBERS, block_rows=4).score(numbers([1, 2, 3]))
    assert scored.reasons == dict.fromkeys(range(3), "model_raised: the model raised ValueError")


def test_a_missing_and_a_wrong_column(scorer: Scorer, batch: pa.RecordBatch) -> None:
    with pytest.raises(ColumnMissing, match=r"'age' is missing in the input; expected a column of type double"):
        scorer.score(batch.drop_columns(["age"]))
    wrong = batch.set_column(2, "age", pa.array(["x"] * 100))
    with pytest.raises(ColumnTypeMismatch, match=r"'age'.*expected double, got string"):
        scorer.score(wrong)
