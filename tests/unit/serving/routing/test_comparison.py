"""Differences of a shadow, row by row."""

import numpy as np

from lockstep.run.plan import Column
from lockstep.scoring.signature import Signature
from lockstep.serving.routing.comparison import distances, shared_outputs


def signature(*names: str) -> Signature:
    return Signature((), tuple(Column(name=name, dtype="double") for name in names))


def test_numbers_are_compared_by_the_largest_difference_of_a_row() -> None:
    ours = (np.array([1.0, 2.0, 3.0]), np.array([[1, 2], [3, 4], [5, 6]], np.int64))
    theirs = (np.array([1.0, 2.5, 3.0], np.float32), np.array([[1, 2], [3, 5], [2, 6]], np.int64))
    assert distances(ours, theirs, [(0, 0), (1, 1)]).tolist() == [0.0, 1.0, 3.0]
    assert distances(ours, theirs, [(0, 0)]).tolist() == [0.0, 0.5, 0.0]


def test_texts_and_other_shapes_agree_or_do_not() -> None:
    texts = np.array(["a", "b"], object)
    assert distances((texts,), (np.array(["a", "c"], object),), [(0, 0)]).tolist() == [0.0, np.inf]
    assert distances((texts,), (np.array([1.0, 2.0]),), [(0, 0)]).tolist() == [np.inf, np.inf]
    assert distances((np.zeros((2, 3)),), (np.zeros((2, 4)),), [(0, 0)]).tolist() == [np.inf, np.inf]
    assert distances((np.array([True, False]),), (np.array([True, True]),), [(0, 0)]).tolist() == [0.0, 1.0]


def test_outputs_are_found_by_name() -> None:
    assert shared_outputs(signature("a", "b"), signature("b", "a", "c")) == [(0, 1), (1, 0)]
    assert shared_outputs(signature("a", "b"), signature("b"), compared=("b",)) == [(1, 0)]
    assert shared_outputs(signature("a", "b"), signature("b"), compared=("a",)) == []
    assert shared_outputs(signature("a"), signature("b")) == []
