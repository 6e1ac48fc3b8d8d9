"""Files of runs: the same on a disk and in a store."""

import threading
from pathlib import Path

import pytest

from lockstep.errors import InputError
from lockstep.storage import files
from lockstep.storage.files import Location, location
from lockstep.storage.objects import ObjectPath


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/runs/x", Path("/runs/x")),
        ("runs", Path("runs").absolute()),
        ("file:///runs", Path("/runs")),
        ("s3://bucket", ObjectPath("s3://bucket", "")),
        ("gs://bucket/a//b/", ObjectPath("gs://bucket", "a/b")),
        ("abfss://runs@acme.dfs.core.windows.net/a", ObjectPath("abfss://runs@acme.dfs.core.windows.net", "a")),
    ],
)
def test_a_text_means_a_path_on_a_disk_or_in_a_store(text: str, expected: Location) -> None:
    assert location(text) == expected
    assert location(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "hdfs://namenode/runs",
        "s3://",
        "s3:///runs",
        "s3://key:S3cret@bucket/x",
        "s3://S3cret@bucket",
        "abfss://runs:S3cret@acme.dfs.core.windows.net/x",
        "az://runs/x?sig=S3cret",
        "s3://bucket/a/../S3cret",
    ],
)
def test_other_urls_are_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        location(text)
    assert "S3cret" not in str(caught.value)


def test_a_file_is_there_whole_and_its_creation_has_one_winner(place: Location) -> None:
    files.make_folder(place / "deep")
    file = place / "deep" / "x"
    files.write_whole(file, b"old")
    files.write_whole(file, b"new")
    assert file.read_bytes() == b"new"
    assert not files.create(file, b"mine")
    won, barrier = list[bytes](), threading.Barrier(8)

    def work(name: bytes) -> None:
        barrier.wait()
        if files.create(place / "deep" / "y", name):
            won.append(name)

    threads = [threading.Thread(target=work, args=(str(n).encode(),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(place / "deep" / "y").read_bytes()] == won
    assert sorted(files.names_below(place)) == ["deep/x", "deep/y"]
    assert files.found(place, "*/x") == [file]


def test_a_draft_becomes_the_file_and_leaves_nothing(place: Location) -> None:
    target = place / "x.parquet"
    written = files.draft(target)
    written.write_bytes(b"rows")
    files.hand_in(written, target)
    assert target.read_bytes() == b"rows"
    assert (written == target) == isinstance(place, Path)
    assert isinstance(place, Path) or not written.exists()
    again = files.draft(target)
    again.write_bytes(b"more")
    files.hand_in(again, target)
    assert target.read_bytes() == b"more"


def test_a_draft_that_is_given_up_takes_no_room_beside_a_store(place: Location) -> None:
    written = files.draft(place / "x.parquet")
    written.write_bytes(b"half")
    files.discard(written, place / "x.parquet")
    assert written.exists() == isinstance(place, Path)


def test_a_tree_takes_the_place_of_another(place: Location, tmp_path: Path) -> None:
    for name in ("a", "b"):
        written = tmp_path / "written" / name
        (written / "deep").mkdir(parents=True)
        (written / "deep" / name).write_text(name)
        files.hand_in_tree(written, place / "tree")
        assert not written.exists()
    assert list(files.names_below(place / "tree")) == ["deep/b"]
    files.remove_tree(place / "tree")
    files.remove_tree(place / "tree")
    assert list(files.names_below(place)) == []


def test_a_copy_is_fetched_once_and_is_the_file_itself_on_a_disk(place: Location) -> None:
    file = place / "x.parquet"
    files.write_whole(file, b"rows")
    copy = files.local_copy(file)
    assert copy.read_bytes() == b"rows"
    assert copy.suffix == ".parquet"
    assert (copy == file) == isinstance(place, Path)
    assert files.local_copy(location(str(file)) if isinstance(place, Path) else file) == copy


def test_a_copy_that_cannot_be_fetched_leaves_nothing_and_is_tried_again(place: Location) -> None:
    if isinstance(place, Path):
        pytest.skip("a file on a disk is not copied")
    before = set(files.scratch().iterdir())
    with pytest.raises(FileNotFoundError):
        files.local_copy(place / "x")
    assert set(files.scratch().iterdir()) == before
    (place / "x").put(b"1")
    assert files.local_copy(place / "x").read_bytes() == b"1"


def test_what_has_to_be_on_a_disk_is_refused_in_a_store(place: Location) -> None:
    if isinstance(place, Path):
        assert files.on_disk(place) == place
        return
    with pytest.raises(InputError, match="is in an object store, and this writes to a disk only"):
        files.on_disk(place)
