"""What a certificate tells, and that a stored one is checked."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lockstep.run.plan import Column
from lockstep.scoring.backends import Arrays, Encoded, Execution, Group
from lockstep.scoring.blocks import BlockSizes
from lockstep.scoring.certificate import PROPERTIES, Certificate
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.signature import Signature
from lockstep.scoring.torch_backend import load
from tests.unit.scoring.conftest import SIGNATURE

NUMBERS = Signature((Column(name="age", dtype="double"),), (Column(name="y", dtype="double"),))


class Summed:
    """A model of one column that may be a bit off in large blocks, as one of other libraries is."""

    device = "cpu"

    def __init__(self, moved_from: int = 1 << 30) -> None:
        self._moved_from = moved_from

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """Return the column."""
        return Encoded((Group((batch.column("age").to_numpy(zero_copy_only=False).astype(np.float64),)),))

    def run(self, arrays: Arrays) -> Arrays:
        """Take the sine."""
        out = np.sin(arrays[0])
        return (np.nextafter(out, np.inf) if len(out) >= self._moved_from else out,)


def test_it_tells_its_facts_as_texts() -> None:
    sizes = {"int64[3] float32[2]": (8, 64, 4096), "float32[2]": (64,)}
    told = Certificate("torch", "cpu", 64, sizes, "cpu-float32-12").to_properties()
    assert tuple(told) == PROPERTIES
    assert list(told.values()) == [
        "torch",
        "cpu",
        "cpu-float32-12",
        "64",
        "float32[2]: 64; int64[3] float32[2]: 8 64 4096",
    ]


def test_a_scorer_tells_the_sizes_in_use(artifact_files: Path, batch: pa.RecordBatch, tmp_path: Path) -> None:
    blocks = BlockSizes(32, store=tmp_path / "cpu-float32-12.json", search=True)
    scorer = Scorer(load(artifact_files, Execution()), SIGNATURE, block_rows=32, blocks=blocks, backend_name="torch")
    assert scorer.certificate.sizes == {}
    scorer.score(batch)
    certificate = scorer.certificate
    assert (certificate.backend, certificate.device, certificate.holds_for) == ("torch", "cpu", "cpu-float32-12")
    assert all(32 in sizes and list(sizes) == sorted(sizes) for sizes in certificate.sizes.values())


def test_only_shapes_that_nobody_searched_keep_a_start_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    granted: list[float] = []
    monkeypatch.setattr(BlockSizes, "grant", lambda blocks, seconds: granted.append(seconds))
    store = tmp_path / "cpu-float32-12.json"
    batch = pa.RecordBatch.from_pydict({"age": np.random.default_rng(1).standard_normal(2_048)})
    for _ in range(2):
        blocks = BlockSizes(4, store=store, search=True)
        assert Scorer(Summed(), NUMBERS, block_rows=4, blocks=blocks).certify(batch, seconds=9)
    assert granted == [9, 0]


def test_a_wrong_certificate_is_not_used(tmp_path: Path) -> None:
    store = tmp_path / "cpu-float32-12.json"
    batch = pa.RecordBatch.from_pydict({"age": np.random.default_rng(1).standard_normal(2_048)})
    first = Scorer(Summed(), NUMBERS, block_rows=4, blocks=BlockSizes(4, store=store, search=True))
    expected = first.score(batch).values
    assert len(next(iter(first.certificate.sizes.values()))) > 1
    assert Scorer(Summed(), NUMBERS, block_rows=4, blocks=BlockSizes(4, store=store)).certify(batch, seconds=1)
    moved = Scorer(Summed(moved_from=8), NUMBERS, block_rows=4, blocks=BlockSizes(4, store=store))
    assert not moved.certify(batch, seconds=1)
    assert list(moved.certificate.sizes.values()) == [(4,)]
    assert moved.score(batch).values.tobytes() == expected.tobytes()
