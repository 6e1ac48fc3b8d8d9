"""A run of any number of work units, with real records and real files that hold next to nothing.

What is real: the spec, plan, claim and warehouse; input files (Parquet, ten row groups of a row each, all copies of
one); units, as Lockstep plans them over these files; staged files (Parquet, links to one); a result for each unit,
with the profile of 512 rows of two columns as a worker writes it. What is not: nobody scored anything, so the ids,
hashes and times in the results of all units are those of one.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.run.folder import INPUT, MANIFEST, RunFolder
from lockstep.run.identity import file_sha256
from lockstep.run.manifest import Manifest, UnitResult
from lockstep.scoring.profile import build_baseline
from lockstep.specs.loading import LoadedSpec
from tests.unit.steps import runs

GROUPS = 10
UNIT = "{unit}"
MOST_FILES = 100_000
PROFILED_ROWS = 512
ATTEMPT = "0123456789abcdef0123456789abcdef"
# File systems link no file more often than this.
MOST_LINKS = 60_000


def spec_of(root: Path) -> LoadedSpec:
    """Write the spec: a table scored directly, a unit of each row group."""
    limits = {"max_quarantined_fraction": 0.1, "unit_bytes": 1}
    return runs.make_spec(root, input={"table": {"path": "parcels", "format": "parquet"}}, reporting={}, limits=limits)


def make_inputs(root: Path, units: int) -> None:
    """Write the table: one day of as many files as there are ten units, at most 100,000."""
    files = min(-(-units // GROUPS), MOST_FILES)
    day = runs.make_settings(root).data_root / "parcels" / f"day={runs.DAY}"
    day.mkdir(parents=True)
    first = day / "part-000000.parquet"
    rows = units // files
    pq.write_table(runs.parcels(rows).drop_columns(["day"]), first, row_group_size=1)
    data = first.read_bytes()
    for number in range(1, files):
        (day / f"part-{number:06d}.parquet").write_bytes(data)


def make_run(root: Path) -> RunFolder:
    """Plan the run, without its input."""
    loaded = spec_of(root)
    model = runs.make_model(root, loaded, version=1, training=runs.parcels(500), score=runs.km_risk)
    folder = runs.plan_run(root, runs.parcels(), loaded, model)
    folder.file(INPUT).unlink()
    shutil.rmtree(folder.file("input"))
    return folder


def make_results(root: Path, folder: RunFolder) -> None:
    """Leave what workers leave that have scored every unit."""
    sample, result = _staged(root)
    text, staging, linked = result.model_dump_json(indent=2), Path(str(folder.file("staging"))), sample
    for number, planned in enumerate(folder.scoring_input(step="bench").units):
        if number % MOST_LINKS == 0:
            linked = root / f"staged-{number}.parquet"
            shutil.copyfile(sample, linked)
        place = staging / planned.id
        place.mkdir(parents=True)
        (place / f"{ATTEMPT}.parquet").hardlink_to(linked)
        (place / f"{ATTEMPT}.json").write_text(text.replace(UNIT, planned.id), encoding="utf-8")


def make_manifest(root: Path, folder: RunFolder) -> None:
    """Write the manifest of a run whose units nobody scored: what else names them is not there."""
    _, result = _staged(root)
    facts = [(one.id, result.staged.replace(UNIT, one.id)) for one in folder.scoring_input(step="bench").units]
    units = tuple(result.model_copy(update={"unit": name, "staged": at, "profile": {}}) for name, at in facts)
    key = folder.plan(step="bench").run_key
    folder.write_json(MANIFEST, Manifest(run_key=key, units=units, profile=result.profile))


def _staged(root: Path) -> tuple[Path, UnitResult]:
    """Write a staged file; return it with a result, in which the unit's id is to be replaced."""
    sample = root / "staged.parquet"
    pq.write_table(runs.parcels(1).append_column("risk", pa.array([0.5])), sample)
    return sample, UnitResult(
        unit=UNIT,
        staged=f"staging/{UNIT}/{ATTEMPT}.parquet",
        rows_in=1,
        rows_scored=1,
        rows_quarantined=0,
        rows_staged=1,
        size_bytes=sample.stat().st_size,
        sha256=file_sha256(sample),
        profile=_profile(),
        seconds=1.25,
        stages_s={"read": 0.5, "score": 0.5, "write": 0.25},
        peak_bytes=1 << 30,
        device="cpu",
    )


def _profile() -> dict[str, Any]:
    random = np.random.default_rng(0)
    km, risk = random.uniform(0, 100, PROFILED_ROWS), random.uniform(0, 1, PROFILED_ROWS)
    counted = build_baseline({"km": km, "risk": risk}).counter()
    counted.update({"km": km, "risk": risk}, rows=PROFILED_ROWS)
    return counted.to_json()
