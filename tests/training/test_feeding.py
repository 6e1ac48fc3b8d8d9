"""Petastorm shows every row of every epoch exactly once, in an order that the seed decides."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from feeding import RowsLost, TrainingSet, epoch, read_rows


@pytest.fixture(scope="module")
def data(training_folder: Path) -> TrainingSet:
    return TrainingSet.open(training_folder)


def distances(data: TrainingSet, *, seed: int) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    torch.manual_seed(seed)
    batches = epoch(data, "train", batch_rows=256, seed=seed)
    return torch.cat([numbers[:, 0] for _, numbers, _ in batches]).numpy()


def test_each_epoch_shows_every_row_once(data: TrainingSet) -> None:
    expected = np.sort(pq.read_table(data.files("train"))["distance_miles"].to_numpy().astype(np.float32))
    for number in range(10):
        assert np.array_equal(np.sort(distances(data, seed=number)), expected)


def test_order_follows_the_seed(data: TrainingSet) -> None:
    first = distances(data, seed=1)
    assert np.array_equal(first, distances(data, seed=1))
    assert not np.array_equal(first, distances(data, seed=2))


def test_batches_have_the_types_of_the_network(data: TrainingSet) -> None:
    codes, numbers, labels = next(iter(epoch(data, "valid", batch_rows=100, seed=0)))
    assert (codes.shape, codes.dtype) == ((100, 2), torch.int64)
    assert (numbers.shape, numbers.dtype) == ((100, 2), torch.float32)
    assert (labels.shape, labels.dtype) == ((100,), torch.float32)
    assert torch.isnan(numbers[:, 1]).any()  # missing stays missing: the network deals with it


def test_rows_that_do_not_come_are_an_error(data: TrainingSet) -> None:
    splits = {**data.meta["splits"], "train": {"rows": data.meta["splits"]["train"]["rows"] + 1}}
    promised = dataclasses.replace(data, meta={**data.meta, "splits": splits})
    with pytest.raises(RowsLost, match=r"5,003 rows in one epoch; the files hold 5,004"):
        list(epoch(promised, "train", batch_rows=256, seed=0))


def test_digest_follows_content_not_files(data: TrainingSet, tmp_path: Path) -> None:
    again = TrainingSet(tmp_path, data.meta)
    (tmp_path / "valid").mkdir()
    table = pq.read_table(data.files("valid"))
    pq.write_table(table, tmp_path / "valid" / "other-name.parquet", compression="none")
    assert read_rows(again, "valid").digest() == read_rows(data, "valid").digest()
    pq.write_table(table.slice(1), tmp_path / "valid" / "other-name.parquet")
    assert read_rows(again, "valid").digest() != read_rows(data, "valid").digest()


def test_whole_split_in_memory(data: TrainingSet) -> None:
    rows = read_rows(data, "valid")
    assert rows.codes.shape == rows.numbers.shape == (1_001, 2)
    assert rows.labels.sum() == data.meta["splits"]["valid"]["positive"]
