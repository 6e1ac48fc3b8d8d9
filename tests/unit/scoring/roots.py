"""A model of square roots, and a small run for it."""

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa

from lockstep.run.plan import Column, ModelIdentity, Plan
from lockstep.scoring.backends import Arrays, Encoded, Group
from lockstep.scoring.signature import Signature
from lockstep.specs.spec import ScoringSpec

SIGNATURE = Signature((Column(name="x", dtype="double"),), (Column(name="score", dtype="double"),))
DAY = dt.date(2024, 1, 1)


class Root:
    """A model that is not finite below zero."""

    calls = 0
    device = "cpu"

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """Return the column."""
        return Encoded((Group((np.asarray(batch.column("x").to_numpy(zero_copy_only=False)),)),))

    def run(self, arrays: Arrays) -> Arrays:
        """Return square roots."""
        Root.calls += 1
        with np.errstate(invalid="ignore"):
            return (np.sqrt(arrays[0]),)


def plan(folder: Path) -> Plan:
    """A plan of 10-row batches."""
    spec = ScoringSpec.model_validate(
        {
            "name": "s",
            "model": {"name": "m"},
            "schedule": {"cron": "0 6 * * *", "start": "2024-01-01"},
            "input": {
                "query": "q.sql",
                "sources": {"c": {"path": "c", "partition": "day", "days": [0, 0], "columns": {"id": "long"}}},
            },
            "partition": {"column": "day"},
            "key": ["day", "id"],
            "output": {"column": "score"},
            "publish": {"table": "t"},
            "limits": {"batch_rows": 10},
        }
    )
    model = ModelIdentity(
        name="m", version=3, digest="d" * 64, location="/m", inputs=SIGNATURE.inputs, outputs=SIGNATURE.outputs
    )
    facts = {"spec_hash": "s", "input_digest": "i", "sources": (), "data_root": "/d", "warehouse": "/w"}
    now = dt.datetime(2024, 1, 2, tzinfo=dt.UTC)
    return Plan(
        run_key="k",
        partition=DAY,
        spec=spec,
        model=model,
        cache_root=str(folder),
        code_version="1",
        planned_at=now,
        **facts,
    )
