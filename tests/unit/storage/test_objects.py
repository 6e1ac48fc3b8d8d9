"""Paths in stores behave as pathlib's do on a disk, and creation has one winner."""

import threading
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import obstore
import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import LocalStore, MemoryStore

from lockstep.storage import objects
from lockstep.storage.objects import ObjectPath
from tests.unit.storage.buckets import ROOT, bucket_in_memory

NAMES = st.text("ab._-=[1", min_size=1, max_size=3).filter(lambda name: name not in {".", ".."})
KEYS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PATTERNS = st.lists(NAMES | st.sampled_from(["*", "?", "a*", "*.b", "[ab]*", "[!a]?", "*=*"]), min_size=1, max_size=3)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> ObjectPath:
    return bucket_in_memory(monkeypatch)


def without_clashes(keys: set[str]) -> list[str]:
    """On a disk, nothing is a file and a folder at once."""
    return sorted(key for key in keys if not any(other.startswith(f"{key}/") for other in keys))


@given(st.sets(KEYS, max_size=8), PATTERNS.map("/".join), KEYS)
def test_a_tree_in_a_store_looks_like_the_tree_on_a_disk(keys: set[str], pattern: str, probe: str) -> None:
    with TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        disk, stored = Path(scratch), bucket_in_memory(patch)
        obstore.put(objects.store(ROOT), f"{stored.key}-beside/x", b"not below")
        for key in without_clashes(keys):
            (disk / key).parent.mkdir(parents=True, exist_ok=True)
            (disk / key).write_bytes(key.encode())
            (stored / key).put(key.encode())

        def seen(paths: Any, top: Any) -> list[str]:
            return sorted(str(path.relative_to(top)) for path in paths)

        assert seen(stored.glob(pattern), stored) == seen(disk.glob(pattern), disk)
        assert seen(stored.iterdir(), stored) == seen(disk.iterdir(), disk)
        last = PurePosixPath(pattern).name
        assert seen(stored.rglob(last), stored) == seen((p for p in disk.rglob(last) if p.is_file()), disk)
        below = {name: facts.st_size for name, facts in stored.files_below()}
        assert below == {str(path.relative_to(disk)): path.stat().st_size for path in disk.rglob("*") if path.is_file()}
        folders = {str(parent) for key in keys for parent in PurePosixPath(key).parents}
        for each in {probe, *keys, *folders}:
            here, there = disk / each, stored / each
            # A folder is there as long as something lies in it; pathlib's own top is made by the test.
            assert (there.is_file(), there.is_dir()) == (here.is_file(), here.is_dir() and (bool(keys) or here != disk))


@given(KEYS, KEYS)
def test_parts_of_paths_are_those_of_pathlib(one: str, other: str) -> None:
    stored, plain = ObjectPath(ROOT, one), PurePosixPath("/") / one
    assert (stored.name, stored.stem, stored.suffix) == (plain.name, plain.stem, plain.suffix)
    assert [f"/{p.key}" for p in stored.parents] == [str(p) for p in plain.parents]
    assert f"/{stored.parent.key}" == str(plain.parent)
    assert stored.parts[1:] == plain.parts[1:]
    below = stored / other
    assert below == stored.joinpath(*other.split("/")) == ObjectPath.parse(f"{ROOT}/{one}/{other}/")
    assert below.relative_to(stored) == (plain / other).relative_to(plain)
    with pytest.raises(ValueError, match="not"):
        stored.relative_to(below)
    with pytest.raises(ValueError, match="not below"):
        stored.relative_to(ObjectPath("s3://other", ""))


def test_a_bucket_is_no_file_and_has_nothing_around_it(folder: ObjectPath) -> None:
    bucket = ObjectPath.parse("s3://bucket/")
    assert str(bucket) == ROOT
    assert list(bucket.parents) == []
    assert not bucket.is_file()
    assert not bucket.exists()
    (folder / "x").put(b"1")
    assert bucket.exists()
    assert list(bucket.iterdir()) == [folder]


def test_what_means_nothing_in_a_path_is_left_out_and_a_way_up_refused() -> None:
    assert ObjectPath.parse("s3://bucket//a/./b//") / "/c/" / "." == ObjectPath(ROOT, "a/b/c")
    for way_up in ("..", "x/../y"):
        with pytest.raises(ValueError, match=r"without \.\."):
            ObjectPath(ROOT, "a") / way_up


def test_creation_is_won_by_one_of_many(folder: ObjectPath) -> None:
    won, barrier = list[int](), threading.Barrier(16)

    def work(number: int) -> None:
        barrier.wait()
        if (folder / "prize").create(str(number).encode()):
            won.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(folder / "prize").read_text()] == [str(number) for number in won]


def test_a_request_that_is_repeated_finds_what_it_made_itself(folder: ObjectPath) -> None:
    assert (folder / "x").create(b"me")
    assert (folder / "x").create(b"me")
    assert not (folder / "x").create(b"you")
    assert (folder / "x").read_bytes() == b"me"


def test_an_object_that_is_removed_during_creation_is_created(
    folder: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the refusal and the look at who has it."""
    (folder / "x").put(b"you")
    read = ObjectPath.read_bytes

    def too_late(path: ObjectPath) -> bytes:
        path.unlink()
        return read(path)

    monkeypatch.setattr(ObjectPath, "read_bytes", too_late)
    assert (folder / "x").create(b"me")
    assert read(folder / "x") == b"me"


def test_what_is_not_there_is_told_as_for_files(folder: ObjectPath, tmp_path: Path) -> None:
    for look in (ObjectPath.stat, ObjectPath.read_bytes, ObjectPath.read_text):
        with pytest.raises(FileNotFoundError, match=r"there is no such object: 's3://bucket/below/x'"):
            look(folder / "x")
    with pytest.raises(FileNotFoundError, match="no such object"):
        (folder / "x").download(tmp_path / "x")
    with pytest.raises(FileNotFoundError, match="No such file"):
        (folder / "x").download(tmp_path / "not" / "there")
    (folder / "x").unlink(missing_ok=True)
    (folder / "x").remove_tree()


def test_a_tree_is_removed_and_nothing_beside_it(folder: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "AT_ONCE", 3)
    for name in [f"tree/{number}/x" for number in range(8)] + ["tree-beside", "tree.x/y"]:
        (folder / name).put(b"1")
    (folder / "tree").remove_tree()
    assert [name for name, _ in folder.files_below()] == ["tree-beside", "tree.x/y"]


def test_a_tree_that_two_remove_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store on a disk says, as Google's and Azure's do, when an object is gone already."""
    store = LocalStore(tmp_path)
    monkeypatch.setattr(objects, "store", lambda _: store)
    folder = ObjectPath(ROOT, "tree")
    for number in range(5):
        (folder / str(number)).put(b"1")
    listed = list(folder._below())
    (folder / "3").unlink()
    monkeypatch.setattr(ObjectPath, "_below", lambda _: iter(listed))
    folder.remove_tree()
    assert not list((tmp_path / "tree").iterdir())


def test_large_files_travel_whole(folder: ObjectPath, tmp_path: Path) -> None:
    data = bytes(range(256)) * 100_000  # more than one part
    (tmp_path / "there").write_bytes(data)
    (folder / "big").put(tmp_path / "there")
    (folder / "big").download(tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data
    assert (folder / "big").stat().st_size == len(data)
    assert (folder / "big").stat().st_mtime > 0


def test_a_copy_takes_the_place_of_what_is_there(folder: ObjectPath) -> None:
    (folder / "a").put(b"1")
    (folder / "b").put(b"2")
    (folder / "a").copy(folder / "b")
    assert (folder / "b").read_bytes() == (folder / "a").read_bytes() == b"1"
    with pytest.raises(FileNotFoundError, match="there is no such object"):
        (folder / "c").copy(folder / "b")


def test_a_mark_of_a_folder_is_not_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Consoles of S3 make an empty object `folder/`; what lists it takes the slash off."""
    store = MemoryStore()
    obstore.put(store, "folder/x", b"1")
    monkeypatch.setattr(objects, "store", lambda _: store)
    when = obstore.head(store, "folder/x")["last_modified"]
    mark = {"path": "folder", "size": 0, "last_modified": when, "e_tag": None, "version": None}
    listed, children = obstore.list, obstore.list_with_delimiter

    def with_mark(*args: Any) -> Any:
        return [[mark], *listed(*args)]

    def children_with_mark(*args: Any) -> Any:
        found = children(*args)
        return {**found, "objects": [mark, *found["objects"]]}

    monkeypatch.setattr(obstore, "list", with_mark)
    monkeypatch.setattr(obstore, "list_with_delimiter", children_with_mark)
    folder = ObjectPath(ROOT, "folder")
    assert [name for name, _ in folder.files_below()] == ["x"]
    assert list(folder.iterdir()) == [folder / "x"]
