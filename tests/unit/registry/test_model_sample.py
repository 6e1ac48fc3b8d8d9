import numpy as np

from lockstep.registry.model_sample import generic_sample
from lockstep.run.plan import Column
from lockstep.scoring.signature import ARROW_TYPES, ELEMENT_TYPES, Signature

OUTPUT = (Column(name="out", dtype="double"),)


def test_a_model_of_which_no_row_is_known_gets_generic_ones() -> None:
    numbers = sorted({*ARROW_TYPES, *ELEMENT_TYPES} - {"string", "datetime"})
    inputs = [Column(name=name, dtype=name) for name in numbers if name in ARROW_TYPES]
    inputs += [Column(name=f"{name}_tensor", dtype=name, shape=(2, 3)) for name in numbers if name in ELEMENT_TYPES]
    signature = Signature(tuple(inputs), OUTPUT)
    drawn = generic_sample(signature, rows=100)
    assert drawn is not None
    assert drawn.schema.equals(signature.schema)
    assert drawn.num_rows == 100
    assert all(column.null_count == 0 for column in drawn.columns)
    assert len(np.unique(drawn.column("double").to_numpy())) == 100
    assert set(drawn.column("boolean").to_pylist()) == {True, False}
    again = generic_sample(signature, rows=100)
    assert again is not None
    assert again.equals(drawn)


def test_nobody_knows_a_generic_text_or_moment() -> None:
    for dtype in ("string", "datetime"):
        assert generic_sample(Signature((Column(name="x", dtype=dtype),), OUTPUT), rows=3) is None
