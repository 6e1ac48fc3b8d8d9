"""Runs that are killed: small, of many units, with a real torch model and some rows that have no score."""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from lockstep.registry.artifact import artifact_digest
from lockstep.run.folder import INPUT, RunFolder
from lockstep.run.identity import file_sha256
from lockstep.run.plan import Column, ModelIdentity, ScoringInput
from lockstep.scoring.units import plan_units
from tests.unit.steps.runs import SPEC, make_spec, parcels, plan_run

MLMODEL = """\
signature:
  inputs: '[{"type": "string", "name": "depot"}, {"type": "double", "name": "km"}]'
  outputs: '[{"type": "double", "name": "risk"}]'
metadata: {lockstep: {format: 1, backend: torch, block_rows: 32}}
"""
ENCODING = '{"categorical": [{"name": "depot", "values": ["N", "S"]}], "numeric": ["km"], "output": "risk"}'
# Every so many rows, one is too far away to have a score.
BAD_EVERY, FAR_KM = 97, 1000.0


class Network(torch.nn.Module):
    """An embedding and two dense layers; no score beyond 200 km."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(3, 4)
        self.layers = torch.nn.Sequential(torch.nn.Linear(5, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))

    def forward(self, codes: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        """Score `(rows, 1)` codes and `(rows, 1)` numbers."""
        both = torch.cat([self.embedding(codes[:, 0]), torch.nan_to_num(numbers) / 100], 1)
        return torch.where(numbers[:, 0] > 200, torch.nan, torch.sigmoid(self.layers(both)[:, 0]))


def make_model(folder: Path, *, version: int = 1) -> ModelIdentity:
    """Export the network as a registered model would lie on disk; another version has other weights."""
    (folder / "artifacts").mkdir(parents=True)
    (folder / "MLmodel").write_text(MLMODEL)
    (folder / "artifacts" / "encoding.json").write_text(ENCODING)
    torch.manual_seed(10 + version)
    rows = torch.export.Dim("rows", min=1, max=1 << 20)
    example = (torch.zeros(8, 1, dtype=torch.int64), torch.zeros(8, 1))
    program = torch.export.export(Network().eval(), example, dynamic_shapes=({0: rows}, {0: rows}))
    torch.export.save(program, folder / "artifacts" / "network.pt2")
    return ModelIdentity(
        name="parcels",
        version=version,
        digest=artifact_digest(folder),
        location=str(folder),
        inputs=(Column(name="depot", dtype="string"), Column(name="km", dtype="double")),
        outputs=(Column(name="risk", dtype="double"),),
    )


@dataclass(frozen=True)
class Template:
    """A planned run that nobody has touched, to be copied.

    Attributes:
        path: Its folder.
        rows: Input rows, whose ids are `0 .. rows - 1`.
        bad: Ids of those that have no score.
    """

    path: Path
    rows: int
    bad: tuple[int, ...]

    def copy(self, path: Path) -> RunFolder:
        """Make a fresh run of the same plan and input."""
        shutil.copytree(self.path, path)
        return RunFolder(path)

    def units(self) -> tuple[str, ...]:
        """Ids of its units."""
        return tuple(unit.id for unit in RunFolder(self.path).scoring_input(step="test").units)


def make_template(
    root: Path,
    model: ModelIdentity,
    *,
    units: int,
    unit_rows: int,
    bad: Sequence[int] | None = None,
    limits: dict[str, Any] | None = None,
) -> Template:
    """Plan a run; every 97th row is bad unless `bad` says which."""
    rows = units * unit_rows
    which = tuple(range(5, rows, BAD_EVERY) if bad is None else bad)
    spec = make_spec(root, limits={**SPEC["limits"], **(limits or {})})
    km = np.random.default_rng(5).gamma(2.0, 20.0, rows).clip(0, 190)
    km[list(which)] = FAR_KM
    table = parcels(rows, km=pa.array(km), depot=pa.array(["N", "S", None, "E"] * (rows // 4 + 1))[:rows])
    folder = plan_run(root, table.slice(0, 1), spec, model, claim=False)
    file = "input/part-0.parquet"
    pq.write_table(table, folder.file(file), row_group_size=unit_rows)
    planned = plan_units(folder.path, [file], unit_bytes=1, split_rows=unit_rows) if rows else ()
    assert len(planned) == units
    # Copies of the input are other files: their time of change is theirs.
    free = tuple(
        unit.model_copy(update={"pieces": tuple(p.model_copy(update={"mtime_ns": None}) for p in unit.pieces)})
        for unit in planned
    )
    columns = {field.name: str(field.type) for field in table.schema}
    folder.write_json(INPUT, ScoringInput(rows=rows, columns=columns, units=free))
    return Template(folder.path, rows, which)


def finished_attempts(folder: RunFolder) -> dict[str, set[str]]:
    """Return the finished units, each with the names of all its staged files, finished or not."""
    units = {path.parent for path in folder.file("staging").glob("*/*.json") if not path.name.startswith(".")}
    return {unit.name: {path.stem for path in unit.glob("*.parquet")} for unit in units}


def check_not_scored_again(before: dict[str, set[str]], folder: RunFolder) -> None:
    """No unit that was finished has an attempt more than it had then."""
    for unit, attempts in before.items():
        now = {path.stem for path in folder.file("staging", unit).glob("*.parquet")}
        assert now <= attempts, f"{unit} was finished and scored again"


def check_whole(folder: RunFolder, template: Template) -> None:
    """Every row is scored or quarantined, once; the counts say so; nothing else lies about."""
    manifest = folder.manifest(step="test")
    assert tuple(unit.unit for unit in manifest.units) == template.units()
    assert manifest.rows_in == manifest.rows_scored + manifest.rows_quarantined == template.rows
    scored = [pq.read_table(folder.file(unit.staged)).column("id") for unit in manifest.units]
    aside = [pq.read_table(folder.file(u.quarantined)).column("id") for u in manifest.units if u.quarantined]
    bad = [i for column in aside for i in column.to_pylist()]
    assert Counter(bad) == Counter(template.bad)
    ids = np.sort(np.concatenate([*(column.to_numpy() for column in scored), np.array(bad, dtype=np.int64)]))
    assert np.array_equal(ids, np.arange(template.rows)), "a key is lost or double"
    for unit in manifest.units:
        assert file_sha256(folder.file(unit.staged)) == unit.sha256
    check_no_strays(folder)


def check_no_strays(folder: RunFolder) -> None:
    """What the manifest names lies in staging and quarantine, and nothing else; no half-written file anywhere."""
    named: set[str] = set()
    for unit in folder.manifest(step="test").units:
        named |= {unit.staged, unit.staged.replace(".parquet", ".json"), *filter(None, [unit.quarantined])}
    files = [path.relative_to(folder.path) for path in folder.path.rglob("*") if path.is_file()]
    assert {str(path) for path in files if path.parts[0] in {"staging", "quarantine"}} == named
    assert not [path for path in files if path.name.endswith(".partial")]


def content(folder: RunFolder) -> list[tuple[str, str, str | None]]:
    """Return unit, hash of the staged file and hash of the quarantined rows, in the manifest's order."""
    units = folder.manifest(step="test").units
    return [(u.unit, u.sha256, file_sha256(folder.file(u.quarantined)) if u.quarantined else None) for u in units]


def leftovers(folder: RunFolder) -> Counter[str]:
    """Say where kills hit, from what lies in a run folder that is not finished."""
    found: Counter[str] = Counter()
    for path in folder.file("staging").glob("*/*"):
        if path.name.endswith(".partial"):
            found["half a result"] += 1
        elif path.suffix == ".parquet" and not path.with_suffix(".json").exists():
            found["a whole Parquet file without a result" if _is_whole(path) else "half a Parquet file"] += 1
    return found


def _is_whole(path: Path) -> bool:
    try:
        pq.read_metadata(path)
    except pa.ArrowInvalid:
        return False
    return True


def written(folder: RunFolder) -> str:
    """Return the run's counts by reason, as JSON."""
    return json.dumps(folder.manifest(step="test").reasons, sort_keys=True)
