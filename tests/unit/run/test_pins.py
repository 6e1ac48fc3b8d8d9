import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import RunFolderUnusable
from lockstep.run.pins import Pin, pin_file, read_pin, write_pin

NOW = dt.datetime(2024, 3, 5, tzinfo=dt.UTC)


def pin(run_id: str, version: int = 3, dag_id: str = "score_m") -> Pin:
    return Pin(dag_id=dag_id, run_id=run_id, asked="@champion", name="m", version=version, digest="d", pinned_at=NOW)


def test_a_run_without_a_pin_has_none(tmp_path: Path) -> None:
    assert read_pin(tmp_path, "score_m", "manual__2024-03-05T00:00:00+00:00") is None


def test_the_last_pin_of_a_run_counts(tmp_path: Path) -> None:
    for version in (3, 4):
        write_pin(tmp_path, pin("r", version))
    assert read_pin(tmp_path, "score_m", "r") == pin("r", 4)
    assert [file.name for file in pin_file(tmp_path, "score_m", "r").parent.iterdir()] == ["r.json"]


@given(st.text(min_size=1, max_size=60), st.text(min_size=1, max_size=60))
def test_runs_of_other_names_have_other_files_below_the_same_folder(one: str, other: str) -> None:
    home = Path("/h")
    first, second = (pin_file(home, name, name) for name in (one, other))
    assert (first == second) == (one == other)
    assert first.parent.parent == home / "pins"
    assert "/" not in first.name


def test_what_is_no_pin_is_one_error(tmp_path: Path) -> None:
    file = pin_file(tmp_path, "score_m", "r")
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    with pytest.raises(RunFolderUnusable, match="no record of a pinned model"):
        read_pin(tmp_path, "score_m", "r")


def test_a_folder_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "pins").write_text("a file")
    with pytest.raises(RunFolderUnusable):
        write_pin(tmp_path, pin("r"))
