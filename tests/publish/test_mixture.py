"""Every warehouse takes a partition that two models made: rows name their own model, the ledger the run's."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from lockstep.publish.contract import PublishRequest, StagedFile
from lockstep.scoring.staged import StagedWriter
from tests.publish.places import TABLE, Place
from tests.publish.staged import DAY, staged_file, staged_table

STAMPS = ("model_name", "model_version", "model_digest", "run_key", "scored_at")


def written(path: Path, *tables: pa.Table) -> list[StagedFile]:
    """Rows as scoring, or a canary, leaves them: the stamps encoded and without nulls."""
    rows = pa.concat_tables(tables)
    columns = {name: rows.column(name).combine_chunks() for name in rows.column_names}
    texts = [name for name in STAMPS if pa.types.is_string(columns[name].type)]
    columns |= {name: columns[name].dictionary_encode() for name in texts}
    with StagedWriter(path, constant=STAMPS) as writer:
        writer.write(pa.RecordBatch.from_pydict(columns))
    return [staged_file(path)]


def test_a_day_of_two_models_is_published_repeated_and_replaced(
    place: Place, request_for: Callable[..., PublishRequest], tmp_path: Path
) -> None:
    mixed = (staged_table("a", rows=4), staged_table("b", rows=2, version=2, first=4))
    files = written(tmp_path / "mixed.parquet", *mixed)
    whole = written(tmp_path / "whole.parquet", staged_table("c", rows=6))
    checks = "canary: 33.3 % of the rows by version 2; 29 of 29 checks passed"
    for outcome in ("published", "noop"):
        done = place.open().publish(request_for("a", place.claim("a"), files=files, checks=checks))
        assert (done.outcome, done.rows, done.model_version, done.checks) == (outcome, 6, 1, checks)
    assert place.live() == [(DAY, "a", 4), (DAY, "b", 2)]
    live = place.open().live(TABLE, DAY)
    assert live is not None
    assert (live.run_key, live.checks) == ("a", checks)
    place.open().publish(request_for("c", place.claim("c"), files=whole))
    assert place.live() == [(DAY, "c", 6)]
    back = request_for("a", place.claim("a"), files=files, checks=checks, outcome="restored")
    assert place.open().publish(back).outcome == "restored"
    assert place.live() == [(DAY, "a", 4), (DAY, "b", 2)]
