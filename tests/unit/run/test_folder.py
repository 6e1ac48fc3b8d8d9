"""The run folder: whole files or none, and clear errors."""

import datetime as dt
import json
from pathlib import Path

import pytest

from lockstep.errors import RunFolderUnusable, StepOutOfOrder
from lockstep.run.folder import RunFolder
from lockstep.run.plan import Claim


def test_records_come_back_as_written(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    claim = Claim(token=3, table="t", claimed_at=dt.datetime(2024, 1, 1, tzinfo=dt.UTC), already_live=False)
    folder.write_json("claim.json", claim)
    assert folder.claim(step="publish") == claim
    assert [p.name for p in folder.path.iterdir()] == ["claim.json"], "no partial file is left"


def test_a_missing_file_says_which_step_must_come_first(tmp_path: Path) -> None:
    with pytest.raises(StepOutOfOrder, match=r"step 'score' needs input.json"):
        RunFolder(tmp_path).scoring_input(step="score")


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    RunFolder(tmp_path).write_json("claim.json", {"token": 1, "unknown": 2})
    with pytest.raises(StepOutOfOrder, match=r"a claim.json of this version"):
        RunFolder(tmp_path).claim(step="publish")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run_key": 3}'])
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "claim.json").write_text(text)
    with pytest.raises(StepOutOfOrder, match=r"claim\.json of this version"):
        RunFolder(tmp_path).claim(step="publish")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFolderUnusable, match="Not a directory"):
        RunFolder(tmp_path / "file" / "run").write_json("x.json", {})


def test_a_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path)
    folder.write_json("x.json", {"a": 1})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunFolderUnusable, match="No space left on device"):
        folder.write_json("x.json", {"a": 2})
    assert json.loads(folder.file("x.json").read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_timings_are_in_order_of_their_beginning(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for step in ("materialize", "gate", "audit"):
        with folder.timed(step):
            pass
    assert [t["step"] for t in folder.timings()] == ["materialize", "gate", "audit"]
    assert all(t["seconds"] >= 0 for t in folder.timings())
