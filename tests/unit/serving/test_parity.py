"""Parity finds what differs: run-folder files against an endpoint called without a socket."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.errors import StepOutOfOrder
from lockstep.run.exit_codes import exit_code
from lockstep.run.folder import INPUT, MANIFEST, PLAN, RunFolder
from lockstep.run.manifest import Manifest, UnitResult
from lockstep.run.plan import Piece, Plan, ScoringInput, Unit
from lockstep.scoring.scorer import Scorer
from lockstep.serving.batch_scores import PartitionUnfit, read_batch, sampled
from lockstep.serving.client import ENCODINGS, EndpointClient, Rows
from lockstep.serving.errors import EndpointUnavailable, ModelsDiffer
from lockstep.serving.parity import PASSES, SIZES, Pass, compare
from lockstep.specs.spec import ScoringSpec
from tests.unit.serving.toy import IDENTITY, INPUTS, ROW, SIGNATURE, call

ROWS = 20
BAD = 5  # the row that the model raises on
SOURCE = {"path": "s", "partition": "day", "days": [0, 0], "columns": {"day": "date"}}
SPEC = ScoringSpec.model_validate(
    {
        "name": "toy",
        "model": {"name": "toy"},
        "schedule": {"cron": "0 6 * * *", "start": "2024-01-01"},
        "input": {"query": "q.sql", "sources": {"s": SOURCE}},
        "partition": {"column": "day"},
        "key": ["day", "id"],
        "output": {"column": "probability"},
        "publish": {"table": "t"},
    }
)  # fmt: skip


class InProcess(EndpointClient):
    """The real client, over the application instead of a socket."""

    def __init__(self, app: Any) -> None:
        super().__init__("http://in.process:1", "toy", inputs=INPUTS, output="probability")
        self.app = app

    def _exchange(self, method: str, path: str, body: bytes | None) -> Any:
        answer = call(self.app, path, body, headers={"content-type": "application/json"}, method=method)
        return answer.status, answer.headers, answer.body


def source() -> pa.Table:
    rows: list[dict[str, Any]] = [{**ROW, "flight": number, "carrier": "UA"} for number in range(ROWS)]
    for row in rows[::4]:
        row["distance"] = None
    rows[BAD]["carrier"] = "XX"
    columns: dict[str, Any] = {"day": [dt.date(2024, 1, 2)] * ROWS, "id": list(range(ROWS))}
    for field in SIGNATURE.schema:
        values = [row[field.name] for row in rows]
        if pa.types.is_timestamp(field.type):
            values = [dt.datetime.fromisoformat(v) for v in values]
        columns[field.name] = pa.array(values, field.type)
    return pa.table(columns)


@pytest.fixture
def run(tmp_path: Path, scorer: Scorer) -> RunFolder:
    """A scored run of two units, staged in another order than the input."""
    folder, table = RunFolder(tmp_path), source()
    names = [column.name for column in INPUTS]
    plan = Plan(
        run_key="k", partition=dt.date(2024, 1, 2), spec=SPEC, spec_hash="s", model=IDENTITY, input_digest="i",
        sources=(), data_root="", warehouse="", cache_root="", code_version="0",
        planned_at=dt.datetime(2024, 1, 3, tzinfo=dt.UTC),
    )  # fmt: skip
    folder.write_json(PLAN, plan)
    units, results = [], []
    for number, part in enumerate((table.slice(0, 12), table.slice(12))):
        batch = part.combine_chunks().to_batches()[0]
        pq.write_table(part, tmp_path / f"in{number}.parquet")
        scored = scorer.score(batch.select(names))
        staged = pa.table({"id": part["id"], "day": part["day"], "probability": pa.array(scored.values)})
        good = np.flatnonzero(np.isfinite(scored.values))[::-1]
        pq.write_table(staged.take(pa.array(good)), tmp_path / f"out{number}.parquet")
        units.append(
            Unit(
                id=f"u{number}",
                pieces=(Piece(path=f"in{number}.parquet", row_group_start=0, row_group_stop=1, rows=part.num_rows),),
                rows=part.num_rows,
                size_bytes=1,
            )
        )
        results.append(
            UnitResult(
                unit=f"u{number}", staged=f"out{number}.parquet", rows_in=part.num_rows, rows_scored=len(good),
                rows_quarantined=part.num_rows - len(good), rows_staged=len(good), size_bytes=1, sha256="x",
            )
        )  # fmt: skip
    folder.write_json(INPUT, ScoringInput(rows=ROWS, columns={}, units=tuple(units)))
    folder.write_json(MANIFEST, Manifest(run_key="k", units=tuple(results)))
    return folder


def alter(run: RunFolder, name: str, change: Any) -> None:
    file = run.file(name)
    pq.write_table(change(pq.read_table(file)), file)


def test_equal_scores_are_equal_in_every_pass(run: RunFolder, app: Any) -> None:
    report = compare(read_batch(run), InProcess(app), url="u")
    assert report.equal
    facts = report.to_json()
    assert facts["answers_compared"] == (ROWS - 1) * len(PASSES)
    assert (facts["rows"], facts["quarantined_rows"], facts["quarantined_rows_asked"]) == (ROWS, 1, 1)
    assert (facts["differing_rows"], facts["max_abs_difference"]) == (0, 0.0)
    assert facts["batch_model"] == facts["endpoint_model"] == {"name": "toy", "version": "3", "digest": "d" * 64}


def test_every_size_is_sent_in_both_orders_and_protocols() -> None:
    for size in SIZES:
        for shuffled in (False, True):
            encodings = {p.encoding for p in PASSES if (p.rows_per_request, p.shuffled) == (size, shuffled)}
            assert "tensors" in encodings
            assert len(encodings) == 2
    assert {p.encoding for p in PASSES} == ENCODINGS.keys()


def test_one_changed_last_bit_is_found_and_shown(run: RunFolder, app: Any) -> None:
    def change(table: pa.Table) -> pa.Table:
        values = table["probability"].to_numpy().copy()
        values[0] = np.nextafter(values[0], 2)
        return table.set_column(2, "probability", pa.array(values))

    alter(run, "out0.parquet", change)
    report = compare(read_batch(run), InProcess(app), url="u")
    assert not report.equal
    assert len(report.differing) == 1
    assert 0 < report.max_abs_difference < 1e-15
    [example] = report.to_json()["examples"]
    assert example["key"] == (dt.date(2024, 1, 2), 11)
    assert example["batch"] != example["endpoint"]


def test_a_row_that_only_the_endpoint_scores_differs(run: RunFolder, app: Any) -> None:
    alter(run, "in0.parquet", lambda t: t.set_column(2, "carrier", pa.array(["UA"] * 12)))
    report = compare(read_batch(run), InProcess(app), url="u")
    assert report.differing == {BAD}
    assert report.examples[0].batch is None


def test_a_row_that_only_the_batch_scored_differs_and_says_why(run: RunFolder, app: Any) -> None:
    alter(run, "in1.parquet", lambda t: t.set_column(2, "carrier", pa.array(["YY"] + ["UA"] * 7)))
    report = compare(read_batch(run), InProcess(app), url="u", passes=[Pass("tensors", 1, shuffled=False)])
    assert report.differing == {12}
    assert "not finite" in report.examples[0].error


def test_another_model_is_refused(run: RunFolder, app: Any) -> None:
    stored = run.plan(step="test")
    run.write_json(PLAN, stored.model_copy(update={"model": IDENTITY.model_copy(update={"digest": "e" * 64})}))
    told = f"batch toy version 3, digest {'e' * 64}, endpoint toy version 3, digest {'d' * 64}"
    with pytest.raises(ModelsDiffer, match=told) as caught:
        compare(read_batch(run), InProcess(app), url="u")
    assert exit_code(caught.value) == 5


def test_an_endpoint_without_the_model_is_refused(run: RunFolder, app: Any) -> None:
    client = InProcess(app)
    client._model = "other"
    with pytest.raises(EndpointUnavailable, match="answered 404: model 'other' is not served here"):
        compare(read_batch(run), client, url="u")


@pytest.mark.parametrize(
    ("file", "change", "problem"),
    [
        ("in0.parquet", lambda t: t.set_column(1, "id", pa.array([7] * 12)), "11 input rows share their key"),
        ("out0.parquet", lambda t: t.slice(1), "20 input rows, but 18 staged and 1 quarantined"),
        ("out0.parquet", lambda t: t.set_column(0, "id", pa.array([99, *range(10)])), "do not belong to one input row"),
        ("out0.parquet", lambda t: t.set_column(0, "id", pa.array([0, *range(10)])), "do not belong to one input row"),
    ],
)
def test_files_that_do_not_match_row_by_row_are_refused(file: str, change: Any, problem: str, run: RunFolder) -> None:
    alter(run, file, change)
    with pytest.raises(PartitionUnfit, match=problem):
        read_batch(run)


def test_a_run_that_is_not_scored_is_refused(run: RunFolder) -> None:
    run.file(MANIFEST).unlink()
    with pytest.raises(StepOutOfOrder):
        read_batch(run)


def test_a_busy_endpoint_is_asked_again(run: RunFolder, app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockstep.serving.client.BUSY_WAIT_S", 0.0)

    class Busy(InProcess):
        refusals = 3

        def _exchange(self, method: str, path: str, body: bytes | None) -> Any:
            if method == "POST" and self.refusals:
                self.refusals -= 1
                return 503, {}, b'{"error": "busy"}'
            return super()._exchange(method, path, body)

    assert compare(read_batch(run), Busy(app), url="u", passes=PASSES[-2:]).equal


@pytest.mark.parametrize("content", [b"<html>", b"{}", b'{"predictions": [1]}', b'{"predictions": []}'])
def test_an_answer_outside_the_protocol_is_an_error(content: bytes, run: RunFolder, app: Any) -> None:
    class Odd(InProcess):
        def score(self, rows: Rows, *, encoding: str) -> Any:
            return super().score(rows, encoding="dataframe_split")

        def _exchange(self, method: str, path: str, body: bytes | None) -> Any:
            status, headers, found = super()._exchange(method, path, body)
            return status, headers, content if method == "POST" else found

    with pytest.raises(EndpointUnavailable, match=r"outside the protocol|gave 0 scores for"):
        compare(read_batch(run), Odd(app), url="u")


def test_a_sample_is_the_same_rows_with_their_scores_whoever_draws_it(run: RunFolder) -> None:
    batch = read_batch(run)
    drawn = sampled(batch, 12, seed=7)
    assert (len(drawn.keys), drawn.features.num_rows, len(set(drawn.keys))) == (12, 12, 12)
    places = [batch.keys.index(key) for key in drawn.keys]
    assert places == sorted(places)
    assert drawn.features.equals(batch.features.take(pa.array(places)))
    assert np.array_equal(drawn.scores, batch.scores[places], equal_nan=True)
    assert {drawn.keys[row] for row in drawn.quarantined} == {batch.keys[row] for row in batch.quarantined} & {
        *drawn.keys
    }
    assert sampled(batch, 12, seed=7).keys == drawn.keys
    assert {key for seed in range(30) for key in sampled(batch, 12, seed=seed).keys} == set(batch.keys)
    assert sampled(batch, ROWS, seed=7) is batch
