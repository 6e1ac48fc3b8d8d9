"""Block sizes: larger ones only where every bit agrees, and knowledge that outlives the process."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from lockstep.scoring import blocks as module
from lockstep.scoring.backends import Arrays
from lockstep.scoring.blocks import CHECKED_BLOCKS, ROWS_IN_ALL, SEARCH_S, SEARCH_SHARE, BlockSizes, shape_of
from lockstep.scoring.trials import Run

ROWS = 2_048


def by_row(arrays: Arrays) -> Arrays:
    """A model whose result depends on the row alone."""
    return (np.sin(arrays[0].sum(axis=1)),)


def by_size(arrays: Arrays) -> Arrays:
    """A model that is a bit off in large blocks."""
    return (np.nextafter(by_row(arrays)[0], np.inf) if len(arrays[0]) > 64 else by_row(arrays)[0],)


def by_place(arrays: Arrays) -> Arrays:
    """A model that is a bit off in the last row of large blocks only."""
    out = by_row(arrays)[0]
    if len(out) > 64:
        out[-1] = np.nextafter(out[-1], np.inf)
    return (out,)


@pytest.fixture
def arrays() -> Arrays:
    return (np.random.default_rng(1).standard_normal((ROWS, 5)),)


def test_agreeing_sizes_are_used_largest_first(arrays: Arrays) -> None:
    sizes = BlockSizes(16, search=True).usable(by_row, arrays)
    assert sizes[-4:] == [16, 8, 4, 2]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 16, "numpy on 16 rows is mostly overhead"


@pytest.mark.parametrize("model", [by_size, by_place])
def test_a_size_that_differs_in_one_bit_is_never_used(model: object, arrays: Arrays) -> None:
    assert max(BlockSizes(16, search=True).usable(model, arrays)) <= 64  # type: ignore[arg-type]


def test_without_search_there_is_the_base_alone_and_with_few_rows_nothing_larger(arrays: Arrays) -> None:
    assert BlockSizes(16).usable(by_row, arrays) == [16]
    assert BlockSizes(2 * ROWS, search=True).usable(by_row, arrays)[0] == 2 * ROWS
    assert BlockSizes(16, search=True).usable(by_row, tuple(array[:1] for array in arrays)) == [16]


def test_a_small_sample_leaves_the_rest_of_the_search_to_a_larger_one(arrays: Arrays) -> None:
    blocks = BlockSizes(16, search=True)
    few = tuple(array[:20] for array in arrays)
    assert blocks.usable(by_row, few) == [16]
    assert blocks.ladders == {}
    assert max(blocks.usable(by_row, arrays)) > 16
    blocks = BlockSizes(16, search=True)
    assert blocks.usable(by_size, few) == [16]
    assert max(blocks.usable(by_size, arrays)) <= 64
    calls: list[int] = []

    def counted(some: Arrays) -> Arrays:
        calls.append(len(some[0]))
        return by_size(some)

    blocks.usable(counted, arrays)
    assert not calls, "what differed once is not tried again"


def test_a_smaller_size_that_differs_is_never_used(arrays: Arrays) -> None:
    def small_differs(some: Arrays) -> Arrays:
        out = by_row(some)[0]
        return (np.nextafter(out, np.inf) if len(out) < 8 else out,)

    assert min(BlockSizes(16, search=True).usable(small_differs, arrays)) == 8


def rarely(size: int) -> Run:
    """A model that is a bit off in small or large blocks, for one row in fifty."""

    def run(some: Arrays) -> Arrays:
        out = by_row(some)[0]
        return (np.where((out > 0.98) & (len(out) == size), np.nextafter(out, np.inf), out),)

    return run


@pytest.mark.parametrize("size", [8, 32])
def test_a_size_that_differs_for_few_rows_is_never_used(size: int, arrays: Arrays) -> None:
    first = np.argmax(by_row(arrays)[0] > 0.98)
    calm = tuple(np.roll(array, -first - 1, axis=0) for array in arrays)
    blocks = BlockSizes(16, search=True)
    assert size not in blocks.usable(rarely(size), calm)
    assert blocks.ladders, "it was searched"


def slowly(some: Arrays) -> Arrays:
    """A model of which four rows take three milliseconds."""
    time.sleep(0.003)
    return by_row(some)


def shapes(arrays: Arrays, *, widths: int, rows: int) -> list[Arrays]:
    """The same column a few times over, in samples of few rows."""
    return [tuple(np.repeat(array[:rows, :1], width, axis=1) for array in arrays) for width in range(1, widths + 1)]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many rows in all as three samples have."""
    monkeypatch.setattr(module, "ROWS_IN_ALL", 96)


@pytest.mark.usefixtures("few")
def test_a_slow_model_is_certified_by_few_rows_of_each_shape_and_enough_in_all(arrays: Arrays) -> None:
    blocks = BlockSizes(4, search=True)
    samples = shapes(arrays, widths=3, rows=32)
    for number, sample in enumerate(samples):
        blocks.grant(SEARCH_S)
        assert (2 in blocks.usable(slowly, sample)) == (number == 2)
    assert 2 in blocks.usable(slowly, samples[0]), "also where it was seen first"


@pytest.mark.usefixtures("few")
def test_what_makes_few_rows_differ_in_one_shape_is_used_in_none(arrays: Arrays) -> None:
    def few_differ(some: Arrays) -> Arrays:
        out = slowly(some)[0]
        if len(out) == 2:
            out[some[0][:, 0] > 2] = 7
        return (out,)

    blocks = BlockSizes(4, search=True)
    calm = tuple(np.clip(array, -2, 2) for array in arrays)
    for sample in shapes(calm, widths=3, rows=32):
        blocks.grant(SEARCH_S)
        blocks.usable(few_differ, sample)
    assert all(2 in blocks.in_use(shape) for shape in blocks.ladders), "nothing was seen yet"
    rare = tuple(np.repeat(array[:32, :1], 20, axis=1) for array in calm)
    rare[0][3] = 3.0
    blocks.grant(SEARCH_S)
    blocks.usable(few_differ, rare)
    assert not any(2 in blocks.in_use(shape) for shape in blocks.ladders)
    assert len(blocks.ladders) == 4


def test_a_kernel_of_one_shape_keeps_no_other_from_a_size(arrays: Arrays) -> None:
    def of_one_shape(some: Arrays) -> Arrays:
        out = by_row(some)[0]
        return (np.nextafter(out, np.inf) if some[0].shape[1] == 3 and len(out) == 2 else out,)

    blocks = BlockSizes(16, search=True)
    for sample in shapes(arrays, widths=4, rows=ROWS):
        blocks.usable(of_one_shape, sample)
    assert {shape: 2 in blocks.in_use(shape) for shape in blocks.ladders} == {
        f"float64[{width}]": width != 3 for width in range(1, 5)
    }


def test_searching_is_bounded_by_the_time_that_has_passed(arrays: Arrays) -> None:
    spent = 0.0

    def slow(some: Arrays) -> Arrays:
        nonlocal spent
        time.sleep(0.02)
        spent += 0.02
        return by_row(some)

    blocks = BlockSizes(16, search=True)
    began = time.monotonic()
    for width in range(1, 30):
        blocks.usable(slow, tuple(array[:, :1].repeat(width, axis=1) for array in arrays))
    assert spent < SEARCH_S + SEARCH_SHARE * (time.monotonic() - began) + 2 * SEARCH_S
    assert 0 < len(blocks.ladders) < 29


def test_a_certificate_is_checked_at_first_and_now_and_then(arrays: Arrays) -> None:
    blocks = BlockSizes(16)
    due = [blocks.wants_check(arrays) for _ in range(40)]
    assert due[0]
    assert sum(due) == 1 + (40 - 1) * ROWS // (CHECKED_BLOCKS * 16)


def test_what_another_process_found_is_not_searched_again(arrays: Arrays, tmp_path: Path) -> None:
    store = tmp_path / "cpu.json"
    one, other = BlockSizes(16, store=store, search=True), BlockSizes(16, store=store, search=True)
    narrow = (np.ascontiguousarray(arrays[0][:, :3]),)
    one.usable(by_row, arrays)
    other.usable(by_row, narrow)
    assert json.loads(store.read_text()).keys() == {"float64[5]", "float64[3]"}
    assert other.usable(by_row, arrays) == one.usable(by_row, arrays)


def test_what_was_found_is_kept_and_not_searched_again(arrays: Arrays, tmp_path: Path) -> None:
    store = tmp_path / "blocks" / "cpu.json"
    found = BlockSizes(16, store=store, search=True).usable(by_row, arrays)

    def never(_: Arrays) -> Arrays:
        raise AssertionError("searched again")

    assert BlockSizes(16, store=store).usable(never, arrays) == found
    assert json.loads(store.read_text()).keys() == {shape_of(arrays)} == {"float64[5]"}


@pytest.mark.parametrize("text", ["", "{", '{"float64[5]": {"sizes": [32, 128], "best": 128}}', '{"float64[5]": 3}'])
def test_knowledge_that_does_not_fit_is_ignored(text: str, arrays: Arrays, tmp_path: Path) -> None:
    (tmp_path / "cpu.json").write_text(text)
    assert BlockSizes(16, store=tmp_path / "cpu.json").usable(by_row, arrays) == [16]


def test_a_failing_sample_is_no_reason_to_fail(arrays: Arrays) -> None:
    def raises(_: Arrays) -> Arrays:
        raise MemoryError

    assert BlockSizes(16, search=True).usable(raises, arrays) == [16]


def test_shrinking_ends_at_the_base_and_revoking_goes_there(arrays: Arrays) -> None:
    blocks = BlockSizes(16, search=True)
    before = blocks.usable(by_row, arrays)
    for smaller in before[1 : before.index(16) + 1]:
        assert blocks.shrink(arrays)
        assert blocks.usable(by_row, arrays)[0] == smaller
    assert not blocks.shrink(arrays)
    blocks = BlockSizes(16, search=True)
    blocks.usable(by_row, arrays)
    blocks.revoke(arrays)
    assert blocks.usable(by_row, arrays) == [16]


def stored(arrays: Arrays, path: Path, *, sizes: list[int]) -> BlockSizes:
    """Sizes as another process certified them."""
    speeds, checked = [1.0 * size for size in sizes], [ROWS_IN_ALL for _ in sizes]
    ladder = {"sizes": sizes, "rows_per_s": speeds, "best": sizes[-1], "done": True, "checked": checked}
    path.write_text(json.dumps({shape_of(arrays): ladder}))
    return BlockSizes(16, store=path, search=True)


@pytest.mark.parametrize("model", [by_size, by_place])
def test_a_stored_certificate_that_does_not_hold_is_revoked_for_all_processes(
    model: Run, arrays: Arrays, tmp_path: Path
) -> None:
    blocks = stored(arrays, tmp_path / "blocks.json", sizes=[8, 16, 64, 128])
    assert blocks.usable(model, arrays) == [128, 64, 16, 8]
    assert not blocks.verify(model, arrays)
    assert blocks.usable(model, arrays) == [16]
    assert BlockSizes(16, store=tmp_path / "blocks.json").usable(model, arrays) == [16]


def test_a_stored_certificate_that_holds_stays_and_is_checked_in_every_size(arrays: Arrays, tmp_path: Path) -> None:
    asked: set[int] = set()

    def run(block: Arrays) -> Arrays:
        asked.add(len(block[0]))
        return by_row(block)

    blocks = stored(arrays, tmp_path / "cpu-float32-1.json", sizes=[8, 16, 64, 4 * ROWS])
    assert blocks.verify(run, arrays)
    assert asked == {8, 16, 64}  # the sample does not fill the largest
    assert blocks.usable(run, arrays) == [4 * ROWS, 64, 16, 8]
    assert blocks.holds_for == "cpu-float32-1"


def test_what_this_process_certified_is_not_checked_at_once_again(arrays: Arrays) -> None:
    blocks = BlockSizes(16, search=True)
    blocks.usable(by_row, arrays)
    assert blocks.verify(by_size, arrays)
    assert BlockSizes(16).verify(by_size, arrays)  # nothing is certified
    assert BlockSizes(16).holds_for == ""
