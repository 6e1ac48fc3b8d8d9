import json
import stat
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.serving.security.audit import AuditEvent, AuditLog, Line, Write, line_of
from lockstep.serving.security.audit_sinks import write_to_file, write_to_log
from lockstep.serving.security.rate_limit import Pace

NOW = 1_800_000_000.25
DONE = AuditEvent("admin", "done", client="operator", method="api_key", operation="load", model="churn", version="7")
REFUSED = AuditEvent("infer", "unauthenticated", peer="192.0.2.1", reason="unknown_key")


class Clock:
    """Monotonic seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def log_to(write: Write, *, clock: Clock | None = None, queued: int = 1000) -> AuditLog:
    return AuditLog(write, refusals=Pace(1, 3), clock=lambda: NOW, monotonic=clock or Clock(), queued=queued)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_says_who_did_what_when() -> None:
    assert json.loads(line_of(DONE, at=NOW, suppressed=0)) == {
        "time": "2027-01-15T08:00:00.250+00:00",
        "client": "operator",
        "method": "api_key",
        "action": "admin",
        "operation": "load",
        "model": "churn",
        "version": "7",
        "outcome": "done",
    }


@given(text=st.text())
def test_whatever_a_request_names_stays_in_one_short_line(text: str) -> None:
    event = AuditEvent("infer", "forbidden", client=text, model=text, version=text, request_id=text, reason=text)
    line = line_of(event, at=NOW, suppressed=0)
    assert len(line.splitlines()) == 1
    assert line.isascii()
    assert json.loads(line).get("model", "") == text[:200]


def test_a_file_gets_all_lines_and_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "audit" / "audit.jsonl"
    audit = log_to(write_to_file(path, max_bytes=10**6))
    audit.start()
    for number in range(250):
        audit.record(AuditEvent("admin", "done", version=str(number)))
    audit.close()
    assert [line["version"] for line in lines_of(path)] == [str(number) for number in range(250)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert audit.dropped == 0


def test_a_file_that_is_rotated_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write = write_to_file(path, max_bytes=10**6)
    write([Line("one", False)])
    path.rename(tmp_path / "audit.jsonl.1")
    write([Line("two", False)])
    assert path.read_text() == "two\n"


def test_several_writers_do_not_mix_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"

    def many(name: str) -> None:
        write = write_to_file(path, max_bytes=10**9)
        for _ in range(100):
            write([Line(name * 200, False)] * 5)

    threads = [threading.Thread(target=many, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(set(path.read_text().splitlines())) == [name * 200 for name in "abcd"]
    assert len(path.read_text().splitlines()) == 2000


def test_a_full_file_gets_changes_but_no_refusals(tmp_path: Path, caplog: Any) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text("x" * 100)
    audit = log_to(write_to_file(path, max_bytes=100), clock=Clock())
    audit.start()
    audit.record(REFUSED)
    audit.record(DONE)
    audit.record(REFUSED)
    audit.close()
    assert path.read_text().count('"done"') == 1
    assert "unauthenticated" not in path.read_text()
    assert audit.dropped == 2
    assert "the audit log loses events" in caplog.text


def test_a_flood_of_refusals_is_thinned_and_its_size_told(tmp_path: Path) -> None:
    path, clock = tmp_path / "audit.jsonl", Clock()
    audit = log_to(write_to_file(path, max_bytes=10**6), clock=clock)
    audit.start()
    for _ in range(1000):
        audit.record(REFUSED)
    audit.record(DONE)
    clock.now = 1.0
    audit.record(REFUSED)
    audit.close()
    found = lines_of(path)
    assert [line["outcome"] for line in found] == ["unauthenticated"] * 3 + ["done", "unauthenticated"]
    assert [line.get("refusals_not_written") for line in found] == [None, None, None, None, "997"]
    assert audit.suppressed == 997


@given(gaps=st.lists(st.floats(0, 3), max_size=60))
def test_every_refusal_is_written_or_counted(gaps: list[float]) -> None:
    written: list[Line] = []

    def write(lines: Sequence[Line]) -> int:
        written.extend(lines)
        return 0

    clock = Clock()
    audit = log_to(write, clock=clock)
    for gap in gaps:
        clock.now += gap
        audit.record(REFUSED)
    audit.start()
    audit.close()
    told = sum(int(json.loads(line.text).get("refusals_not_written", 0)) for line in written)
    assert len(written) + audit.suppressed == len(gaps)
    assert told == audit.suppressed - audit._unsaid
    assert len(written) <= 3 + clock.now + 1e-3


def test_a_writer_that_is_stuck_holds_nobody_up() -> None:
    stuck, begun = threading.Event(), threading.Event()

    def write(lines: Sequence[Line]) -> int:
        begun.set()
        stuck.wait(10)
        return 0

    audit = log_to(write, queued=5)
    audit.start()
    audit.record(DONE)
    assert begun.wait(5)
    for _ in range(20):
        audit.record(DONE)
    assert audit.dropped == 15
    stuck.set()
    audit.close()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("a bug")])
def test_what_cannot_be_written_is_counted_and_ends_nothing(error: Exception, caplog: Any) -> None:
    written: list[str] = []
    fails = [True, True, False]

    def write(lines: Sequence[Line]) -> int:
        if fails.pop(0):
            raise error
        written.extend(line.text for line in lines)
        return 0

    audit, clock = log_to(write), Clock()
    audit._monotonic = clock
    for _ in range(3):
        audit.start()
        audit.record(DONE)
        audit.close()
    assert audit.dropped == 2
    assert len(written) == 1
    assert caplog.text.count("the audit log loses events") == 1


def test_the_log_can_be_the_place(caplog: Any) -> None:
    caplog.set_level("INFO", logger="lockstep.audit")
    assert write_to_log([Line('{"a": "%s"}', False)]) == 0
    (record,) = caplog.records
    assert (record.name, record.getMessage()) == ("lockstep.audit", '{"a": "%s"}')
