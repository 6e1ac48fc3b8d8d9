"""The canary of a run: who answers which row, what ends it, and that repeating it changes nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.errors import StagedFileChanged, StepOutOfOrder
from lockstep.run.canary import CanaryRecord, published_digest, published_manifest
from lockstep.run.canary_state import canary_events, current_abort, record_event
from lockstep.run.folder import CANARY, COMPARISON, MANIFEST, PLAN, PUBLICATION, RunFolder
from lockstep.scoring.arms import Split
from lockstep.steps.canary import canary
from tests.unit.steps.canaries import ALIAS, CHALLENGER, CHAMPION, compare, later_risk, make_trial, staged
from tests.unit.steps.runs import DAY, km_risk, make_settings, parcels


def record_of(folder: RunFolder) -> CanaryRecord:
    return folder.read_record(CANARY, CanaryRecord, step="test")


def tree(folder: RunFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.file("canary").rglob("*")) if path.is_file()}


def test_rows_of_the_arm_are_the_challengers_and_say_so(tmp_path: Path) -> None:
    folder, settings = make_trial(tmp_path, table=parcels(400), fraction=0.3), make_settings(tmp_path)
    facts, record = canary(folder, settings), record_of(folder)
    rows, before = staged(folder, published_manifest(folder, step="test")), staged(folder)
    theirs = staged(folder.challenger(ALIAS))
    inside = Split(record.salt, ("id",)).positions(pa.table({"id": pa.array(rows["id"])})) < 0.3
    assert 60 < inside.sum() < 180
    assert rows["id"].tolist() == before["id"].tolist()
    assert rows["risk"].tolist() == np.where(inside, theirs["risk"], before["risk"]).tolist()
    assert rows["model_version"].tolist() == np.where(inside, CHALLENGER, CHAMPION).tolist()
    for name in ("model_digest", "run_key", "scored_at"):
        assert rows[name].tolist() == [
            b if i else a for i, a, b in zip(inside, before[name], theirs[name], strict=True)
        ]
    assert facts == {
        "outcome": "active",
        "version": CHALLENGER,
        "fraction": 0.3,
        "effective": 0.3,
        "rows_challenger": inside.sum(),
        "rows_champion": 400 - inside.sum(),
        "fell_back": 0,
        "reasons": [],
        "reused": False,
    }
    assert record.text == f"canary: {100 * inside.sum() / 400:.1f} % of the rows by version 2"


def test_mixed_files_have_the_columns_and_types_of_staged_ones(tmp_path: Path) -> None:
    folder = make_trial(tmp_path)
    canary(folder, make_settings(tmp_path))
    first, mixed = folder.manifest(step="test").units[0], published_manifest(folder, step="test").units[0]
    schemas = [pq.read_metadata(folder.file(unit.staged)).schema.to_arrow_schema() for unit in (first, mixed)]
    assert schemas[0].equals(schemas[1])
    assert pq.read_schema(folder.file(mixed.staged)).equals(pq.read_schema(folder.file(first.staged)))


def test_repeating_it_changes_nothing_and_starting_anew_gives_the_same_bytes(tmp_path: Path) -> None:
    folder, settings = make_trial(tmp_path, table=parcels(100)), make_settings(tmp_path)
    canary(folder, settings)
    files, record, digest = tree(folder), record_of(folder), published_digest(folder, step="test")
    assert canary(folder, settings)["reused"] is True
    folder.file(CANARY).unlink()  # a crash before the record was written
    stray = folder.file("canary", "u00000", "0123456789abcdef.parquet")
    stray.write_bytes(b"half")
    assert canary(folder, settings)["reused"] is False
    assert (tree(folder), record_of(folder)) == (files, record)
    assert published_digest(folder, step="test") == digest


def test_a_file_that_was_lost_is_made_again(tmp_path: Path) -> None:
    folder, settings = make_trial(tmp_path, table=parcels(100)), make_settings(tmp_path)
    canary(folder, settings)
    files = tree(folder)
    folder.file(published_manifest(folder, step="test").units[0].staged).unlink()
    canary(folder, settings)
    assert tree(folder) == files


def test_who_is_in_at_a_small_share_is_in_at_a_greater_one(tmp_path: Path) -> None:
    seen: set[int] = set()
    for number, fraction in enumerate((0.1, 0.4, 1.0)):
        folder = make_trial(tmp_path / str(number), table=parcels(300), fraction=fraction)
        canary(folder, make_settings(tmp_path))
        rows = staged(folder, published_manifest(folder, step="test"))
        now = set(rows[rows["model_version"] == CHALLENGER]["id"])
        assert seen < now
        seen = now
    assert len(seen) == 300


def test_a_column_of_the_spec_keeps_its_values_together(tmp_path: Path) -> None:
    table = parcels(200, depot=pa.array([f"D{i % 20}" for i in range(200)]))
    folder = make_trial(tmp_path, table=table, fraction=0.5, by=("depot",))
    canary(folder, make_settings(tmp_path))
    versions = staged(folder, published_manifest(folder, step="test")).groupby("depot")["model_version"]
    assert versions.nunique().eq(1).all()
    assert versions.first().nunique() == 2


def without(*ids: int) -> Any:
    """A model that has no score for these rows, which it knows by how far they go."""
    far = [(number * 37) % 100 for number in ids]

    def score(batch: pa.RecordBatch) -> np.ndarray:
        return np.where(np.isin(batch.column("km").to_numpy(), far), np.nan, later_risk(batch))

    return score


def test_without_a_score_of_the_challenger_the_champions_row_stays(tmp_path: Path) -> None:
    folder = make_trial(
        tmp_path,
        fraction=1.0,
        challenger=without(3, 30),
        champion=without(5),
        guardrails={"max_extra_quarantined": 1.0},
    )
    facts = canary(folder, make_settings(tmp_path))
    rows = staged(folder, published_manifest(folder, step="test")).set_index("id")
    assert (facts["rows_challenger"], facts["rows_champion"], facts["fell_back"]) == (37, 2, 2)
    assert rows[rows["model_version"] == CHAMPION].index.tolist() == [3, 30]
    assert 5 not in rows.index, "what the champion set aside stays in its quarantine"


def test_with_an_error_column_a_reason_is_no_score(tmp_path: Path) -> None:
    folder = make_trial(
        tmp_path,
        fraction=1.0,
        champion=without(5, 6),
        challenger=without(3, 6),
        output={"column": "risk", "errors": "problem"},
        guardrails={"max_extra_quarantined": 0.0},
    )
    facts = canary(folder, make_settings(tmp_path))
    manifest, own = published_manifest(folder, step="test"), folder.manifest(step="test")
    rows = staged(folder, manifest).set_index("id")
    assert facts["fell_back"] == 2
    assert rows.loc[3, "model_version"] == rows.loc[6, "model_version"] == CHAMPION
    assert (rows.loc[5, "model_version"], rows.loc[5, "problem"]) == (CHALLENGER, None)
    assert rows.loc[5, "risk"] == pytest.approx(km_risk(parcels().to_batches()[0])[5] * 0.995)
    assert (own.rows_quarantined, manifest.rows_quarantined, manifest.rows_scored) == (2, 1, 39)
    assert sum(manifest.reasons.values()) == 1


def test_an_empty_day_has_nothing_to_mix(tmp_path: Path) -> None:
    folder = make_trial(tmp_path, table=parcels(0))
    facts = canary(folder, make_settings(tmp_path))
    assert (facts["outcome"], facts["rows_challenger"], facts["rows_champion"]) == ("active", 0, 0)
    assert published_manifest(folder, step="test").units == folder.manifest(step="test").units


def test_a_broken_guardrail_ends_it_for_good_and_no_row_is_the_challengers(tmp_path: Path) -> None:
    folder = make_trial(
        tmp_path, challenger=lambda batch: np.full(batch.num_rows, 0.5), guardrails={"min_agreement": 0.9}
    )
    settings = make_settings(tmp_path)
    facts = canary(folder, settings)
    assert (facts["outcome"], facts["fraction"], facts["effective"], facts["rows_challenger"]) == (
        "aborted",
        0.5,
        0.0,
        0,
    )
    assert "at least 0.9 were wanted" in facts["reasons"][0]
    assert published_manifest(folder, step="test") == folder.manifest(step="test")
    plan = folder.plan(step="test")
    abort = current_abort(settings.home, "parcels", plan.canary.digest)
    assert (abort.partition, abort.run_key, abort.version, abort.actor) == (DAY, plan.run_key, CHALLENGER, "tester")
    assert canary(folder, settings) == {**facts, "reused": True}
    assert len(canary_events(settings.home, "parcels", plan.canary.digest)) == 1
    # Another run of the same challenger, planned before the abort, has none either; one of another challenger has.
    other = make_trial(tmp_path, fraction=0.9)
    assert canary(other, settings)["reasons"] == [abort.text]
    record_event(settings.home, "parcels", abort.model_copy(update={"kind": "resumed", "reasons": ("mended",)}))
    assert canary(other, settings)["outcome"] == "active"


def test_a_dry_run_aborts_nothing_and_the_real_one_does(tmp_path: Path) -> None:
    folder = make_trial(tmp_path, guardrails={"max_mean_shift": 1e-9})
    settings, digest = make_settings(tmp_path), folder.plan(step="test").canary.digest
    assert canary(folder, settings, dry_run=True)["outcome"] == "aborted"
    assert current_abort(settings.home, "parcels", digest) is None
    assert canary(folder, settings)["outcome"] == "aborted"
    assert current_abort(settings.home, "parcels", digest) is not None


def test_a_challenger_without_a_whole_result_is_aborted(tmp_path: Path) -> None:
    folder = make_trial(tmp_path, challenger=None)
    facts = canary(folder, make_settings(tmp_path))
    assert facts["outcome"] == "aborted"
    assert facts["reasons"] == ["the challenger has no whole result: it was out of memory"]


def drop(table: pa.Table) -> pa.Table:
    return table.drop_columns(["risk"])


def as_text(table: pa.Table) -> pa.Table:
    return table.set_column(table.column_names.index("risk"), "risk", table.column("risk").cast(pa.string()))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop, "column 'risk' is missing"),
        (as_text, "column 'risk' has the type string, not double"),
        (None, "bytes, not"),
    ],
)
def test_rows_that_cannot_stand_for_the_champions_are_not_published(tmp_path: Path, change: Any, words: str) -> None:
    folder = make_trial(tmp_path)
    other, settings = folder.challenger(ALIAS), make_settings(tmp_path)
    manifest = json.loads(other.file(MANIFEST).read_text())
    file = other.file(manifest["units"][0]["staged"])
    if change is None:
        file.write_bytes(b"damaged")
    else:
        pq.write_table(change(pq.read_table(file)), file)
        from lockstep.run.identity import file_sha256

        manifest["units"][0] |= {"size_bytes": file.stat().st_size, "sha256": file_sha256(file)}
        other.write_json(MANIFEST, manifest)
    facts = canary(folder, settings)
    assert (facts["outcome"], facts["rows_challenger"]) == ("aborted", 0)
    assert words in facts["reasons"][0]
    assert not tree(folder)


def test_a_damaged_file_of_the_champion_is_an_error_and_no_abort(tmp_path: Path) -> None:
    folder, settings = make_trial(tmp_path), make_settings(tmp_path)
    folder.file(folder.manifest(step="test").units[0].staged).write_bytes(b"damaged")
    with pytest.raises(StagedFileChanged):
        canary(folder, settings)
    assert current_abort(settings.home, "parcels", folder.plan(step="test").canary.digest) is None


def test_without_a_comparison_of_this_challenger_no_row_is_its_own_and_nothing_is_aborted(tmp_path: Path) -> None:
    folder, settings = make_trial(tmp_path), make_settings(tmp_path)
    with pytest.raises(StepOutOfOrder, match=r"needs canary\.json"):
        published_manifest(folder, step="audit")
    compare(folder, digest="another")
    off = canary(folder, settings)
    assert (off["outcome"], off["rows_challenger"], off["rows_champion"]) == ("off", 0, 40)
    assert off["reasons"] == ["there is no comparison of version 2 with version 1"]
    folder.challenger(ALIAS).file(COMPARISON).unlink()
    assert canary(folder, settings) == {**off, "reused": True}
    assert current_abort(settings.home, "parcels", folder.plan(step="test").canary.digest) is None
    compare(folder, digest="", version=0, failure="its memory ran out")
    assert canary(folder, settings)["outcome"] == "aborted"


def test_what_was_published_stays_as_it_was(tmp_path: Path) -> None:
    folder, settings = make_trial(tmp_path), make_settings(tmp_path)
    facts = canary(folder, settings)
    folder.write_json(PUBLICATION, {})
    compare(folder, failure="it is broken now")
    assert canary(folder, settings) == {**facts, "reused": True}


def test_without_a_canary_in_the_plan_there_is_none_and_it_says_why(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    folder = make_trial(tmp_path)
    digest = folder.plan(step="test").canary.digest
    planned = folder.plan(step="test")
    bare = planned.model_copy(update={"canary": None})
    folder.write_json(PLAN, bare)
    assert canary(folder, settings) == {
        "outcome": "off",
        "fraction": 0.0,
        "reasons": ["the run was planned without it"],
        "reused": False,
    }
    assert not folder.has(CANARY)
    assert published_manifest(folder, step="test") == folder.manifest(step="test")
    from lockstep.run.canary_state import CanaryEvent

    abort = CanaryEvent(
        kind="aborted", at=bare.planned_at, actor="ann", alias=ALIAS, version=2, digest=digest, reasons=("slow",)
    )
    record_event(settings.home, "parcels", abort)
    assert canary(folder, settings)["reasons"] == [abort.text]
    assert "version 2 was aborted by ann" in abort.text
    theirs = folder.challenger(ALIAS).plan(step="test")
    folder.challenger(ALIAS).write_json(PLAN, theirs.model_copy(update={"model": bare.model}))
    assert canary(folder, settings)["reasons"] == ["version 1 is the champion: its trial is over"]
    folder.challenger(ALIAS).file(PLAN).unlink()
    assert canary(folder, settings)["reasons"] == ["@challenger could not be had when the run was planned"]
