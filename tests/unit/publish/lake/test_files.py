"""Staged files get into a table's folder, and out of it, alike on a disk and in a store."""

import datetime as dt
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import PublishError, StoreUnusable
from lockstep.publish.contract import PublishRequest, StagedFile
from lockstep.publish.lake import files
from lockstep.publish.lake.files import drop_files, place_files, table_folder, url
from lockstep.storage.files import Location, write_whole
from lockstep.storage.objects import ObjectPath
from tests.publish.staged import publish_request, staged_file, staged_table
from tests.unit.storage.buckets import ROOT, bucket_in_memory

FUTURE = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
PAST = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
RUNS = ("aa", "bb")
NAMES = st.sampled_from(
    [f"day={day}/{run}-{digit * 16}.parquet" for day in (1, 2) for run in RUNS for digit in "01"]
    + ["day=1/foreign.parquet", "day=1/aa-short.parquet", "day=1/.x.parquet.7.partial", "day=1/notes.txt"]
    + ["_delta_log/00000000000000000000.json", "stray-0000000000000000.parquet"]
)


@pytest.fixture
def staged(tmp_path: Path) -> list[StagedFile]:
    for index in range(3):
        pq.write_table(staged_table("a", rows=2, first=index), tmp_path / f"{index}.parquet")
    return [staged_file(tmp_path / f"{index}.parquet") for index in range(3)]


def request_of(staged: list[StagedFile]) -> PublishRequest:
    return publish_request("a", 1, files=staged, rows=6)


def test_files_are_placed_once_whole_and_under_one_name(place: Location, staged: list[StagedFile]) -> None:
    names = place_files(place, request_of(staged), staged)
    assert names == [f"flight_date=2013-08-01/a-{file.sha256[:16]}.parquet" for file in staged]
    assert [(place / name).read_bytes() for name in names] == [file.path.read_bytes() for file in staged]
    before = [(place / name).stat() for name in names]
    assert place_files(place, request_of(staged), staged) == names
    assert [(place / name).stat() for name in names] == before


def test_what_was_cut_off_is_placed_again(place: Location, staged: list[StagedFile]) -> None:
    [name] = place_files(place, request_of(staged), staged[:1])
    (place / name).unlink()
    write_whole(place / name, b"half")
    place_files(place, request_of(staged), staged[:1])
    assert (place / name).read_bytes() == staged[0].path.read_bytes()


@pytest.fixture
def uploads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the objects whose bytes were sent."""
    sent: list[str] = []
    put = ObjectPath.put

    def counted(path: ObjectPath, data: bytes | Path) -> None:
        sent.append(path.name)
        put(path, data)

    monkeypatch.setattr(ObjectPath, "put", counted)
    return sent


def test_the_store_copies_what_it_has(
    staged: list[StagedFile], uploads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bucket_in_memory(monkeypatch)
    elsewhere = ObjectPath("s3://other", "run/2.parquet")
    origins = [folder / "run/0.parquet", folder / "run/gone.parquet", elsewhere]
    for origin, file in zip(origins, staged, strict=True):
        if origin.stem != "gone":
            origin.put(file.path)
    uploads.clear()
    known = [replace(file, origin=origin) for file, origin in zip(staged, origins, strict=True)]
    names = place_files(folder / "t", request_of(known), known)
    assert [(folder / "t" / name).read_bytes() for name in names] == [file.path.read_bytes() for file in staged]
    assert sorted(uploads) == sorted(name.rpartition("/")[2] for name in names[1:])


@pytest.mark.parametrize("wrong", ["too large for one request", "another size than was verified"])
def test_what_the_store_cannot_copy_is_uploaded(
    staged: list[StagedFile], uploads: list[str], wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bucket_in_memory(monkeypatch)
    origin = folder / "run/0.parquet"
    if wrong.startswith("too large"):
        monkeypatch.setattr(files, "LARGEST_COPY_BYTES", staged[0].size_bytes - 1)
        origin.put(staged[0].path)
    else:
        origin.put(b"changed")
    uploads.clear()
    [name] = place_files(folder, request_of(staged), [replace(staged[0], origin=origin)])
    assert (folder / name).read_bytes() == staged[0].path.read_bytes()
    assert uploads == [name.rpartition("/")[2]]


def test_a_store_that_fails_says_so_itself(staged: list[StagedFile], monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: ObjectPath, data: Any) -> None:
        raise StoreUnusable(5, "it is away", str(path))

    monkeypatch.setattr(ObjectPath, "put", refused)
    with pytest.raises(StoreUnusable, match=r"object store, .*it is away"):
        place_files(bucket_in_memory(monkeypatch), request_of(staged), staged)


def test_a_disk_that_cannot_be_written_is_named(staged: list[StagedFile], tmp_path: Path) -> None:
    (tmp_path / "table").write_text("no folder")
    with pytest.raises(PublishError, match=r"cannot be brought into .*table.*Nothing was published"):
        place_files(tmp_path / "table", request_of(staged), staged)


@given(names=st.sets(NAMES), referenced=st.sets(NAMES), keep=st.sets(st.sampled_from(RUNS)), encoded=st.booleans())
def test_only_files_of_ours_that_nobody_needs_are_dropped(
    names: set[str], referenced: set[str], keep: set[str], encoded: bool
) -> None:
    with TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        told = []
        for folder in (Path(scratch), bucket_in_memory(patch)):
            for name in names:
                write_whole(folder / name, name.encode())
            stay = {url(folder / (name.replace("=", "%3D") if encoded else name)) for name in referenced}

            def drop(folder: Location = folder, stay: set[str] = stay, **bounds: Any) -> list[str]:
                return drop_files(folder, referenced=stay, keep=keep, **bounds)

            assert drop(before=PAST, dry_run=False) == []
            would = drop(before=FUTURE, dry_run=True)
            assert all((folder / name).is_file() for name in names)
            assert drop(before=FUTURE, dry_run=False) == would
            left = {name for name in names if (folder / name).is_file()}
            assert {name for name in names if f"file {name} ({len(name)} bytes)" in would} == names - left
            for name in names - left:
                run, _, digest = Path(name).stem.partition("-")
                assert name not in referenced
                assert name.endswith(".partial") or (run not in keep and len(digest) == 16)
            assert drop(before=FUTURE, dry_run=True) == []
            told.append(would)
        assert told[0] == told[1]


def test_tables_lie_on_a_disk_or_in_a_store() -> None:
    assert table_folder("file:///lake/t", what="t") == table_folder("/lake/t", what="t") == Path("/lake/t")
    assert table_folder(f"{ROOT}/t", what="t") == ObjectPath(ROOT, "t")
    assert (url(Path("/lake/t")), url(ObjectPath(ROOT, "t"))) == ("file:///lake/t", f"{ROOT}/t")
    with pytest.raises(PublishError, match=r"table t lies at hdfs://…; Lockstep publishes to disks and to s3, "):
        table_folder("hdfs://user:hunter2@host/t", what="table t")
