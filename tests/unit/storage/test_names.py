"""Names and copies of the files of a run folder, on a disk and in a store."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from lockstep.run.folder import RunFolder
from lockstep.storage.files import names_below
from tests.unit.storage.counted import counted_store

PARTS = st.lists(st.sampled_from(["a", "b", "c.json", ".d"]), min_size=1, max_size=4)


@given(st.lists(PARTS, max_size=6))
def test_names_are_those_that_pathlib_finds(files: list[list[str]]) -> None:
    with TemporaryDirectory() as path:
        root = Path(path)
        for parts in files:
            file = root.joinpath(*parts, "file")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("")
        expected = sorted(file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file())
        assert sorted(names_below(root)) == expected
        assert RunFolder(root).names("a") == [name for name in expected if name.startswith("a/")]


def test_files_of_a_store_are_fetched_once_each() -> None:
    with counted_store() as (path, counts):
        folder = RunFolder(path)
        names = [f"staging/u{number}/x.parquet" for number in range(50)]
        for name in names:
            folder.write_text(name, name)
        for _ in range(2):
            assert [file.read_text() for file in folder.local_files(names)] == names
        assert counts["get"] == len(names)
