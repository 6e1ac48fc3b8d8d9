"""A program that was read once is kept as a function with the same bits, and is read again where that is damaged."""

from pathlib import Path

import pytest
import torch

from lockstep.scoring import torch_program
from lockstep.scoring.torch_program import load_exported

CPU = torch.device("cpu")


class Network(torch.nn.Module):
    """Weights, a tied weight, a constant and a size that follows the input."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)
        self.second.weight = self.first.weight
        self.register_buffer("shift", torch.arange(8.0))

    def forward(self, ids: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.first(rows)) + self.shift
        hidden = hidden.masked_fill(hidden > 9, float("inf")).clamp(max=4.0)
        return torch.sigmoid(self.second(hidden))[:, : ids.shape[1]] + torch.zeros(ids.shape[1])


@pytest.fixture
def program(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    shapes = {"ids": {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}, "rows": {0: torch.export.Dim.DYNAMIC}}
    example = (torch.zeros((5, 4), dtype=torch.int64), torch.randn(5, 8))
    exported = torch.export.export(Network().eval(), example, dynamic_shapes=shapes)
    torch.export.save(exported, tmp_path / "network.pt2")
    return tmp_path / "network.pt2"


def results(forward: torch_program.Forward) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    found = []
    with torch.inference_mode():
        for rows, width in ((1, 2), (7, 8), (64, 5)):
            numbers = torch.randn(rows, 8, generator=generator)
            [scores] = forward(torch.zeros((rows, width), dtype=torch.int64), numbers)
            assert scores.shape == (rows, width)
            found.append(scores)
    return found


def same(left: list[torch.Tensor], right: list[torch.Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(left, right, strict=True))


def test_the_kept_function_gives_the_same_bits(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = results(load_exported(program, CPU))
    assert same(results(load_exported(program, CPU, cache=tmp_path / "kept")), expected)
    [kept] = (tmp_path / "kept").iterdir()

    def never(_: Path) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(torch.export, "load", never)
    assert same(results(load_exported(program, CPU, cache=tmp_path / "kept")), expected)
    assert kept.stat().st_size < 100_000


def test_another_model_in_the_same_cache_is_not_mistaken_for_it(program: Path, tmp_path: Path) -> None:
    first = results(load_exported(program, CPU, cache=tmp_path / "kept"))
    other = Network().eval()
    torch.nn.init.zeros_(other.first.weight)
    example = (torch.zeros((5, 4), dtype=torch.int64), torch.randn(5, 8))
    shapes = {"ids": {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}, "rows": {0: torch.export.Dim.DYNAMIC}}
    torch.export.save(torch.export.export(other, example, dynamic_shapes=shapes), program)
    assert not same(results(load_exported(program, CPU, cache=tmp_path / "kept")), first)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"\x80\x02N."])
def test_a_damaged_file_is_made_anew(program: Path, tmp_path: Path, content: bytes) -> None:
    expected = results(load_exported(program, CPU, cache=tmp_path / "kept"))
    [kept] = (tmp_path / "kept").iterdir()
    kept.write_bytes(content)
    assert same(results(load_exported(program, CPU, cache=tmp_path / "kept")), expected)
    assert kept.stat().st_size > 1_000
    assert same(results(load_exported(program, CPU, cache=tmp_path / "kept")), expected)


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(program: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert len(results(load_exported(program, CPU, cache=tmp_path / "file" / "kept"))) == 3


def test_a_function_that_needs_more_than_its_weights_is_not_kept(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_program, "NAMES", {})
    load_exported(program, CPU, cache=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
