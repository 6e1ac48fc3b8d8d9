"""The network prepares its numbers itself and exports for any number of rows."""

from pathlib import Path

import numpy as np
import pytest
import torch
from network import FlightDelayNet, embedding_dim, export, moments

NAN = float("nan")


@pytest.fixture
def network() -> FlightDelayNet:
    torch.manual_seed(0)
    return FlightDelayNet([2, 3], np.array([5.0, 1.0]), std=np.array([2.0, 1.0]), hidden=(8,), dropout=0.5).eval()


def rows(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randint(0, 3, (count, 2)), torch.randn(count, 2)


@torch.inference_mode()
def test_missing_is_not_the_mean(network: FlightDelayNet) -> None:
    codes = torch.zeros(2, 2, dtype=torch.int64)
    missing, mean = network(codes, torch.tensor([[NAN, 1.0], [5.0, 1.0]]))
    assert torch.isfinite(missing)
    assert missing != mean  # the flag says so


@torch.inference_mode()
def test_outliers_are_clipped(network: FlightDelayNet) -> None:
    codes = torch.zeros(2, 2, dtype=torch.int64)
    far, further = network(codes, torch.tensor([[1e9, 1.0], [float("inf"), 1.0]]))
    assert far == further


@pytest.mark.parametrize("count", [1, 2, 3, 64, 1000])
@torch.inference_mode()
def test_exported_program_takes_any_number_of_rows(network: FlightDelayNet, tmp_path: Path, count: int) -> None:
    codes, numbers = rows(5)
    export(network, tmp_path / "network.pt2", codes=codes, numbers=numbers)
    loaded = torch.export.load(tmp_path / "network.pt2").module()
    codes, numbers = rows(count)
    torch.testing.assert_close(loaded(codes, numbers), network(codes, numbers), rtol=0, atol=1e-6)
    assert loaded(codes, numbers).shape == (count,)


def test_moments_leave_missing_out() -> None:
    numbers = np.array([[1.0, NAN, NAN], [3.0, 7.0, NAN]], dtype=np.float32)
    mean, std = moments(numbers)
    assert mean.tolist() == [2.0, 7.0, 0.0]
    assert std.tolist() == [1.0, 1.0, 1.0]  # no deviation, or nothing known, divides by one


def test_embedding_dim_is_bounded() -> None:
    assert [embedding_dim(size) for size in (1, 16, 100, 10_000)] == [2, 4, 10, 12]
