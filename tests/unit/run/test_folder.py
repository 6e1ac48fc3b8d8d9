"""The run folder: whole files or none, and clear errors."""

import datetime as dt
import json
from pathlib import Path, PurePosixPath

import pytest

from lockstep.errors import RunFolderUnusable, StepOutOfOrder, StoreUnusable
from lockstep.run.folder import RunFolder
from lockstep.run.plan import Claim
from lockstep.storage.files import Location, location, write_whole
from lockstep.storage.objects import ObjectPath


def test_records_come_back_as_written(place: Location) -> None:
    folder = RunFolder(place / "run")
    claim = Claim(token=3, table="t", claimed_at=dt.datetime(2024, 1, 1, tzinfo=dt.UTC), already_live=False)
    folder.write_json("claim.json", claim)
    assert folder.claim(step="publish") == claim
    assert [p.name for p in folder.path.iterdir()] == ["claim.json"], "no partial file is left"


def test_a_missing_file_says_which_step_must_come_first(place: Location) -> None:
    with pytest.raises(StepOutOfOrder, match=r"step 'score' needs input.json"):
        RunFolder(place).scoring_input(step="score")


def test_a_file_of_another_format_is_refused(place: Location) -> None:
    RunFolder(place).write_json("claim.json", {"token": 1, "unknown": 2})
    with pytest.raises(StepOutOfOrder, match=r"a claim.json of this version"):
        RunFolder(place).claim(step="publish")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run_key": 3}'])
def test_a_damaged_record_is_named(place: Location, text: str) -> None:
    write_whole(place / "claim.json", text.encode())
    with pytest.raises(StepOutOfOrder, match=r"claim\.json of this version"):
        RunFolder(place).claim(step="publish")


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


def test_timings_are_in_order_of_their_beginning(place: Location) -> None:
    folder = RunFolder(place)
    for step in ("materialize", "gate", "audit"):
        with folder.timed(step):
            pass
    assert [t["step"] for t in folder.timings()] == ["materialize", "gate", "audit"]
    assert all(t["seconds"] >= 0 for t in folder.timings())


def test_large_files_and_trees_are_handed_in(place: Location, tmp_path: Path) -> None:
    folder = RunFolder(place / "run")
    written = folder.draft("staging/u00000/a.parquet")
    written.write_bytes(b"rows")
    folder.hand_in(written, "staging/u00000/a.parquet")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.html").write_text("docs")
    folder.hand_in_tree(tmp_path / "docs", "gx")
    assert folder.names("staging") == ["staging/u00000/a.parquet"]
    assert folder.local("staging/u00000/a.parquet").read_bytes() == b"rows"
    assert folder.file("gx", "index.html").read_text() == "docs"
    folder.remove("gx")
    folder.remove("staging/u00000/a.parquet")
    folder.remove("never/there")
    assert folder.names("gx") == folder.names("staging") == []


def test_a_file_is_begun_and_created_once(place: Location) -> None:
    folder = RunFolder(place / "run")
    folder.begin("staging/u00000/a.parquet")
    assert folder.file("staging/u00000/a.parquet").stat().st_size == 0
    assert folder.create("queue/open", b"me")
    assert not folder.create("queue/open", b"you")
    assert folder.has("queue/open")
    assert not folder.has("queue")
    assert folder.partial_names("queue") == []


def test_a_folder_is_found_again_by_its_text(place: Location) -> None:
    folder = RunFolder.of(place, spec="s", partition=dt.date(2024, 1, 1), run_key="k").challenger("next")
    assert RunFolder.at(str(folder.path)) == folder
    assert folder.path.relative_to(place) == PurePosixPath("s/2024-01-01/k/challengers/next")  # type: ignore[arg-type]
    assert location(str(place)) == place


def test_a_store_that_refuses_is_told_by_each_way_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> None:
        raise StoreUnusable(13, "it refuses access", "s3://runs/run")

    monkeypatch.setattr("lockstep.storage.objects.store", refuse)
    folder = RunFolder(ObjectPath("s3://runs", "run"))
    with pytest.raises(RunFolderUnusable, match="cannot write the run folder s3://runs/run: it refuses access"):
        folder.write_json("x.json", {})
    with pytest.raises(RunFolderUnusable, match="it refuses access"):
        folder.names("staging")
    with pytest.raises(StoreUnusable, match=r"object store, s3://runs/run: it refuses access\. Check"):
        folder.claim(step="publish")
