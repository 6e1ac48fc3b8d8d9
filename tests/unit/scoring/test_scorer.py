"""The Scorer: a row's score is the row's alone, and a bad row harms no other."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockstep.errors import ColumnMissing, ColumnTypeMismatch, MemoryExhausted, OutputMismatch
from lockstep.run.plan import Column
from lockstep.scoring.backends import Arrays, Encoded, Execution, Group
from lockstep.scoring.blocks import ROWS_IN_ALL, BlockSizes, Ladder
from lockstep.scoring.reasons import NOT_FINITE, OUT_OF_MEMORY
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.signature import Signature
from lockstep.scoring.torch_backend import load
from tests.unit.scoring.conftest import SIGNATURE

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


class Tight(Fragile):
    """A model with room for so many rows, and for no row of value 99 at all."""

    def __init__(self, room: int) -> None:
        super().__init__(0)
        self.room = room
        self.blocks: list[int] = []

    def run(self, arrays: Arrays) -> Arrays:
        """Double it, if it fits."""
        x = arrays[0]
        if len(x) > self.room or (x == 99).any():
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.blocks.append(len(x))
        return (x * 2,)


def certified(*sizes: int) -> BlockSizes:
    """Block sizes that an earlier process certified."""
    blocks = BlockSizes(sizes[0])
    blocks._ladders["float64[]"] = Ladder(
        list(sizes), [1.0] * len(sizes), sizes[-1], checked=[ROWS_IN_ALL] * len(sizes)
    )
    return blocks


def test_blocks_are_halved_until_they_fit_and_no_row_is_lost() -> None:
    model = Tight(room=16)
    scorer = Scorer(model, NUMBERS, block_rows=4, blocks=certified(4, 16, 64))
    values = list(map(float, range(150)))
    values[99] = 0.5
    for _ in range(2):
        scored = scorer.score(numbers(values))
        assert not scored.reasons
        assert scored.values.tolist() == [value * 2 for value in values]
    assert max(model.blocks) == 16
    assert model.blocks.count(16) > 2 * 8, "it goes on with the largest that fits"


def test_a_row_that_does_not_fit_alone_is_set_aside() -> None:
    values = [1.0, 2.0, 99.0, 4.0, 5.0, 6.0]
    scored = Scorer(Tight(room=4), NUMBERS, block_rows=4).score(numbers(values))
    assert scored.reasons == {2: OUT_OF_MEMORY}
    assert [v for v in scored.values if not np.isnan(v)] == [2.0, 4.0, 8.0, 10.0, 12.0]


def test_when_no_row_fits_it_is_not_the_rows_fault() -> None:
    with pytest.raises(MemoryExhausted, match="No row was lost"):
        Scorer(Tight(room=3), NUMBERS, block_rows=4).score(numbers([1.0, 2.0, 3.0, 4.0, 5.0]))


def test_a_certificate_that_no_longer_holds_is_revoked_in_time(caplog: pytest.LogCaptureFixture) -> None:
    class Moved(Fragile):
        def run(self, arrays: Arrays) -> Arrays:
            x = arrays[0] * 2
            return (np.nextafter(x, np.inf) if len(x) > 4 else x,)

    scorer = Scorer(Moved(0), NUMBERS, block_rows=4, blocks=certified(4, 16))
    values = [float(i) for i in range(1, 60)]
    assert scorer.score(numbers(values)).values.tolist() == [value * 2 for value in values]
    assert "no longer give the bits" in caplog.text
    assert scorer.blocks.usable(scorer._backend.run, (np.zeros(60),)) == [4]


def test_few_rows_run_in_a_smaller_certified_block() -> None:
    class Seen(Fragile):
        def run(self, arrays: Arrays) -> Arrays:
            sizes.append(len(arrays[0]))
            self.block_rows = len(arrays[0])
            return super().run(arrays)

    sizes: list[int] = []
    blocks = certified(2, 4, 8, 16)
    blocks.base = 8
    scorer = Scorer(Seen(0), NUMBERS, block_rows=8, blocks=blocks)
    assert scorer.score(numbers([float(v) for v in range(1, 4)])).values.tolist() == [2, 4, 6]
    assert sizes == [4, 8], "the first is checked in a block of the base size"
    sizes.clear()
    values = [float(v) for v in range(20, 39)]
    assert scorer.score(numbers(values)).values.tolist() == [2 * v for v in values]
    assert sizes == [16, 4]


def test_a_batch_of_one_base_block_does_not_use_up_the_check() -> None:
    class Changed(Fragile):
        def run(self, arrays: Arrays) -> Arrays:
            self.block_rows = len(arrays[0])
            return tuple(array + (len(array) > 4) for array in super().run(arrays))

    scorer = Scorer(Changed(0), NUMBERS, block_rows=4, blocks=certified(4, 16))
    scorer.score(numbers([20.0] * 4))
    assert scorer.score(numbers([20.0] * 16)).values.tolist() == [40.0] * 16


def test_bad_rows_in_large_blocks() -> None:
    class Any(Fragile):
        def run(self, arrays: Arrays) -> Arrays:
            self.block_rows = len(arrays[0])
            return super().run(arrays)

    values = [13.0 if i in (5, 63, 64, 70) else 17.0 if i == 40 else float(i) + 20 for i in range(100)]
    scored = Scorer(Any(0), NUMBERS, block_rows=4, blocks=certified(4, 16, 64)).score(numbers(values))
    assert list(scored.reasons) == [5, 40, 63, 64, 70]
    expected = [np.nan if v in (13.0, 17.0) else v * 2 for v in values]
    np.testing.assert_array_equal(scored.values, expected)


@pytest.mark.parametrize("rows", [0, 1, 31, 32, 33, 1_023, 1_024, 1_025, 65_536])
def test_searched_blocks_and_single_rows_give_equal_bits(scorer: Scorer, artifact_files: Path, rows: int) -> None:
    random = np.random.default_rng(rows)
    columns = {
        "city": pa.array(random.choice(["bern", "oslo", "rome", "x"], rows)),
        "age": pa.array(random.normal(40, 20, rows)),
        "spend": pa.array(random.normal(0, 100, rows), mask=random.random(rows) < 0.1),
    }
    batch = pa.RecordBatch.from_pydict(columns)
    searching = Scorer(load(artifact_files, Execution()), SIGNATURE, block_rows=32, blocks=BlockSizes(32, search=True))
    found = searching.score(batch).values
    assert found.tobytes() == scorer.score(batch).values.tobytes()
    for row in random.integers(0, rows, size=min(rows, 50)):
        assert scorer.score(batch.slice(row, 1)).values.tobytes() == found[row : row + 1].tobytes()


class Shapes:
    """Two outputs, one of them a tensor; rows are encoded in two groups by the parity of their first element."""

    device = "cpu"

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """Refuse rows that begin with 7."""
        flat = batch.column("v").flatten().to_numpy(zero_copy_only=False)
        matrix = flat.reshape(batch.num_rows, 3).astype(np.float32)
        refused = {int(i): "seven: no sevens" for i in np.flatnonzero(matrix[:, 0] == 7)}
        groups = []
        for parity in (0, 1):
            rows = np.flatnonzero((matrix[:, 0] % 2 == parity) & (matrix[:, 0] != 7))
            groups.append(Group((matrix[rows],), rows))
        return Encoded(tuple(groups), refused)

    def run(self, arrays: Arrays) -> Arrays:
        """Give the sum, and the row twice."""
        return arrays[0].sum(axis=1), np.concatenate([arrays[0], arrays[0]], axis=1)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.one_of(st.none(), st.lists(st.integers(0, 9), min_size=2, max_size=4)), max_size=40))
def test_tensors_and_groups_and_refused_rows(values: list[list[int] | None]) -> None:
    inputs = (Column(name="v", dtype="long", shape=(3,)),)
    outputs = (Column(name="total", dtype="double"), Column(name="twice", dtype="float", shape=(2, 3)))
    batch = pa.RecordBatch.from_pydict({"v": pa.array(values, pa.list_(pa.int64()))})
    scored = Scorer(Shapes(), Signature(inputs, outputs), block_rows=4).score(batch)
    total, twice = scored.outputs
    assert (total.dtype, twice.dtype, twice.shape) == (np.float64, np.float32, (len(values), 2, 3))
    for row, value in enumerate(values):
        if value is None or len(value) != 3 or value[0] == 7:
            code = "null_refused" if value is None else "wrong_length" if len(value) != 3 else "seven"
            assert scored.reasons[row].startswith(code)
            assert np.isnan(twice[row]).all()
        else:
            assert row not in scored.reasons
            assert total[row] == sum(value)
            assert twice[row].tolist() == [value, value]


def test_a_model_that_breaks_its_signature_is_told_so() -> None:
    two = Signature(NUMBERS.inputs, (Column(name="y", dtype="double"), Column(name="z", dtype="double")))
    with pytest.raises(OutputMismatch, match="returned 1, but its signature declares 2 outputs"):
        Scorer(Tight(room=4), two, block_rows=4).score(numbers([1.0]))
    tensor = Signature(NUMBERS.inputs, (Column(name="y", dtype="double", shape=(3,)),))
    with pytest.raises(OutputMismatch, match=r"declares y as double tensor of shape \(3,\) per row"):
        Scorer(Tight(room=4), tensor, block_rows=4).score(numbers([1.0]))
