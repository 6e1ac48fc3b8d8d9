"""Aborts last, are never half, and are of one challenger of one spec."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import RunFolderUnusable
from lockstep.run.canary_state import CanaryEvent, canary_events, current_abort, record_event

NOW = dt.datetime(2024, 3, 6, 12, tzinfo=dt.UTC)


def event(kind: str = "aborted", **changes: Any) -> CanaryEvent:
    facts = {"kind": kind, "at": NOW, "actor": "ann", "alias": "challenger", "version": 2, "digest": "d" * 64}
    return CanaryEvent.model_validate({**facts, "reasons": ("it is slow",), **changes})


def test_an_abort_lasts_until_it_is_resumed_and_the_story_is_kept(tmp_path: Path) -> None:
    digest = event().digest
    assert current_abort(tmp_path, "parcels", digest) is None
    first = record_event(tmp_path, "parcels", event(partition=dt.date(2024, 3, 5), run_key="k"))
    assert (
        record_event(tmp_path, "parcels", event(reasons=("later",)))
        == first
        == current_abort(tmp_path, "parcels", digest)
    )
    record_event(tmp_path, "parcels", event("resumed", reasons=("mended",)))
    assert current_abort(tmp_path, "parcels", digest) is None
    record_event(tmp_path, "parcels", event("resumed", reasons=("again",)))
    record_event(tmp_path, "parcels", event(reasons=("worse",)))
    found = canary_events(tmp_path, "parcels", digest)
    assert [(one.kind, one.reasons[0]) for one in found] == [
        ("aborted", "it is slow"),
        ("resumed", "mended"),
        ("aborted", "worse"),
    ]
    assert first.text == "version 2 was aborted by the run of 2024-03-05, 2024-03-06 12:00: it is slow"
    assert found[2].text.startswith("version 2 was aborted by ann, ")


def test_other_challengers_and_other_specs_begin_anew(tmp_path: Path) -> None:
    record_event(tmp_path, "parcels", event())
    assert current_abort(tmp_path, "parcels", "e" * 64) is None
    assert current_abort(tmp_path, "letters", "d" * 64) is None


def test_many_aborts_at_once_are_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda n: record_event(tmp_path, "parcels", event(reasons=(str(n),))), range(24)))
    assert len(canary_events(tmp_path, "parcels", event().digest)) == 1
    assert len({one.reasons for one in done}) == 1
    assert not list(tmp_path.rglob(".*"))


def test_a_record_that_cannot_be_read_is_no_permission(tmp_path: Path) -> None:
    record_event(tmp_path, "parcels", event())
    (file,) = tmp_path.rglob("*.json")
    file.write_text("{")
    with pytest.raises(RunFolderUnusable, match="no record of a canary"):
        current_abort(tmp_path, "parcels", event().digest)


def test_a_home_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "canaries").write_text("no folder")
    with pytest.raises(RunFolderUnusable):
        record_event(tmp_path, "parcels", event())
