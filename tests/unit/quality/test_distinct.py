import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lockstep.quality import distinct
from lockstep.quality.distinct import count_distinct, repeated, words

WORDS = hnp.arrays(np.uint64, st.integers(0, 300), elements=st.one_of(st.integers(0, 20), st.integers(0, 2**64 - 1)))


@given(WORDS)
def test_as_sorting_says(values: np.ndarray) -> None:
    found, times = np.unique(values, return_counts=True)
    assert count_distinct(values) == len(found)
    assert repeated(values).tolist() == found[times > 1].tolist()


@given(WORDS)
def test_parts_and_few_rounds_change_nothing(values: np.ndarray) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distinct, "PART_VALUES", 16)
        patch.setattr(distinct, "MOST_ROUNDS", 1)
        test_as_sorting_says.hypothesis.inner_test(values)


@given(hnp.arrays(np.float64, 50, elements=st.sampled_from([0.0, -0.0, 1.5, np.inf, -np.inf, 5e-324])))
def test_equal_numbers_are_equal_words(values: np.ndarray) -> None:
    assert count_distinct(words(values)) == len(set(values.tolist()))


@pytest.mark.parametrize("kind", ["int8", "uint64", "float32", "bool", "datetime64[us]"])
def test_words_of_other_types(kind: str) -> None:
    assert count_distinct(words(np.array([0, 1, 1], dtype=np.int64).astype(kind))) == 2
