"""Rows reach the disk in time, files are finished by size, age and hour, and what cannot be written is counted."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.serving.inference_log import writer as module
from lockstep.serving.inference_log.hand_over import HandOver
from lockstep.serving.inference_log.layout import Layout
from lockstep.serving.inference_log.spool import HOUR_S, OPEN, reading
from lockstep.serving.inference_log.writer import IDS_BITS, Ids, LogWriter, Rolling
from tests.unit.serving.inference_log.micro_batches import layout, micro_batch, trace

Make = Callable[..., LogWriter]
SOON = Rolling(flush_s=0.01)


@pytest.fixture
def hand_over() -> HandOver:
    return HandOver(most_rows=10_000, most_bytes=10**9, sample=1)


@pytest.fixture
def lost() -> list[int]:
    return []


@pytest.fixture
def start(tmp_path: Path, hand_over: HandOver, lost: list[int]) -> Iterator[Make]:
    made: list[LogWriter] = []

    def begin(rolling: Rolling = SOON) -> LogWriter:
        made.append(LogWriter(tmp_path, hand_over, rolling=rolling, salt=b"", on_lost=lost.append))
        made[-1].start()
        return made[-1]

    yield begin
    for each in made:
        each.close()


def ask(hand_over: HandOver, name: str, rows: int = 1, made: Layout | None = None) -> None:
    hand_over.put(made or layout(), micro_batch([(trace(name), 0, rows)]))


def logged(root: Path) -> list[tuple[str, int]]:
    tables = [pq.read_table(file, partitioning=None) for file in sorted(root.rglob("*.parquet"))]
    return sorted(pair for t in tables for pair in zip(t["request_id"].to_pylist(), t["row"].to_pylist(), strict=True))


def until(condition: Callable[[], bool], *, timeout_s: float = 20.0) -> None:
    ends = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def holds(root: Path, rows: list[tuple[str, int]]) -> bool:
    return spooled(root) == 0 and logged(root) == rows


def spooled(root: Path) -> int:
    rows = 0
    for path in (root / OPEN).glob("*.arrows"):
        with reading(path) as (_, batches):
            rows += sum(batch.num_rows for batch in batches)
    return rows


def test_rows_are_on_disk_soon_and_in_a_file_at_the_end(start: Make, hand_over: HandOver, tmp_path: Path) -> None:
    writer = start()
    ask(hand_over, "a", 3)
    until(lambda: spooled(tmp_path) == 3)
    assert logged(tmp_path) == []
    ask(hand_over, "b")
    writer.close()
    assert logged(tmp_path) == [("a", 0), ("a", 1), ("a", 2), ("b", 0)]
    assert list((tmp_path / OPEN).iterdir()) == []
    assert hand_over.waiting_rows == 0


def test_a_file_is_finished_when_it_is_large(start: Make, hand_over: HandOver, tmp_path: Path) -> None:
    start(Rolling(flush_s=0.01, file_bytes=1))
    asked: list[tuple[str, int]] = []
    for name in ("a", "b"):
        ask(hand_over, name)
        asked = [*asked, (name, 0)]
        until(partial(holds, tmp_path, asked))
    assert len(list(tmp_path.rglob("*.parquet"))) == 2


def test_a_file_is_finished_when_it_is_old(start: Make, hand_over: HandOver, tmp_path: Path) -> None:
    start(Rolling(flush_s=0.01, file_s=0.3))
    ask(hand_over, "a")
    until(lambda: logged(tmp_path) == [("a", 0)])


def test_a_file_is_of_one_hour(
    start: Make, hand_over: HandOver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("lockstep.serving.inference_log.hand_over.time.time", lambda: 1000 * HOUR_S + now[0])
    ask(hand_over, "before")
    now[0] = -0.001
    ask(hand_over, "the hour before")
    now[0] = 2 * HOUR_S
    start()
    until(lambda: len(logged(tmp_path)) == 2)
    folders = {
        file.parent.name: pq.read_table(file, partitioning=None)["request_id"].to_pylist()
        for file in tmp_path.rglob("*.parquet")
    }
    assert folders == {"hour=16": ["before"], "hour=15": ["the hour before"]}


def test_versions_do_not_share_a_file(start: Make, hand_over: HandOver, tmp_path: Path) -> None:
    writer = start()
    for number in range(6):
        ask(hand_over, f"r{number}", made=layout(version=1 + number % 2))
    writer.close()
    by_file = {
        file.name[:2]: pq.read_table(file, partitioning=None)["model_version"].to_pylist()
        for file in tmp_path.rglob("*.parquet")
    }
    assert by_file == {"v1": [1] * 3, "v2": [2] * 3}


def test_what_cannot_be_written_is_counted_and_the_log_recovers(
    start: Make, hand_over: HandOver, lost: list[int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / OPEN).write_text("in the way")
    with caplog.at_level(logging.ERROR, "lockstep.serving"):
        start()
        ask(hand_over, "lost", 5)
        until(lambda: sum(lost) == 5)
        ask(hand_over, "lost too", 2)
        until(lambda: sum(lost) == 7)
    [line] = [r.getMessage() for r in caplog.records]
    assert line.startswith(f"the inference log cannot be written to {tmp_path}: ")
    (tmp_path / OPEN).unlink()
    ask(hand_over, "found")
    until(lambda: spooled(tmp_path) == 1)
    until(lambda: hand_over.waiting_rows == 0)  # said a moment after the rows are written


def test_rows_that_are_not_as_they_should_be_are_counted_and_not_shown(
    start: Make, hand_over: HandOver, lost: list[int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = micro_batch([(trace("good"), 0, 1)])
    place = good.batch.schema.get_field_index("seats")
    bad = good.batch.set_column(place, "seats", pa.array(["secret 4711"]))
    start()
    with caplog.at_level(logging.ERROR, "lockstep.serving"):
        hand_over.put(layout(), replace(good, rows=bad))
        until(lambda: lost == [1])
        until(lambda: "ArrowInvalid" in caplog.text)
    assert "4711" not in caplog.text
    ask(hand_over, "after")
    until(lambda: spooled(tmp_path) == 1)


def test_what_others_left_is_finished_at_the_start_and_old_days_go(
    start: Make, hand_over: HandOver, tmp_path: Path
) -> None:
    old = tmp_path / "toy" / "date=2020-01-01" / "hour=00"
    old.mkdir(parents=True)
    ask(hand_over, "left behind")
    first = LogWriter(tmp_path, hand_over, rolling=SOON, salt=b"", on_lost=lambda _: None)
    first._write(hurried=True)
    for spool in first._spools.values():
        spool.close()  # as the kernel does for a killed process
    start(Rolling(flush_s=0.01, keep_days=5))
    until(lambda: not old.parent.exists())
    until(lambda: logged(tmp_path) == [("left behind", 0)])


def test_the_last_moments_rows_wait_for_their_times_unless_much_waits(
    hand_over: HandOver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLE_S", 1000.0)
    writer = LogWriter(tmp_path, hand_over, rolling=SOON, salt=b"", on_lost=lambda _: None)
    ask(hand_over, "a", 10)
    writer._write(hurried=False)
    assert hand_over.waiting_rows == 10
    ask(hand_over, "b", 2500)
    writer._write(hurried=False)
    assert hand_over.waiting_rows == 0
    writer._roll(everything=True)
    writer._finisher.shutdown(wait=True)


def test_numbers_of_rows_are_given_once() -> None:
    one, other = Ids(), Ids()
    sizes = [1, 5, 1 << (IDS_BITS - 1), 1 << (IDS_BITS - 1), 3]
    drawn = [each.take(size) for size in sizes for each in (one, other)]
    assert [len(each) for each in drawn] == [size for size in sizes for _ in range(2)]
    ends = sorted((int(each[0]), int(each[-1])) for each in drawn)
    assert all(before[1] < after[0] for before, after in pairwise(ends))
    assert min(ends)[0] >= 0
    assert np.all(np.diff(drawn[2]) == 1)
