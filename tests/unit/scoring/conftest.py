"""A real small torch model: one category, two numbers, NaN handled inside."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lockstep.run.folder import RunFolder
from lockstep.run.plan import Column, Unit
from lockstep.scoring.backends import Execution
from lockstep.scoring.engine import UnitScorer
from lockstep.scoring.profile import build_baseline
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.signature import Signature
from lockstep.scoring.torch_backend import load
from lockstep.scoring.units import plan_units
from tests.unit.scoring import roots

SIGNATURE = Signature(
    (Column(name="city", dtype="string"), Column(name="age", dtype="double"), Column(name="spend", dtype="double")),
    (Column(name="risk", dtype="double"),),
)


class Network(torch.nn.Module):
    """Embedding and two dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(4, 8)
        self.layers = torch.nn.Sequential(torch.nn.Linear(10, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1))

    def forward(self, codes: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        """Score `(rows, 1)` codes and `(rows, 2)` numbers."""
        known = torch.nan_to_num(numbers, nan=0.0)
        return torch.sigmoid(self.layers(torch.cat([self.embedding(codes[:, 0]), known], 1))[:, 0])


@pytest.fixture(scope="session")
def artifact_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`network.pt2` and `encoding.json`."""
    folder = tmp_path_factory.mktemp("artifact")
    torch.manual_seed(7)
    rows = torch.export.Dim("rows", min=1, max=1 << 20)
    example = (torch.zeros(8, 1, dtype=torch.int64), torch.zeros(8, 2))
    program = torch.export.export(Network().eval(), example, dynamic_shapes=({0: rows}, {0: rows}))
    torch.export.save(program, folder / "network.pt2")
    encoding = {"categorical": [{"name": "city", "values": ["bern", "oslo", "rome"]}], "numeric": ["age", "spend"]}
    (folder / "encoding.json").write_text(json.dumps({**encoding, "output": "risk"}))
    return folder


@pytest.fixture(scope="session")
def scorer(artifact_files: Path) -> Scorer:
    """The Scorer over it."""
    return Scorer(load(artifact_files, Execution()), SIGNATURE, block_rows=32)


@pytest.fixture
def batch() -> pa.RecordBatch:
    """100 rows with unknown and null cities and null numbers."""
    cities = ["bern", "oslo", "rome", "atlantis", None]
    return pa.RecordBatch.from_pydict(
        {
            "spend": pa.array([None if i % 11 == 0 else i * 0.37 for i in range(100)], pa.float64()),
            "city": pa.array([cities[i % 5] for i in range(100)]),
            "age": pa.array([float(i % 90) for i in range(100)]),
            "other": pa.array(range(100)),
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run folder with 25 input rows, of which 3 have no score."""
    x = pa.array([-1.0 if i in (0, 7, 24) else float(i) for i in range(25)])
    table = pa.table({"day": pa.array([roots.DAY] * 25), "id": pa.array(range(25), pa.int64()), "x": x})
    pq.write_table(table, tmp_path / "in.parquet")
    return RunFolder(tmp_path)


@pytest.fixture
def unit(folder: RunFolder) -> Unit:
    """Its only unit."""
    return plan_units(folder.path, ["in.parquet"], unit_bytes=1 << 20)[0]


@pytest.fixture
def unit_scorer(folder: RunFolder) -> UnitScorer:
    """A unit scorer with a baseline."""
    baseline = build_baseline({"x": np.arange(25.0), "score": np.sqrt(np.arange(25.0))})
    return UnitScorer(
        folder, roots.plan(folder.path), Scorer(roots.Root(), roots.SIGNATURE, block_rows=4), baseline=baseline
    )
